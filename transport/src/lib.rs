//! Bucket storage: objects in local directories, in memory, in S3, GCS and Azure, and signed
//! batches as streams.
//!
//! All exchange between organisations in Tallybox takes place through buckets. This crate defines
//! the [`Bucket`] trait, implements it for all kinds of storage, and provides the operations on top
//! of it. An object in a bucket appears atomically and never changes.
//!
//! # Main types
//!
//! - [`BucketUrl`] and [`BucketSettings`] describe a bucket in a configuration; [`open`] opens it.
//! - [`publish_bytes`] and [`publish_stream`] create an object idempotently: they compare an
//!   existing object with the bytes to publish, so any number of processes may publish the same
//!   object.
//! - [`Records`] creates authenticated objects in the own bucket or spool, which only holders of
//!   the record key can create or change.
//! - [`BlockingReader`] and [`BlockingWriter`] connect objects with code on blocking threads.
//! - `batch` reads and writes signed batches (feature `batches`, enabled by default).
//! - [`probe`] checks the permissions and the behaviour of a bucket for operators.
//! - `conformance`, `faults` and `intercept` are a test suite for bucket implementations, and
//!   wrappers that inject faults or record operations (feature `test-util`).
//!
//! # Features
//!
//! `aws`, `gcp` and `azure` enable the three clouds. A location in a cloud that is not enabled
//! yields [`BucketError::FeatureMissing`].
//!
//! # Errors
//!
//! Every operation returns a [`BucketError`], which names the bucket and the object and never
//! contains a secret. [`BucketError::disposition`] tells whether a task should be retried
//! ([`Disposition::Retry`]) or rejected ([`Disposition::Reject`]). Single requests to a cloud are
//! retried with backoff for up to two minutes before an error is returned.

#[cfg(feature = "batches")]
pub mod batch;
mod blocking;
mod bucket;
mod cloud;
#[cfg(any(test, feature = "test-util"))]
pub mod conformance;
mod error;
#[cfg(any(test, feature = "test-util"))]
pub mod faults;
#[cfg(any(test, feature = "test-util"))]
pub mod intercept;
mod key;
mod local;
mod memory;
mod open;
mod place;
pub mod probe;
mod publish;
mod record;
#[cfg(any(test, feature = "test-util"))]
pub mod recorded;
mod retry;
mod settings;
mod store;
mod url;

pub use blocking::{BlockingReader, BlockingWriter};
pub use bucket::{Bucket, CLOCK, Created, Entry, ListRange, Object, SharedBucket, Upload};
pub use error::{BucketError, Disposition};
pub use local::LocalBucket;
pub use memory::memory;
pub use open::open;
pub use place::{BucketPlace, BucketWithSettings};
pub use publish::{Published, digest, publish_bytes, publish_stream, read_all};
pub use record::{Opening, RecordFault, RecordKey, RecordKeyError, Records, TRAILER_BYTES};
pub use retry::retry;
pub use settings::BucketSettings;
pub use url::BucketUrl;
