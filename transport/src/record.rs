//! Records: small objects of our own bucket or spool that nobody without our key can make, change or rename.
//!
//! A record is its payload, as a reader wants it, and a trailer of [`TRAILER_BYTES`] bytes: the format, the key's id and a
//! MAC over whose records they are, the object's name and the payload. The bytes are deterministic, so that a rerun writes
//! the same. Deletion, and return of an earlier object to the name that it had, go unnoticed.

mod create;
mod key;
mod opening;
mod trailer;

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use tallybox_model::id::Instance;
use tallybox_model::role::Role;

pub use key::{RecordKey, RecordKeyError};
pub use opening::Opening;
pub use trailer::TRAILER_BYTES;

use crate::{Bucket, BucketError, read_all};

/// Why an object is no record of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordFault {
    /// The object does not end as a record does: cut short, or written by something else.
    #[error("it does not end with the trailer of a record")]
    NoTrailer,
    /// The record names a key that is not configured: one that was removed too early or has not arrived yet, or a forgery.
    #[error("it was made with record key {id}, which is not among ours")]
    UnknownKey {
        /// The id that the record names.
        id: String,
    },
    /// The bytes were changed, or the object comes from another name, instance or role.
    #[error("its authentication code does not fit its name and bytes")]
    Changed,
}

/// Makes and verifies the records of one owner.
#[derive(Clone)]
pub struct Records {
    keys: Arc<[RecordKey]>,
    /// Whose records they are, encoded.
    context: Arc<[u8]>,
}

impl Records {
    /// Records made with the first key and verified with any of them, bound to `context`: the words that tell this owner
    /// from every other, such as program, instance and role.
    pub fn new(first: RecordKey, others: impl IntoIterator<Item = RecordKey>, context: &[&str]) -> Self {
        Self {
            keys: std::iter::once(first).chain(others).collect(),
            context: trailer::context(context).into(),
        }
    }

    /// The records of a processor's own bucket, which its programs share: made with the first key, verified with any.
    /// `None` if there is no key.
    pub fn of_processor(keys: impl IntoIterator<Item = RecordKey>, instance: &Instance, role: Role) -> Option<Self> {
        let mut keys = keys.into_iter();
        let words = ["processor", instance.as_str(), &role.to_string()];
        Some(Self::new(keys.next()?, keys, &words))
    }

    /// The records of an ingestor's spool: made with the first key, verified with any. `None` if there is no key.
    pub fn of_ingestor(keys: impl IntoIterator<Item = RecordKey>, ingestor: &str) -> Option<Self> {
        let mut keys = keys.into_iter();
        Some(Self::new(keys.next()?, keys, &["ingestor", ingestor]))
    }

    /// The ids of the keys, the one that makes records first.
    pub fn key_ids(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(RecordKey::id)
    }

    /// The id of the key that the last bytes of an object name, if they are a trailer.
    #[must_use]
    pub fn claimed_key(trailer: &[u8]) -> Option<String> {
        let trailer = trailer::Trailer::parse(trailer).ok()?;
        Some(String::from_utf8_lossy(trailer.key_id).into_owned())
    }

    /// The bytes of the object that holds this payload under this name.
    #[must_use]
    pub fn seal(&self, name: &str, payload: &[u8]) -> Bytes {
        let digest = Sha256::digest(payload).into();
        let mut object = Vec::with_capacity(payload.len() + TRAILER_BYTES);
        object.extend_from_slice(payload);
        object.extend_from_slice(&self.trailer(name, &digest, payload.len() as u64));
        object.into()
    }

    /// The trailer that follows a payload of this SHA-256 and length: for payloads that are written in pieces.
    #[must_use]
    #[allow(clippy::indexing_slicing, reason = "`new` takes a first key")]
    pub fn trailer(&self, name: &str, digest: &[u8; 32], bytes: u64) -> Bytes {
        trailer::encode(&self.keys[0], &self.context, name, (digest, bytes))
    }

    /// The payload of an object that was read under this name.
    ///
    /// # Errors
    /// [`RecordFault`] if it is no record of ours.
    pub fn open(&self, name: &str, object: &Bytes) -> Result<Bytes, RecordFault> {
        let length = object.len().checked_sub(TRAILER_BYTES);
        let payload = object.slice(..length.ok_or(RecordFault::NoTrailer)?);
        let digest = Sha256::digest(&payload).into();
        self.check(name, (&digest, payload.len() as u64), &object[payload.len()..])?;
        Ok(payload)
    }

    /// Starts to verify an object that is read in pieces.
    #[must_use]
    pub fn opening(&self, name: &str) -> Opening {
        Opening::new(self.clone(), name)
    }

    /// Reads a record with a payload of at most `limit` bytes; `None` if there is no such object.
    ///
    /// An object that does not verify is read once more before it is blamed.
    ///
    /// # Errors
    /// [`BucketError::Unverified`] if it is no record of ours, and the bucket's.
    pub async fn read(&self, bucket: &dyn Bucket, name: &str, limit: u64) -> Result<Option<Bytes>, BucketError> {
        match self.read_once(bucket, name, limit).await {
            Err(BucketError::Unverified { .. }) => self.read_once(bucket, name, limit).await,
            done => done,
        }
    }

    async fn read_once(&self, bucket: &dyn Bucket, name: &str, limit: u64) -> Result<Option<Bytes>, BucketError> {
        match read_all(bucket, name, limit.saturating_add(TRAILER_BYTES as u64)).await {
            Err(BucketError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
            Ok(object) => match self.open(name, &object) {
                Ok(payload) => Ok(Some(payload)),
                Err(fault) => Err(unverified(bucket, name, fault)),
            },
        }
    }

    /// Checks the trailer of a payload of this SHA-256 and length.
    fn check(&self, name: &str, payload: (&[u8; 32], u64), trailer: &[u8]) -> Result<(), RecordFault> {
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

/// The error for an object that is no record of ours.
fn unverified(bucket: &dyn Bucket, name: &str, source: RecordFault) -> BucketError {
    BucketError::Unverified {
        key: name.to_owned(),
        bucket: bucket.location(),
        source,
    }
}

#[cfg(test)]
mod tests;
