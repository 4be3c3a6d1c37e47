//! The buckets of a processor as the workflow manager uses them: listings, and authenticated
//! records in the own bucket.

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use tallybox_model::path::BatchName;
use tallybox_model::roster::WindowName;
use tallybox_model::task::{TASK_SIZE_LIMIT, WindowBatches};
use tallybox_transport::{Bucket, BucketError, Created, ListRange, Records, SharedBucket};

/// The buckets that are scanned.
#[derive(Clone, Debug)]
pub struct ManagerBuckets {
    /// The ingestion bucket, to which the ingestor writes.
    pub ingestion: SharedBucket,
    /// The processor's own bucket.
    pub own: SharedBucket,
    /// The mailbox to which the peer writes.
    pub peer_validation_in: SharedBucket,
    /// The keys that authenticate and verify the records in the processor's own bucket.
    pub records: Records,
}

impl ManagerBuckets {
    /// Writes a record to the own bucket, unless an object of this name exists.
    pub(crate) async fn put_record(
        &self,
        name: &str,
        payload: &[u8],
    ) -> Result<Created, BucketError> {
        self.records.put(&*self.own, name, payload).await
    }

    /// Reads a record of the own bucket with a payload of at most `limit` bytes; `None` if it does
    /// not exist.
    pub(crate) async fn read_record(
        &self,
        name: &str,
        limit: u64,
    ) -> Result<Option<Bytes>, BucketError> {
        self.records.read(&*self.own, name, limit).await
    }

    /// Returns whether an object exists in the own bucket.
    pub(crate) async fn own_has(&self, key: &str) -> Result<bool, BucketError> {
        match self.own.size(key).await {
            Ok(_) => Ok(true),
            Err(BucketError::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Returns whether a prepared batch exists, whichever key seals it.
    pub(crate) async fn is_prepared(&self, name: &BatchName) -> Result<bool, BucketError> {
        let directory = format!("{}/{}", name.aggregation, name.date);
        let range = (format!("{name}."), format!("{name}/"));
        let mut keys = list_keys(&*self.own, &directory, range).await?;
        while let Some(key) = keys.try_next().await? {
            if BatchName::from_prepared(&key).as_ref() == Some(name) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Reads the batches that were fixed for a window.
    pub(crate) async fn fixed_batches(
        &self,
        name: &WindowName,
    ) -> Result<WindowBatches, BucketError> {
        let key = name.batches();
        let bucket = self.own.location();
        let Some(payload) = self.read_record(&key, TASK_SIZE_LIMIT as u64).await? else {
            return Err(BucketError::NotFound { key, bucket });
        };
        WindowBatches::parse(&name.aggregation, &payload).map_err(|error| {
            BucketError::Unavailable {
                key,
                bucket,
                source: Box::new(error),
            }
        })
    }
}

/// Lists the keys of a directory in a half-open range. The listing is streamed and never held in
/// memory.
pub(super) async fn list_keys<'a>(
    bucket: &'a dyn Bucket,
    directory: &str,
    (start_at, end_before): (String, String),
) -> Result<BoxStream<'a, Result<String, BucketError>>, BucketError> {
    let range = ListRange {
        start_at: Some(start_at),
        end_before: Some(end_before),
    };
    let entries = bucket.list(directory, range).await?;
    Ok(entries.map_ok(|entry| entry.key).boxed())
}
