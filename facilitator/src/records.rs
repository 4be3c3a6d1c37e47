//! The authenticated records of a processor in its own bucket: all objects there except the sealed
//! files, which have a protection of their own.

use crate::buckets::Buckets;
use crate::error::Error;
use bytes::Bytes;
use std::fmt::Display;
use std::str::FromStr;
use tallybox_transport::{BucketError, Created, Published};

/// The largest size of a date or number, in bytes.
const TEXT_BYTES: u64 = 64;

impl Buckets {
    /// Creates a record in the own bucket if it does not exist; see
    /// [`tallybox_transport::Records::create`].
    ///
    /// # Errors
    /// [`BucketError::Conflict`] if a record with another payload exists;
    /// [`BucketError::Unverified`] if the existing object is not a record of this processor; or
    /// another error of the own bucket.
    pub async fn create_record(
        &self,
        name: &str,
        payload: &[u8],
    ) -> Result<Published, BucketError> {
        self.records.create(&*self.own, name, payload).await
    }

    /// Reads a record of the own bucket with a payload of at most `limit` bytes. Returns `None` if
    /// the object does not exist.
    ///
    /// # Errors
    /// [`BucketError::Unverified`] if the object is not a record of this processor, or another
    /// error of the own bucket.
    pub async fn read_record(&self, name: &str, limit: u64) -> Result<Option<Bytes>, BucketError> {
        self.records.read(&*self.own, name, limit).await
    }

    /// Reads a record that has to exist, with a payload of at most `limit` bytes.
    pub(crate) async fn need_record(&self, name: &str, limit: u64) -> Result<Bytes, BucketError> {
        let missing = || BucketError::NotFound {
            key: name.to_owned(),
            bucket: self.own.location(),
        };
        self.read_record(name, limit).await?.ok_or_else(missing)
    }

    /// Creates a record in the own bucket if it does not exist. Otherwise returns the existing
    /// payload, of at most `limit` bytes.
    pub(crate) async fn fix_record(
        &self,
        name: &str,
        payload: &[u8],
        limit: u64,
    ) -> Result<Option<Bytes>, BucketError> {
        match self.records.put(&*self.own, name, payload).await? {
            Created::New => Ok(None),
            Created::Exists => match self.read_record(name, limit).await? {
                // The bucket reports that the object exists, but does not return it yet.
                None => Err(BucketError::NotSettled {
                    key: name.to_owned(),
                    bucket: self.own.location(),
                    source: None,
                }),
                before => Ok(before),
            },
        }
    }

    /// Creates a record with a short text if it does not exist. Otherwise returns the existing
    /// value.
    pub(crate) async fn fix_text<T: FromStr + Display>(
        &self,
        name: &str,
        value: &T,
    ) -> Result<Option<T>, Error> {
        let before = self
            .fix_record(name, value.to_string().as_bytes(), TEXT_BYTES)
            .await?;
        before.map(|payload| parse(name, &payload)).transpose()
    }

    /// Reads a record of the own bucket that contains a short text, such as a date or a number.
    ///
    /// # Errors
    /// As [`Self::read_record`]; [`Error::Internal`] if the record contains something else.
    pub(crate) async fn read_text<T: FromStr>(&self, name: &str) -> Result<Option<T>, Error> {
        let payload = self.read_record(name, TEXT_BYTES).await?;
        payload.map(|payload| parse(name, &payload)).transpose()
    }
}

fn parse<T: FromStr>(name: &str, payload: &[u8]) -> Result<T, Error> {
    let value = std::str::from_utf8(payload)
        .ok()
        .and_then(|text| text.parse().ok());
    value.ok_or_else(|| {
        Error::Internal(format!(
            "{name} in the own bucket does not contain a value of its type"
        ))
    })
}
