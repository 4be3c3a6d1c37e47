//! Records: small authenticated objects of the own bucket or spool. Only a holder of a record key
//! can create, change or rename them.
//!
//! A record consists of its payload and a trailer of [`TRAILER_BYTES`] bytes. The trailer contains
//! the format, the key's id and a MAC over the owner of the record, the object's name and the
//! payload. The bytes are deterministic, so a repeated run writes the same bytes. Deletion of a
//! record, and the restoration of an earlier object under its own name, are not detected.

mod create;
mod fault;
mod key;
mod opening;
mod trailer;

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use tallybox_model::id::Instance;
use tallybox_model::role::Role;

pub use fault::RecordFault;
pub use key::{RecordKey, RecordKeyError};
pub use opening::Opening;
pub use trailer::TRAILER_BYTES;

use crate::{Bucket, BucketError, read_all};

/// The keys and the identity of one owner, with which records are created and verified.
#[derive(Clone)]
pub struct Records {
    keys: Arc<[RecordKey]>,
    /// The encoded identity of the owner.
    context: Arc<[u8]>,
}

impl Records {
    /// Creates the records of an owner. New records use the first key; any of the keys verifies
    /// one. `context` is the list of words that distinguishes this owner from any other, such as
    /// program, instance and role.
    pub fn new(
        first: RecordKey,
        others: impl IntoIterator<Item = RecordKey>,
        context: &[&str],
    ) -> Self {
        Self {
            keys: std::iter::once(first).chain(others).collect(),
            context: trailer::context(context).into(),
        }
    }

    /// Creates the records of a processor's own bucket, which its programs share. New records use
    /// the first key; any of the keys verifies one. Returns `None` if there is no key.
    pub fn of_processor(
        keys: impl IntoIterator<Item = RecordKey>,
        instance: &Instance,
        role: Role,
    ) -> Option<Self> {
        let mut keys = keys.into_iter();
        let owner = ["processor", instance.as_str(), &role.to_string()];
        Some(Self::new(keys.next()?, keys, &owner))
    }

    /// Creates the records of an ingestor's spool. New records use the first key; any of the keys
    /// verifies one. Returns `None` if there is no key.
    pub fn of_ingestor(keys: impl IntoIterator<Item = RecordKey>, ingestor: &str) -> Option<Self> {
        let mut keys = keys.into_iter();
        Some(Self::new(keys.next()?, keys, &["ingestor", ingestor]))
    }

    /// Returns the ids of the keys, beginning with the key for new records.
    pub fn key_ids(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(RecordKey::id)
    }

    /// Returns the key id in a trailer; `None` if the bytes are not a trailer.
    #[must_use]
    pub fn claimed_key(trailer: &[u8]) -> Option<String> {
        let trailer = trailer::Trailer::parse(trailer).ok()?;
        Some(String::from_utf8_lossy(trailer.key_id).into_owned())
    }

    /// Returns the bytes of the object with this payload and name.
    #[must_use]
    pub fn seal(&self, name: &str, payload: &[u8]) -> Bytes {
        let digest = Sha256::digest(payload).into();
        let mut object = Vec::with_capacity(payload.len() + TRAILER_BYTES);
        object.extend_from_slice(payload);
        object.extend_from_slice(&self.trailer(name, &digest, payload.len() as u64));
        object.into()
    }

    /// Returns the trailer that follows a payload of this SHA-256 and length. For payloads that are
    /// written in pieces.
    #[must_use]
    #[allow(clippy::indexing_slicing, reason = "`new` takes a first key")]
    pub fn trailer(&self, name: &str, digest: &[u8; 32], bytes: u64) -> Bytes {
        trailer::encode(&self.keys[0], &self.context, name, (digest, bytes))
    }

    /// Verifies an object that was read under this name, and returns its payload.
    ///
    /// # Errors
    /// [`RecordFault`] if the object is not a valid record.
    pub fn open(&self, name: &str, object: &Bytes) -> Result<Bytes, RecordFault> {
        let length = object.len().checked_sub(TRAILER_BYTES);
        let payload = object.slice(..length.ok_or(RecordFault::NoTrailer)?);
        let digest = Sha256::digest(&payload).into();
        self.check(
            name,
            (&digest, payload.len() as u64),
            &object[payload.len()..],
        )?;
        Ok(payload)
    }

    /// Starts the verification of an object that is read in pieces.
    #[must_use]
    pub fn opening(&self, name: &str) -> Opening {
        Opening::new(self.clone(), name)
    }

    /// Reads a record with a payload of at most `limit` bytes; returns `None` if the object does
    /// not exist.
    ///
    /// An object that does not verify is read once more, because a single read may be corrupted.
    ///
    /// # Errors
    /// [`BucketError::Unverified`] if the object is not a valid record, or another error of the
    /// bucket.
    pub async fn read(
        &self,
        bucket: &dyn Bucket,
        name: &str,
        limit: u64,
    ) -> Result<Option<Bytes>, BucketError> {
        match self.read_once(bucket, name, limit).await {
            Err(BucketError::Unverified { .. }) => self.read_once(bucket, name, limit).await,
            done => done,
        }
    }

    async fn read_once(
        &self,
        bucket: &dyn Bucket,
        name: &str,
        limit: u64,
    ) -> Result<Option<Bytes>, BucketError> {
        match read_all(bucket, name, limit.saturating_add(TRAILER_BYTES as u64)).await {
            Err(BucketError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
            Ok(object) => match self.open(name, &object) {
                Ok(payload) => Ok(Some(payload)),
                Err(fault) => Err(unverified(bucket, name, fault)),
            },
        }
    }

    /// Checks the trailer of a payload with this SHA-256 and length.
    fn check(
        &self,
        name: &str,
        payload: (&[u8; 32], u64),
        trailer: &[u8],
    ) -> Result<(), RecordFault> {
        let parsed = trailer::Trailer::parse(trailer)?;
        let mut same_id = self
            .keys
            .iter()
            .filter(|key| key.id().as_bytes() == parsed.key_id)
            .peekable();
        if same_id.peek().is_none() {
            let id = String::from_utf8_lossy(parsed.key_id).into_owned();
            return Err(RecordFault::UnknownKey { id });
        }
        match same_id.any(|key| parsed.fits(key, &self.context, name, payload)) {
            true => Ok(()),
            false => Err(RecordFault::Changed),
        }
    }
}

impl fmt::Debug for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Records")
            .field("keys", &self.keys)
            .finish_non_exhaustive()
    }
}

/// Returns the error for an object that is not a valid record.
fn unverified(bucket: &dyn Bucket, name: &str, source: RecordFault) -> BucketError {
    BucketError::Unverified {
        key: name.to_owned(),
        bucket: bucket.location(),
        source,
    }
}

#[cfg(test)]
mod tests;
