//! Patience with buckets that cannot be reached for a moment. A window has many slabs: if each failed read ended the run,
//! a spool that fails now and then would be one that is never batched.

use std::time::Duration;

use bytes::Bytes;
use tallybox_transport::{Bucket, BucketError, read_all};

/// A bucket that is asked again when it cannot be reached.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patient<'b> {
    pub(super) bucket: &'b dyn Bucket,
    /// How often it is asked.
    pub(super) tries: u32,
}

impl Patient<'_> {
    /// Reads an object of at most so many bytes.
    pub(super) async fn read(&self, key: &str, limit: u64) -> Result<Bytes, BucketError> {
        patiently(self.tries, || read_all(self.bucket, key, limit)).await
    }
}

/// Tries again, with growing pauses, what may succeed then.
pub(super) async fn patiently<T, F>(tries: u32, mut operation: impl FnMut() -> F) -> Result<T, BucketError>
where
    F: Future<Output = Result<T, BucketError>>,
{
    let mut pause = Duration::from_millis(100);
    for _ in 1..tries {
        match operation().await {
            Err(error @ BucketError::Unavailable { .. }) => {
                tracing::warn!(%error, "bucket not reached, trying again");
                tokio::time::sleep(pause).await;
                pause *= 3;
            }
            done => return done,
        }
    }
    operation().await
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use tallybox_transport::faults::{Faults, Kind};
    use tallybox_transport::{memory, publish_bytes};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_failed_read_is_tried_again_and_one_that_goes_on_is_not_for_ever() {
        let spool = memory("spool");
        publish_bytes(&*spool, "slab", Bytes::from_static(b"x"), false)
            .await
            .unwrap();
        for (kind, tries, good) in [(Kind::Fail, 2, true), (Kind::Fail, 1, false), (Kind::Die, 6, false)] {
            let faults = Faults::new(1, kind);
            let bucket = faults.wrap(spool.clone());
            let patient = Patient {
                bucket: &*bucket,
                tries,
            };
            let read = patient.read("slab", 10).await;
            assert_eq!(read.is_ok(), good, "{kind:?} {tries}: {read:?}");
            assert!(patient.read("none", 10).await.is_err());
        }
    }
}
