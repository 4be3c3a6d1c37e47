//! The interface of a bucket, independent of its implementation.

use std::ops::Range;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;

use crate::BucketError;

/// A bucket with shared ownership.
pub type SharedBucket = Arc<dyn Bucket>;

/// An object opened for reading.
pub struct Object {
    /// Length of the whole object in bytes.
    pub size: u64,
    /// The bytes in order, in chunks of at most 1 MiB. The stream ends after `size` bytes or with
    /// an error.
    pub body: BoxStream<'static, Result<Bytes, BucketError>>,
}

impl std::fmt::Debug for Object {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Object")
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

/// An object in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Full key.
    pub key: String,
    /// Length in bytes.
    pub size: u64,
}

/// A range of a listing by full keys in byte order. The default is the whole listing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListRange {
    /// The first key, inclusive. It need not be the key of an object, and may be a directory with
    /// or without a trailing slash.
    pub start_at: Option<String>,
    /// The end of the range, exclusive.
    pub end_before: Option<String>,
}

impl ListRange {
    /// Returns whether the key precedes the range.
    pub(crate) fn is_before(&self, key: &str) -> bool {
        self.start_at.as_deref().is_some_and(|start| key < start)
    }

    /// Returns whether the key, and with it every later key, follows the range.
    pub(crate) fn is_after(&self, key: &str) -> bool {
        self.end_before.as_deref().is_some_and(|end| key >= end)
    }
}

/// The outcome of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    /// The upload created the object, which is now complete and durable.
    New,
    /// The bucket reports that an object with this key existed already. The object was not changed.
    /// A caller with read permission checks the object, because some buckets report objects as
    /// existing that do not exist.
    Exists,
}

/// The object whose modification date serves as a cloud's clock.
pub const CLOCK: &str = "clock";

/// A store of objects. An object has a key and bytes, appears atomically, and never changes.
///
/// A key consists of components joined by single slashes. It has no empty component, no `.` or
/// `..`, no control character, no backslash, and at most 1024 bytes; any other key yields
/// [`BucketError::InvalidKey`]. A *directory* is the part of a key before one of its slashes. It
/// exists as long as it contains an object.
#[async_trait]
pub trait Bucket: Send + Sync + std::fmt::Debug {
    /// Opens an object for streaming; returns [`BucketError::NotFound`] if it is absent.
    async fn get(&self, key: &str) -> Result<Object, BucketError>;

    /// Reads a range of bytes. The part of the range past the end of the object is omitted, so the
    /// result may be shorter than the range, or empty.
    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, BucketError>;

    /// Returns the object's length in bytes; [`BucketError::NotFound`] if it is absent.
    async fn size(&self, key: &str) -> Result<u64, BucketError>;

    /// Starts an upload that creates the object, if it is absent at the commit. `size_hint` is the
    /// expected length in bytes; a wrong value only costs time.
    async fn create(
        &self,
        key: &str,
        size_hint: Option<u64>,
    ) -> Result<Box<dyn Upload>, BucketError>;

    /// Lists the objects in the directory `prefix` and below (all objects if `prefix` is empty), in
    /// the byte order of their keys. A trailing slash of `prefix` has no effect: `a/b` never lists
    /// `a/bc`.
    async fn list(
        &self,
        prefix: &str,
        range: ListRange,
    ) -> Result<BoxStream<'static, Result<Entry, BucketError>>, BucketError>;

    /// Lists the directories directly inside the directory `prefix`, as full keys without a
    /// trailing slash, sorted.
    async fn list_directories(&self, prefix: &str) -> Result<Vec<String>, BucketError>;

    /// Deletes an object. Deleting an absent object is not an error.
    async fn delete(&self, key: &str) -> Result<(), BucketError>;

    /// Returns the time of the bucket's own clock, in milliseconds since the epoch. For a cloud,
    /// the function writes an object named [`CLOCK`] and reads its date. A bucket without a clock
    /// uses the machine's.
    async fn date(&self) -> Result<i64, BucketError> {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Ok(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    /// Checks that the bucket exists, as far as possible without a request for an object. The check
    /// fails for a directory whose mount is missing. A cloud is only checked by the first request.
    async fn check_there(&self) -> Result<(), BucketError> {
        Ok(())
    }

    /// Returns the location of the bucket for messages: its URL without secrets.
    fn location(&self) -> String;

    /// Returns whether the bucket can contain an empty object. In the clouds, no empty object is
    /// created: ENPA's upload of no bytes leaves no object, and its readers treat an absent packet
    /// file as empty.
    fn stores_empty_objects(&self) -> bool;
}

/// An upload of an object into a bucket. Dropping it aborts the upload.
#[async_trait]
pub trait Upload: Send {
    /// Appends bytes. After an error, the upload can only be dropped or aborted.
    async fn write(&mut self, bytes: Bytes) -> Result<(), BucketError>;

    /// Makes the object visible, complete and durable, unless the object exists.
    ///
    /// After an error, the object may nevertheless exist, as with any request whose response is
    /// lost.
    async fn commit(self: Box<Self>) -> Result<Created, BucketError>;

    /// Aborts the upload without creating the object, and discards the written bytes as far as
    /// possible.
    async fn abort(self: Box<Self>);
}

impl std::fmt::Debug for dyn Upload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Upload")
    }
}
