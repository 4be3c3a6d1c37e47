//! What a bucket does, whatever it is made of.

use std::ops::Range;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;

use crate::BucketError;

/// A bucket that several owners use.
pub type SharedBucket = Arc<dyn Bucket>;

/// An object opened for reading.
pub struct Object {
    /// Length of the whole object in bytes.
    pub size: u64,
    /// The bytes in order, in chunks of at most a mebibyte; ends after `size` bytes or with an error.
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

/// Which part of a listing is wanted, by full keys in the order of their bytes. The default is all of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListRange {
    /// The first key wanted, inclusive; need not be the key of an object, and may be a directory's with or without a slash
    /// at its end.
    pub start_at: Option<String>,
    /// Keys from this one on are not wanted.
    pub end_before: Option<String>,
}

impl ListRange {
    /// Whether the key stands before the range.
    pub(crate) fn is_before(&self, key: &str) -> bool {
        self.start_at.as_deref().is_some_and(|start| key < start)
    }

    /// Whether the key, and with it every later one, stands after the range.
    pub(crate) fn is_after(&self, key: &str) -> bool {
        self.end_before.as_deref().is_some_and(|end| key >= end)
    }
}

/// Whether a commit made the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    /// The object is there now, whole and durable, with the bytes written.
    New,
    /// The bucket says that an object with this key was there already; it was not changed. Whoever may read looks at
    /// it: buckets have been seen to say so of objects that are not there.
    Exists,
}

/// The object by which a cloud is asked for its date.
pub const CLOCK: &str = "clock";

/// A place for objects. An object has a key and bytes; it appears whole, and never changes once it is there.
///
/// A key is components joined by single slashes; it has no empty component, no `.` or `..`, no control character, no
/// backslash, and at most 1024 bytes: otherwise [`BucketError::InvalidKey`]. A *directory* is what stands before a
/// slash of some key; it exists as long as an object in it does.
#[async_trait]
pub trait Bucket: Send + Sync + std::fmt::Debug {
    /// Opens an object for streaming; [`BucketError::NotFound`] if absent.
    async fn get(&self, key: &str) -> Result<Object, BucketError>;

    /// Reads a range of bytes. What lies past the object's end is left out; so the answer may be shorter, or empty.
    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, BucketError>;

    /// The object's length in bytes; [`BucketError::NotFound`] if absent.
    async fn size(&self, key: &str) -> Result<u64, BucketError>;

    /// Starts an upload that makes the object if it is absent when committed. `size_hint` is the expected length in
    /// bytes; a wrong one costs time only.
    async fn create(&self, key: &str, size_hint: Option<u64>) -> Result<Box<dyn Upload>, BucketError>;

    /// Lists the objects in the directory `prefix` and all below it (everything, if empty), in the order of their
    /// keys' bytes. A slash at the end of `prefix` makes no difference: `a/b` never lists `a/bc`.
    async fn list(
        &self,
        prefix: &str,
        range: ListRange,
    ) -> Result<BoxStream<'static, Result<Entry, BucketError>>, BucketError>;

    /// The directories directly in the directory `prefix`, as full keys without a slash at the end, sorted.
    async fn list_directories(&self, prefix: &str) -> Result<Vec<String>, BucketError>;

    /// Removes an object. One that is not there is no error.
    async fn delete(&self, key: &str) -> Result<(), BucketError>;

    /// What time it is by the bucket's own clock, in milliseconds since the epoch. In the clouds this writes an object
    /// named [`CLOCK`] and looks at its date; a bucket without a clock of its own has the machine's.
    async fn date(&self) -> Result<i64, BucketError> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    /// Whether the bucket is there at all, as far as that can be told without asking for an object: a directory whose mount
    /// is missing is not. A cloud answers with the first request.
    async fn check_there(&self) -> Result<(), BucketError> {
        Ok(())
    }

    /// Where the bucket is, for messages: its URL without secrets.
    fn location(&self) -> String;

    /// Whether an object of no bytes can exist here. In the clouds none is made: ENPA's upload of nothing leaves no
    /// object, and its readers take an absent packet file for an empty one.
    fn stores_empty_objects(&self) -> bool;
}

/// An object on its way into a bucket. Dropping it is aborting it.
#[async_trait]
pub trait Upload: Send {
    /// Appends bytes. After an error the upload can only be dropped or aborted.
    async fn write(&mut self, bytes: Bytes) -> Result<(), BucketError>;

    /// Makes the object visible, whole and durable, unless one is there.
    ///
    /// An error does not say that nothing happened: the object may be there, as with any request whose answer is lost.
    async fn commit(self: Box<Self>) -> Result<Created, BucketError>;

    /// Leaves no object; what was written is thrown away as far as possible.
    async fn abort(self: Box<Self>);
}

impl std::fmt::Debug for dyn Upload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Upload")
    }
}
