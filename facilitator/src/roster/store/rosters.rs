//! Our rosters, the peer's rosters in the mailbox, and their copies in the own bucket.
//!
//! A copy carries the peer's signature and is stored as an authenticated record nevertheless: a
//! peer that signs two rosters and can write to our own bucket could otherwise replace the copy by
//! the other roster.

use super::{RosterStore, retry_read};
use crate::budget::MemoryPermit;
use crate::error::Error;
use crate::progress::no_progress;
use crate::roster::agreement::Roster;
use bytes::Bytes;
use tallybox_model::digest::Digest;
use tallybox_model::role::Role;
use tallybox_model::time::Window;
use tallybox_transport::{BucketError, publish_bytes, read_all};

/// The outcome of an attempt to copy the peer's roster.
pub(crate) enum CopyOutcome {
    /// The own bucket contains a copy: of this roster, or of the one that another run found.
    Copied,
    /// The mailbox does not contain the roster.
    Missing,
    /// The object in the mailbox is not a valid roster of the peer, with the problem.
    Invalid(String),
}

impl RosterStore<'_> {
    /// Returns the name of a processor's roster.
    pub(super) fn roster_object(&self, window: Window, writer: Role) -> String {
        self.window(window).roster(writer)
    }

    fn our_object(&self, window: Window) -> String {
        self.roster_object(window, self.processor.buckets.role)
    }

    /// Returns the name of the roster of the peer.
    pub(crate) fn peer_object(&self, window: Window) -> String {
        self.roster_object(window, self.processor.buckets.role.peer())
    }

    /// Records our roster of a window. Returns `false` if another run has recorded a roster with
    /// another key or other rules; the recorded one counts.
    pub(crate) async fn record_our_roster(
        &self,
        window: Window,
        file: &Bytes,
    ) -> Result<bool, Error> {
        self.create(&self.our_object(window), file).await
    }

    /// Copies our recorded roster into the peer's mailbox, byte for byte. `file` is the recorded
    /// roster, if it is known.
    pub(crate) async fn publish_our_roster(
        &self,
        window: Window,
        file: Option<Bytes>,
    ) -> Result<(), Error> {
        let object = self.our_object(window);
        let file = match file {
            Some(file) => file,
            None => self.read_recorded(&object).await?,
        };
        let mailbox = &*self.processor.buckets.peer_validation_out;
        publish_bytes(mailbox, &object, file, true).await?;
        Ok(())
    }

    /// Reads our recorded roster of a window.
    pub(crate) async fn read_our_roster(&self, window: Window) -> Result<Roster, Error> {
        let read = || async {
            let file = self.read_recorded(&self.our_object(window)).await?;
            self.decode(window, self.processor.buckets.role, &file)
        };
        retry_read(read).await
    }

    /// Copies the peer's roster of a window from the mailbox into the own bucket, if it is valid.
    pub(crate) async fn copy_peer_roster(&self, window: Window) -> Result<CopyOutcome, Error> {
        let mut file = match self.fetch_peer_roster(window).await {
            Ok(Some(file)) => file,
            Ok(None) => return Ok(CopyOutcome::Missing),
            Err(error @ Error::Bucket(BucketError::TooLarge { .. })) => {
                return Ok(CopyOutcome::Invalid(error.to_string()));
            }
            Err(error) => return Err(error),
        };
        let _memory = self.reserve_memory(&file).await;
        let peer = self.processor.buckets.role.peer();
        let mut decoded = self.decode(window, peer, &file);
        if decoded.is_err() {
            // A single bad read is not evidence of a bad roster. The first file is dropped to save
            // memory, and identical bytes need no second check.
            let first = Digest::sha256(&file);
            drop(std::mem::take(&mut file));
            let Some(second) = self.fetch_peer_roster(window).await? else {
                return Ok(CopyOutcome::Missing);
            };
            file = second;
            if Digest::sha256(&file) != first {
                decoded = self.decode(window, peer, &file);
            }
        }
        if let Err(error) = decoded {
            return Ok(CopyOutcome::Invalid(error.to_string()));
        }
        // If another run has written its copy first, possibly of another version, that copy counts.
        self.create(&self.peer_object(window), &file).await?;
        Ok(CopyOutcome::Copied)
    }

    /// Reads our copy of the peer's roster.
    pub(crate) async fn read_copied_roster(&self, window: Window) -> Result<Roster, Error> {
        let read = || async {
            let file = self.read_recorded(&self.peer_object(window)).await?;
            let _memory = self.reserve_memory(&file).await;
            self.decode(window, self.processor.buckets.role.peer(), &file)
        };
        match retry_read(read).await {
            // A single bad read is not evidence of damage.
            Err(error) if error.is_damage() => retry_read(read).await,
            other => other,
        }
    }

    /// Stores the roster in the mailbox as evidence, next to our copy, if it is another valid
    /// version. Returns the name of the evidence.
    pub(crate) async fn record_second_roster(
        &self,
        window: Window,
    ) -> Result<Option<String>, Error> {
        let now = match self.fetch_peer_roster(window).await {
            Ok(Some(now)) => now,
            // An object that is too large is not a roster.
            Ok(None) | Err(Error::Bucket(BucketError::TooLarge { .. })) => return Ok(None),
            Err(error) => return Err(error),
        };
        let _memory = self.reserve_memory(&now).await;
        let peer = self.processor.buckets.role.peer();
        let first = self.read_recorded(&self.peer_object(window)).await?;
        if now == first || self.decode(window, peer, &now).is_err() {
            return Ok(None);
        }
        let digest = Digest::sha256(&now).to_hex();
        let evidence = self.window(window).second_roster(peer, &digest[..16]);
        self.processor
            .buckets
            .create_record(&evidence, &now)
            .await?;
        Ok(Some(evidence))
    }

    /// Reads a recorded roster: ours, or our copy of the peer's; `None` if it does not exist.
    pub(crate) async fn find_roster(
        &self,
        window: Window,
        writer: Role,
    ) -> Result<Option<Roster>, Error> {
        let object = self.roster_object(window, writer);
        let limit = self.max_roster_bytes();
        let file = self.processor.buckets.read_record(&object, limit).await?;
        file.map(|file| self.decode(window, writer, &file))
            .transpose()
    }

    /// Reads the peer's roster in the mailbox without a verification; `None` if it does not exist.
    pub(crate) async fn fetch_peer_roster(&self, window: Window) -> Result<Option<Bytes>, Error> {
        let mailbox = &*self.processor.buckets.peer_validation_in;
        match read_all(mailbox, &self.peer_object(window), self.max_roster_bytes()).await {
            Ok(file) => Ok(Some(file)),
            Err(BucketError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Reads a roster that has to be in the own bucket.
    async fn read_recorded(&self, object: &str) -> Result<Bytes, Error> {
        let limit = self.max_roster_bytes();
        Ok(self.processor.buckets.need_record(object, limit).await?)
    }

    /// Creates a record, or returns `false` if one with another payload exists.
    async fn create(&self, object: &str, payload: &[u8]) -> Result<bool, Error> {
        match self.processor.buckets.create_record(object, payload).await {
            Ok(_) => Ok(true),
            Err(BucketError::Conflict { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Reserves memory to read a roster: its entries are in memory as the file, as the signed
    /// record in it, and decoded.
    async fn reserve_memory(&self, file: &[u8]) -> MemoryPermit {
        let bytes = (file.len() as u64).saturating_mul(4);
        let budget = &self.processor.resources.budget;
        budget.take_memory(bytes, &no_progress()).await
    }
}
