//! Keeps a lease from the moment a message is received until it is settled, whatever the task is busy with.

use super::{Kind, Worker};
use std::sync::Arc;
use std::time::Duration;
use tallybox_queue::{Lease, QueueError, SharedQueue};
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// The shortest time between two extensions.
const SHORTEST: Duration = Duration::from_millis(20);

/// A lease that is kept until this is dropped.
pub(super) struct Keeper(JoinHandle<()>);

impl Keeper {
    /// Begins to keep a lease that has just been taken.
    pub(super) fn start(worker: &Arc<Worker>, kind: Kind, queue: &SharedQueue, lease: &Lease) -> Self {
        let (worker, queue, lease) = (Arc::clone(worker), Arc::clone(queue), lease.clone());
        Self(tokio::spawn(async move { keep(&worker, kind, &queue, &lease).await }))
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Extends whenever a third of the lease has passed; after a failure sooner, so that there are several tries before it
/// runs out. One that is lost is not got back: the work goes on, since doing it twice changes nothing.
async fn keep(worker: &Worker, kind: Kind, queue: &SharedQueue, lease: &Lease) {
    let by = worker.config.lease_extension_secs.map(Duration::from_secs);
    let by = by.unwrap_or_else(|| queue.lease_time());
    let usual = (queue.lease_time().min(by) / 3).max(SHORTEST);
    let mut pause = usual;
    loop {
        sleep(pause).await;
        match queue.extend(lease, by).await {
            Ok(()) => {
                worker.metrics.leases_extended.inc();
                pause = usual;
            }
            Err(error @ QueueError::LeaseLost { .. }) => {
                worker.metrics.leases_lost.inc();
                worker.metrics.queue_error(kind, "extend", &error);
                return;
            }
            Err(error) => {
                worker.metrics.queue_error(kind, "extend", &error);
                pause = (usual / 4).max(SHORTEST);
            }
        }
    }
}
