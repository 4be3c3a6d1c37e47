//! Retries for buckets that cannot be reached temporarily. A run reads many slabs, plans and
//! records: if each failed read ended it, an unreliable spool would never be batched.

use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt as _;
use tallybox_model::cause::chain;
use tallybox_transport::{Bucket, BucketError, ListRange, Published, Records, read_all};

use crate::ingestor::Ingestor;

/// The time before the second attempt of an operation.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// A bucket whose operations are retried if it cannot be reached.
#[derive(Clone, Copy, Debug)]
pub(super) struct RetryingBucket<'b> {
    pub(super) bucket: &'b dyn Bucket,
    /// Authenticates the records of the bucket.
    pub(super) records: &'b Records,
    /// Most attempts of an operation.
    pub(super) tries: u32,
}

impl<'b> RetryingBucket<'b> {
    /// Returns an ingestor's spool, with the attempts that are configured.
    pub(super) fn spool(ingestor: &'b Ingestor) -> Self {
        Self {
            bucket: &*ingestor.spool,
            records: &ingestor.records,
            tries: ingestor.batches.write_tries,
        }
    }

    /// Reads an object of at most `limit` bytes.
    pub(super) async fn read(&self, key: &str, limit: u64) -> Result<Bytes, BucketError> {
        retry(self.tries, || read_all(self.bucket, key, limit)).await
    }

    /// Reads a record with a payload of at most `limit` bytes, or returns `None` if it does not
    /// exist.
    pub(super) async fn record(&self, key: &str, limit: u64) -> Result<Option<Bytes>, BucketError> {
        retry(self.tries, || self.records.read(self.bucket, key, limit)).await
    }

    /// Creates a record, or checks that the existing one has the same payload.
    pub(super) async fn create(&self, key: &str, payload: &[u8]) -> Result<Published, BucketError> {
        retry(self.tries, || {
            self.records.create(self.bucket, key, payload)
        })
        .await
    }

    /// Returns the error for an object that does not exist.
    pub(super) fn missing(&self, key: &str) -> BucketError {
        BucketError::NotFound {
            key: key.to_owned(),
            bucket: self.bucket.location(),
        }
    }

    /// Lists the names of all objects in a directory.
    pub(super) async fn keys(&self, directory: &str) -> Result<Vec<String>, BucketError> {
        retry(self.tries, || keys(self.bucket, directory)).await
    }
}

async fn keys(bucket: &dyn Bucket, directory: &str) -> Result<Vec<String>, BucketError> {
    let entries = bucket.list(directory, ListRange::default()).await?;
    entries.map_ok(|entry| entry.key).try_collect().await
}

/// Retries an operation with growing pauses while its bucket cannot be reached.
pub(super) async fn retry<T, F>(tries: u32, operation: impl FnMut() -> F) -> Result<T, BucketError>
where
    F: Future<Output = Result<T, BucketError>>,
{
    tallybox_transport::retry(tries, FIRST_PAUSE, should_retry, operation).await
}

fn should_retry(error: &BucketError) -> bool {
    let is_temporary = matches!(
        error,
        BucketError::Unavailable { .. } | BucketError::NotSettled { .. }
    );
    if is_temporary {
        tracing::warn!(
            error = chain(error),
            "bucket cannot be reached; the operation is retried"
        );
    }
    is_temporary
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use tallybox_transport::faults::{FaultKind, Faults};
    use tallybox_transport::{RecordKey, memory, publish_bytes};
    use zeroize::Zeroizing;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_failed_read_is_tried_again_and_one_that_goes_on_is_not_for_ever() {
        let spool = memory("spool");
        let records = Records::new(RecordKey::from_bytes(Zeroizing::new([7; 32])), [], &[]);
        publish_bytes(&*spool, "slab", Bytes::from_static(b"x"), false)
            .await
            .unwrap();
        for (kind, tries, good) in [
            (FaultKind::Fail, 2, true),
            (FaultKind::Fail, 1, false),
            (FaultKind::Die, 6, false),
        ] {
            let faults = Faults::new(1, kind);
            let bucket = faults.wrap(spool.clone());
            let retrying = RetryingBucket {
                bucket: &*bucket,
                records: &records,
                tries,
            };
            let read = retrying.read("slab", 10).await;
            assert_eq!(read.is_ok(), good, "{kind:?} {tries}: {read:?}");
            assert!(retrying.read("none", 10).await.is_err());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_from_a_tenth_of_a_second_threefold() {
        let begun = tokio::time::Instant::now();
        let done: Result<(), BucketError> = retry(4, || async {
            Err(BucketError::Unavailable {
                key: "slab".to_owned(),
                bucket: "spool".to_owned(),
                source: "timeout".into(),
            })
        })
        .await;
        assert!(done.is_err());
        let paused = begun.elapsed().as_millis();
        assert_eq!(paused, 100 + 300 + 900);
    }

    #[tokio::test]
    async fn what_is_known_not_to_exist_is_read_once() {
        let mut attempts = 0;
        let done: Result<(), BucketError> = retry(4, || {
            attempts += 1;
            async {
                Err(BucketError::NotFound {
                    key: "slab".to_owned(),
                    bucket: "spool".to_owned(),
                })
            }
        })
        .await;
        assert!(done.is_err());
        assert_eq!(attempts, 1);
    }
}
