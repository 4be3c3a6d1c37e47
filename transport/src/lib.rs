//! Bytes in buckets: local directories, memory, S3, GCS, Azure; signed batches as streams.
//!
//! A [`Bucket`] holds objects that appear whole and never change. Its location is a [`BucketUrl`], opened with
//! [`BucketSettings`] by [`open`]. [`publish_bytes`] and [`publish_stream`] make an object that is the same whoever
//! makes it and however often; [`Records`] makes objects of our own that only we can make or change; [`BlockingReader`] and [`BlockingWriter`] lead to code that runs on blocking threads.
//! `batch` makes signed batches of such objects (feature `batches`, on unless a program turns it off).

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
pub use settings::BucketSettings;
pub use url::BucketUrl;
