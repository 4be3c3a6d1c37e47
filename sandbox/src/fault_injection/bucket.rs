//! A bucket with the date of the sandbox clock and with injected faults.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use tallybox_service::clock::Clock;
use tallybox_transport::{
    Bucket, BucketError, CLOCK, Created, Entry, ListRange, Object, SharedBucket, Upload,
};

use super::FaultInjector;
use super::fault_injector::{ANSWER_LOST, FAILED, InjectedError, InjectedFault};

/// A bucket as one process of a sandbox sees it.
#[derive(Debug, Clone)]
pub struct ChaosBucket {
    inner: SharedBucket,
    clock: Clock,
    faults: Option<Arc<FaultInjector>>,
}

impl ChaosBucket {
    /// Wraps a bucket with this clock, and with a fault profile if one is given.
    #[must_use]
    pub fn shared(
        inner: SharedBucket,
        clock: &Clock,
        faults: Option<&Arc<FaultInjector>>,
    ) -> SharedBucket {
        Arc::new(Self {
            inner,
            clock: clock.clone(),
            faults: faults.cloned(),
        })
    }

    fn injected(&self, key: &str, by: InjectedError) -> BucketError {
        BucketError::Unavailable {
            key: key.to_owned(),
            bucket: self.inner.location(),
            source: Box::new(by),
        }
    }

    async fn run<T>(
        &self,
        key: &str,
        operation: impl Future<Output = Result<T, BucketError>>,
    ) -> Result<T, BucketError> {
        let Some(faults) = &self.faults else {
            return operation.await;
        };
        match faults.draw_fault().await {
            InjectedFault::Good => operation.await,
            InjectedFault::Fails => Err(self.injected(key, FAILED)),
            InjectedFault::AnswerLost => {
                operation.await?;
                Err(self.injected(key, ANSWER_LOST))
            }
        }
    }
}

#[async_trait]
impl Bucket for ChaosBucket {
    async fn get(&self, key: &str) -> Result<Object, BucketError> {
        self.run(key, self.inner.get(key)).await
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, BucketError> {
        self.run(key, self.inner.get_range(key, range)).await
    }

    async fn size(&self, key: &str) -> Result<u64, BucketError> {
        self.run(key, self.inner.size(key)).await
    }

    async fn create(
        &self,
        key: &str,
        size_hint: Option<u64>,
    ) -> Result<Box<dyn Upload>, BucketError> {
        // No fault here: in cloud buckets a small upload begins with its commit, so there is no
        // request that could fail.
        let inner = self.inner.create(key, size_hint).await?;
        Ok(Box::new(SandboxUpload {
            inner,
            bucket: self.clone(),
            key: key.to_owned(),
        }))
    }

    async fn list(
        &self,
        prefix: &str,
        range: ListRange,
    ) -> Result<BoxStream<'static, Result<Entry, BucketError>>, BucketError> {
        self.run(prefix, self.inner.list(prefix, range)).await
    }

    async fn list_directories(&self, prefix: &str) -> Result<Vec<String>, BucketError> {
        self.run(prefix, self.inner.list_directories(prefix)).await
    }

    async fn delete(&self, key: &str) -> Result<(), BucketError> {
        self.run(key, self.inner.delete(key)).await
    }

    async fn date(&self) -> Result<i64, BucketError> {
        self.run(CLOCK, async { Ok(self.clock.millis()) }).await
    }

    fn location(&self) -> String {
        self.inner.location()
    }

    fn stores_empty_objects(&self) -> bool {
        self.inner.stores_empty_objects()
    }
}

struct SandboxUpload {
    inner: Box<dyn Upload>,
    bucket: ChaosBucket,
    key: String,
}

#[async_trait]
impl Upload for SandboxUpload {
    async fn write(&mut self, bytes: Bytes) -> Result<(), BucketError> {
        self.inner.write(bytes).await
    }

    async fn commit(self: Box<Self>) -> Result<Created, BucketError> {
        let Self { inner, bucket, key } = *self;
        bucket.run(&key, inner.commit()).await
    }

    async fn abort(self: Box<Self>) {
        self.inner.abort().await;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use tallybox_transport::{memory, publish_bytes, read_all};

    use super::*;
    use crate::fault_injection::FaultProfile;

    const NO_FAULTS: FaultProfile = FaultProfile {
        delayed: 0,
        stalled: 0,
        failed: 0,
        lost: 0,
        doubled: 0,
        vanished: 0,
        passed: 0,
    };

    #[tokio::test]
    async fn its_date_is_that_of_the_sandbox() {
        let clock = Clock::manual(42);
        let bucket = ChaosBucket::shared(memory("own"), &clock, None);
        clock.set(43);
        assert_eq!(bucket.date().await.unwrap(), 43);
    }

    #[tokio::test]
    async fn an_object_may_be_there_though_the_answer_is_lost() {
        let inner = memory("own");
        let injector = |chances| Arc::new(FaultInjector::new(chances, 1));
        let lost = injector(FaultProfile {
            lost: 1000,
            ..NO_FAULTS
        });
        let bucket = ChaosBucket::shared(inner.clone(), &Clock::system(), Some(&lost));
        let mut upload = bucket.create("a", None).await.unwrap();
        upload.write(Bytes::from_static(b"x")).await.unwrap();
        assert!(matches!(
            upload.commit().await,
            Err(BucketError::Unavailable { .. })
        ));
        assert_eq!(read_all(&*inner, "a", 10).await.unwrap(), "x");

        let failed = injector(FaultProfile {
            failed: 1000,
            ..NO_FAULTS
        });
        let bucket = ChaosBucket::shared(inner.clone(), &Clock::system(), Some(&failed));
        let put = publish_bytes(&*bucket, "b", Bytes::from_static(b"x"), false).await;
        assert!(matches!(put, Err(BucketError::Unavailable { .. })));
        assert!(matches!(
            inner.get("b").await,
            Err(BucketError::NotFound { .. })
        ));
    }
}
