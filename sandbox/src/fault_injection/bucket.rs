//! A bucket with the date of the sandbox clock and with injected faults.

use std::sync::Arc;

use async_trait::async_trait;
use tallybox_service::clock::Clock;
use tallybox_transport::intercept::{Decision, Intercepted, Interceptor, OperationKind, Request};
use tallybox_transport::{BucketError, SharedBucket};

use super::FaultInjector;
use super::fault_injector::{ANSWER_LOST, FAILED, InjectedFault};

/// A bucket as one process of a sandbox sees it.
#[derive(Debug)]
pub struct ChaosBucket {
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
        let bucket = Self {
            clock: clock.clone(),
            faults: faults.cloned(),
        };
        Intercepted::wrap(inner, bucket)
    }
}

#[async_trait]
impl Interceptor for ChaosBucket {
    async fn before(&self, request: &Request<'_>) -> Result<Decision, BucketError> {
        // In cloud buckets a small upload begins with its commit, so there is no earlier request
        // that could fail.
        let is_upload = matches!(
            request.kind,
            OperationKind::Create | OperationKind::Write | OperationKind::Abort
        );
        let Some(faults) = self.faults.as_ref().filter(|_| !is_upload) else {
            return Ok(Decision::Proceed);
        };
        match faults.draw_fault().await {
            InjectedFault::Good => Ok(Decision::Proceed),
            InjectedFault::Fails => Err(request.unavailable(FAILED)),
            InjectedFault::AnswerLost => {
                Ok(Decision::FailAfterEffect(request.unavailable(ANSWER_LOST)))
            }
        }
    }

    fn date(&self) -> Option<i64> {
        Some(self.clock.millis())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use bytes::Bytes;
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
