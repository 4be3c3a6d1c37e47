//! The main loop: concurrent tasks, lease renewal, graceful shutdown.

use super::lease_renewer::LeaseRenewer;
use super::{Outcome, Worker};
use std::sync::Arc;
use std::time::Duration;
use tallybox_model::cause::chain;
use tallybox_model::task::QueueKind;
use tallybox_queue::{Delivery, QueueError, SharedQueue, TaskQueue};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long one request to a queue waits for a message.
const RECEIVE_WAIT: Duration = Duration::from_secs(10);
/// The pause after the first failed request to a queue; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// How often the worker tries to acknowledge, give back or reject a message.
const ACKNOWLEDGE_ATTEMPTS: u32 = 4;

/// During shutdown: how long the worker waits for a pending request for a message. Otherwise the
/// message could arrive unnoticed and stay leased until its lease expires.
const LAST_RECEIVE_TIMEOUT: Duration = Duration::from_secs(1);
/// During shutdown: how long running tasks may take to finish before they are given back.
const LAST_WORK_TIMEOUT: Duration = Duration::from_millis(2500);
/// During shutdown: the deadline by which everything is given back.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_millis(4500);

/// Takes tasks of these kinds until `stop`. Then takes no more tasks, lets running tasks finish for
/// a moment, and gives the others back. Returns within five seconds of `stop`.
pub async fn run(worker: Arc<Worker>, kinds: &[QueueKind], stop: CancellationToken) {
    let (tasks, give_back) = (TaskTracker::new(), CancellationToken::new());
    let receivers = TaskTracker::new();
    for kind in kinds {
        let Ok(queue) = worker.queue(*kind) else {
            continue;
        };
        let receiver = Receiver {
            queue: Arc::clone(queue),
            worker: Arc::clone(&worker),
            kind: *kind,
            stop: stop.clone(),
            tasks: tasks.clone(),
            give_back: give_back.clone(),
        };
        receivers.spawn(receiver.run());
    }
    receivers.close();
    stop.cancelled().await;
    let begun = Instant::now();
    worker.state.drain();
    tracing::info!(tasks = tasks.len(), "worker shuts down");
    if timeout_at(begun + LAST_WORK_TIMEOUT, receivers.wait())
        .await
        .is_err()
    {
        tracing::warn!("queue did not answer before the shutdown deadline");
    }
    tasks.close();
    if timeout_at(begun + LAST_WORK_TIMEOUT, tasks.wait())
        .await
        .is_err()
    {
        tracing::info!(tasks = tasks.len(), "unfinished tasks are given back");
        give_back.cancel();
        if timeout_at(begun + SHUTDOWN_TIMEOUT, tasks.wait())
            .await
            .is_err()
        {
            tracing::warn!(
                tasks = tasks.len(),
                "tasks could not be given back; they return when their leases expire"
            );
        }
    }
}

/// The receiver of one queue's messages.
struct Receiver {
    worker: Arc<Worker>,
    queue: SharedQueue,
    kind: QueueKind,
    stop: CancellationToken,
    tasks: TaskTracker,
    give_back: CancellationToken,
}

impl Receiver {
    async fn run(self) {
        let permits = Arc::new(Semaphore::new(self.worker.config.concurrency));
        let mut failures = 0;
        // Reserve capacity before receiving: a message that would have to wait is better left to
        // other workers.
        while let Some(Ok(permit)) = self
            .stop
            .run_until_cancelled(Arc::clone(&permits).acquire_owned())
            .await
        {
            match self.receive().await {
                Ok(None) => failures = self.answered(),
                Ok(Some(delivery)) => {
                    failures = self.answered();
                    let task = RunningTask {
                        worker: Arc::clone(&self.worker),
                        queue: Arc::clone(&self.queue),
                        kind: self.kind,
                        delivery,
                        give_back: self.give_back.clone(),
                    };
                    self.tasks.spawn(async move {
                        task.run().await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    self.worker
                        .metrics
                        .queue_error(self.kind, "receive", &error);
                    let pause = FIRST_PAUSE
                        .saturating_mul(1 << failures.min(16))
                        .min(LONGEST_PAUSE);
                    failures += 1;
                    self.worker
                        .state
                        .queue_answers(self.kind, Err(chain(&error)));
                    let _ = self.stop.run_until_cancelled(sleep(pause)).await;
                }
            }
        }
    }

    /// Records that the queue answers. Returns the new number of consecutive failures, 0.
    fn answered(&self) -> u32 {
        self.worker.state.queue_answers(self.kind, Ok(()));
        0
    }

    /// Requests a message. After `stop`, gives a message that still arrives back at once.
    async fn receive(&self) -> Result<Option<Delivery>, QueueError> {
        let heartbeat = self
            .worker
            .watchdog
            .watch(format!("the {} queue", self.kind));
        let receiving = self.queue.receive(RECEIVE_WAIT);
        tokio::pin!(receiving);
        let received = tokio::select! {
            received = receiving.as_mut() => return received,
            () = self.stop.cancelled() => timeout(LAST_RECEIVE_TIMEOUT, receiving).await,
        };
        drop(heartbeat);
        if let Ok(Ok(Some(delivery))) = received {
            give_back(&self.worker, self.kind, &*self.queue, &delivery).await;
        }
        Ok(None)
    }
}

/// A message that is being processed.
struct RunningTask {
    worker: Arc<Worker>,
    queue: SharedQueue,
    kind: QueueKind,
    delivery: Delivery,
    give_back: CancellationToken,
}

impl RunningTask {
    async fn run(self) {
        let Self {
            worker,
            queue,
            kind,
            delivery,
            give_back: cancellation,
        } = self;
        let heartbeat = worker.watchdog.watch(format!("a task of the {kind} queue"));
        let _in_progress = worker.metrics.start_message(kind);
        let renewer = LeaseRenewer::start(&worker, kind, &queue, &delivery.lease);
        let progress = heartbeat.progress();
        let working = worker.work(kind, &delivery, &progress);
        let Some(result) = cancellation.run_until_cancelled(working).await else {
            drop(renewer);
            worker.metrics.given_back(kind);
            give_back(&worker, kind, &*queue, &delivery).await;
            return;
        };
        heartbeat.record();
        let acknowledging = acknowledge(&worker, kind, &*queue, &delivery, &result.outcome);
        let _ = cancellation.run_until_cancelled(acknowledging).await;
        drop(renewer);
    }
}

/// Acknowledges, gives back or rejects a message, with retries. If all of them fail, the queue
/// delivers the message again, which is safe because tasks are idempotent.
async fn acknowledge(
    worker: &Worker,
    kind: QueueKind,
    queue: &dyn TaskQueue,
    delivery: &Delivery,
    outcome: &Outcome,
) {
    for attempt in 0..ACKNOWLEDGE_ATTEMPTS {
        match worker.acknowledge(kind, queue, delivery, outcome).await {
            Ok(()) => return,
            Err(QueueError::LeaseLost { .. }) => {
                worker.metrics.leases_lost.inc();
                return;
            }
            Err(_) => sleep(FIRST_PAUSE.saturating_mul(1 << attempt)).await,
        }
    }
    tracing::warn!(
        queue = kind.as_str(),
        "outcome could not be reported to the queue; the message will be delivered again"
    );
}

/// Gives a message back for immediate redelivery to another worker.
async fn give_back(worker: &Worker, kind: QueueKind, queue: &dyn TaskQueue, delivery: &Delivery) {
    if let Err(error) = queue.nack(&delivery.lease, Duration::ZERO).await {
        worker.metrics.queue_error(kind, "nack", &error);
    }
}
