//! Renews a lease from the moment a message is received until it is acknowledged, given back or
//! rejected, whatever the task does in between.

use super::{Metrics, Worker};
use std::sync::Arc;
use std::time::Duration;
use tallybox_model::task::QueueKind;
use tallybox_queue::{Lease, QueueError, SharedQueue};
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// The shortest time between two renewals.
const SHORTEST_PAUSE: Duration = Duration::from_millis(20);

/// Renews a lease until this value is dropped.
pub(super) struct LeaseRenewer(JoinHandle<()>);

impl LeaseRenewer {
    /// Starts to renew a lease that has just been taken.
    pub(super) fn start(
        worker: &Worker,
        kind: QueueKind,
        queue: &SharedQueue,
        lease: &Lease,
    ) -> Self {
        let renewal = Renewal {
            kind,
            queue: Arc::clone(queue),
            lease: lease.clone(),
            by: worker.config.lease_extension_secs.map(Duration::from_secs),
            metrics: Arc::clone(&worker.metrics),
        };
        Self(tokio::spawn(renewal.renew()))
    }
}

impl Drop for LeaseRenewer {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A lease, and the parameters of its renewal.
struct Renewal {
    kind: QueueKind,
    queue: SharedQueue,
    lease: Lease,
    /// How far each renewal extends the lease; by default the queue's lease time.
    by: Option<Duration>,
    metrics: Arc<Metrics>,
}

impl Renewal {
    /// Renews the lease each time a third of it has passed. After a failure the next attempt comes
    /// sooner, so that several fit before the lease expires. A lost lease is not recovered: the
    /// task continues, since tasks are idempotent.
    async fn renew(self) {
        let by = self.by.unwrap_or_else(|| self.queue.lease_time());
        let usual = (self.queue.lease_time().min(by) / 3).max(SHORTEST_PAUSE);
        let mut pause = usual;
        loop {
            sleep(pause).await;
            match self.queue.extend(&self.lease, by).await {
                Ok(()) => {
                    self.metrics.leases_extended.inc();
                    pause = usual;
                }
                Err(error @ QueueError::LeaseLost { .. }) => {
                    self.metrics.leases_lost.inc();
                    self.metrics.queue_error(self.kind, "extend", &error);
                    return;
                }
                Err(error) => {
                    self.metrics.queue_error(self.kind, "extend", &error);
                    pause = (usual / 4).max(SHORTEST_PAUSE);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use tallybox_queue::{MemoryQueue, TaskQueue as _};

    const LEASE: Duration = Duration::from_secs(30);

    /// Renews the lease of a message for ten lease times. Returns how often the lease was renewed,
    /// and how long the message stays leased after the renewals stop.
    async fn renew_for_ten_leases(by: Option<Duration>) -> (u64, Duration) {
        let queue = MemoryQueue::new("intake", LEASE);
        queue.publish("task".into()).await.unwrap();
        let lease = queue.receive(Duration::ZERO).await.unwrap().unwrap().lease;
        let metrics = Arc::new(Metrics::new());
        let renewal = Renewal {
            kind: QueueKind::Intake,
            queue: Arc::new(queue.clone()),
            lease,
            by,
            metrics: Arc::clone(&metrics),
        };
        let renewer = LeaseRenewer(tokio::spawn(renewal.renew()));
        // Half a second more, so that the last renewal is half a second old.
        let received = queue
            .receive(10 * LEASE + Duration::from_millis(500))
            .await
            .unwrap();
        assert!(received.is_none(), "the lease expired");
        drop(renewer);
        let free = tokio::time::Instant::now();
        assert!(queue.receive(100 * LEASE).await.unwrap().is_some());
        (metrics.leases_extended.get(), free.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_is_extended_at_each_third_of_it_and_by_no_more_than_it() {
        let half = Duration::from_millis(500);
        for by in [None, Some(LEASE)] {
            let (extended, held) = renew_for_ten_leases(by).await;
            assert_eq!(extended, 30);
            assert!(held <= LEASE && held >= LEASE - 2 * half, "{held:?}");
        }
        // The shorter of both times determines the interval.
        let (extended, held) = renew_for_ten_leases(Some(LEASE / 2)).await;
        assert_eq!(extended, 60);
        assert!(
            held <= LEASE / 2 && held >= LEASE / 2 - 2 * half,
            "{held:?}"
        );
        let (extended, held) = renew_for_ten_leases(Some(2 * LEASE)).await;
        assert_eq!(extended, 30);
        assert!(
            held <= 2 * LEASE && held >= 2 * LEASE - 2 * half,
            "{held:?}"
        );
    }
}
