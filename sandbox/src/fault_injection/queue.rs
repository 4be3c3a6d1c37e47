//! A queue with injected faults: messages are delivered twice, late and out of order, and (which no
//! queue should do) lost.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tallybox_queue::{Delivery, Depth, Lease, QueueError, SharedQueue, TaskQueue};

use super::FaultInjector;
use super::fault_injector::{ANSWER_LOST, FAILED, InjectedError, InjectedFault};

/// Maximum delay of a message that is deferred behind others.
const MAX_DEFERRAL: Duration = Duration::from_millis(1500);
/// Maximum number of messages that are deferred in one receive.
const MAX_DEFERRED_MESSAGES: usize = 3;

/// A queue with a fault profile.
#[derive(Debug)]
pub struct ChaosQueue {
    inner: SharedQueue,
    faults: Arc<FaultInjector>,
}

impl ChaosQueue {
    /// Wraps a queue with this fault profile.
    #[must_use]
    pub fn shared(inner: SharedQueue, faults: &Arc<FaultInjector>) -> SharedQueue {
        Arc::new(Self {
            inner,
            faults: Arc::clone(faults),
        })
    }

    async fn run<T>(
        &self,
        operation: &'static str,
        work: impl Future<Output = Result<T, QueueError>>,
    ) -> Result<T, QueueError> {
        let injected = |by: InjectedError| QueueError::Unavailable {
            queue: self.inner.location(),
            operation,
            source: Box::new(by),
        };
        match self.faults.draw_fault().await {
            InjectedFault::Good => work.await,
            InjectedFault::Fails => Err(injected(FAILED)),
            InjectedFault::AnswerLost => {
                work.await?;
                Err(injected(ANSWER_LOST))
            }
        }
    }
}

#[async_trait]
impl TaskQueue for ChaosQueue {
    async fn publish(&self, body: Bytes) -> Result<(), QueueError> {
        let chances = self.faults.chances();
        self.run("publish", async {
            if self.faults.happens(chances.vanished) {
                return Ok(());
            }
            if self.faults.happens(chances.doubled) {
                self.inner.publish(body.clone()).await?;
            }
            self.inner.publish(body.clone()).await
        })
        .await
    }

    async fn receive(&self, wait: Duration) -> Result<Option<Delivery>, QueueError> {
        // A lost answer here is a message that is leased to no worker until its lease ends, so no
        // further fault is needed.
        let mut wait = wait;
        for _ in 0..MAX_DEFERRED_MESSAGES {
            let received = self.inner.receive(wait).await?;
            let Some(delivery) = received else {
                return Ok(None);
            };
            if !self.faults.happens(self.faults.chances().passed) {
                return self.run("receive", async { Ok(Some(delivery)) }).await;
            }
            self.inner
                .nack(&delivery.lease, self.faults.within(MAX_DEFERRAL))
                .await?;
            wait = Duration::ZERO;
        }
        self.inner.receive(wait).await
    }

    async fn ack(&self, lease: &Lease) -> Result<(), QueueError> {
        self.run("ack", self.inner.ack(lease)).await
    }

    async fn nack(&self, lease: &Lease, delay: Duration) -> Result<(), QueueError> {
        self.run("nack", self.inner.nack(lease, delay)).await
    }

    async fn extend(&self, lease: &Lease, by: Duration) -> Result<(), QueueError> {
        self.run("extend", self.inner.extend(lease, by)).await
    }

    async fn reject(&self, delivery: &Delivery, reason: &str) -> Result<(), QueueError> {
        self.run("reject", self.inner.reject(delivery, reason))
            .await
    }

    async fn depth(&self) -> Result<Depth, QueueError> {
        self.inner.depth().await
    }

    fn lease_time(&self) -> Duration {
        self.inner.lease_time()
    }

    fn location(&self) -> String {
        self.inner.location()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use tallybox_queue::MemoryQueue;

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

    async fn ready(chances: FaultProfile) -> u64 {
        let inner: SharedQueue = Arc::new(MemoryQueue::new("intake", Duration::from_secs(5)));
        let queue = ChaosQueue::shared(inner.clone(), &Arc::new(FaultInjector::new(chances, 1)));
        let _ = queue.publish(Bytes::from_static(b"task")).await;
        inner.depth().await.unwrap().ready.unwrap()
    }

    #[tokio::test]
    async fn messages_vanish_and_are_doubled() {
        assert_eq!(ready(NO_FAULTS).await, 1);
        assert_eq!(
            ready(FaultProfile {
                vanished: 1000,
                ..NO_FAULTS
            })
            .await,
            0
        );
        assert_eq!(
            ready(FaultProfile {
                doubled: 1000,
                ..NO_FAULTS
            })
            .await,
            2
        );
        assert_eq!(
            ready(FaultProfile {
                failed: 1000,
                ..NO_FAULTS
            })
            .await,
            0
        );
        assert_eq!(
            ready(FaultProfile {
                lost: 1000,
                ..NO_FAULTS
            })
            .await,
            1
        );
    }

    #[tokio::test]
    async fn a_message_that_is_passed_comes_all_the_same() {
        let inner: SharedQueue = Arc::new(MemoryQueue::new("intake", Duration::from_secs(5)));
        let passed = FaultProfile {
            passed: 500,
            ..NO_FAULTS
        };
        let queue = ChaosQueue::shared(inner, &Arc::new(FaultInjector::new(passed, 1)));
        for body in ["one", "two", "three"] {
            queue
                .publish(Bytes::from_static(body.as_bytes()))
                .await
                .unwrap();
        }
        let mut received = Vec::new();
        while received.len() < 3 {
            if let Some(delivery) = queue.receive(Duration::from_secs(2)).await.unwrap() {
                queue.ack(&delivery.lease).await.unwrap();
                received.push(delivery.body);
            }
        }
        received.sort();
        assert_eq!(received, ["one", "three", "two"]);
    }
}
