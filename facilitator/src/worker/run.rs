//! The loop: several tasks at once, leases kept, and the way down.

use super::keeper::Keeper;
use super::{Kind, Outcome, Worker};
use std::sync::Arc;
use std::time::Duration;
use tallybox_queue::{Delivery, QueueError, SharedQueue, TaskQueue};
use tallybox_service::cause::chain;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long a queue is asked to wait for a message.
const WAIT: Duration = Duration::from_secs(10);
/// The pause after a queue has failed once, doubled each time, and its end.
const PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// How often a message is settled that a queue does not let us settle at once.
const SETTLE_TRIES: u32 = 4;

/// On the way down: how long a request for a message that is on its way is waited for, so that the message is not held
/// by nobody until its lease runs out.
const LAST_RECEIVE: Duration = Duration::from_secs(1);
/// How long tasks in hand may take to end; then they are given back.
const LAST_WORK: Duration = Duration::from_millis(2500);
/// By when everything is given back, from the beginning of the way down.
const LAST: Duration = Duration::from_millis(4500);

/// Takes tasks of these kinds until `stop`; then takes no more, gives what is in hand a moment to end, and gives back the
/// rest. Returns within five seconds of `stop`.
pub async fn run(worker: Arc<Worker>, kinds: &[Kind], stop: CancellationToken) {
    let (tasks, give_back) = (TaskTracker::new(), CancellationToken::new());
    let receivers = TaskTracker::new();
    for kind in kinds {
        let Ok(queue) = worker.queue(*kind) else { continue };
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
    tracing::info!(tasks = tasks.len(), "worker stops");
    if timeout_at(begun + LAST_WORK, receivers.wait()).await.is_err() {
        tracing::warn!("a queue did not answer in time");
    }
    tasks.close();
    if timeout_at(begun + LAST_WORK, tasks.wait()).await.is_err() {
        tracing::info!(tasks = tasks.len(), "tasks are given back");
        give_back.cancel();
        if timeout_at(begun + LAST, tasks.wait()).await.is_err() {
            tracing::warn!(
                tasks = tasks.len(),
                "tasks could not be given back; their leases run out"
            );
        }
    }
}

/// Takes messages of one queue.
struct Receiver {
    worker: Arc<Worker>,
    queue: SharedQueue,
    kind: Kind,
    stop: CancellationToken,
    tasks: TaskTracker,
    give_back: CancellationToken,
}

impl Receiver {
    async fn run(self) {
        let places = Arc::new(Semaphore::new(self.worker.config.concurrency));
        let mut failures = 0;
        // A place first, then a message: one that nobody works on is better left to other workers.
        while let Some(Ok(place)) = self.stop.run_until_cancelled(Arc::clone(&places).acquire_owned()).await {
            match self.receive().await {
                Ok(None) => failures = self.answered(),
                Ok(Some(delivery)) => {
                    failures = self.answered();
                    let task = InHand {
                        worker: Arc::clone(&self.worker),
                        queue: Arc::clone(&self.queue),
                        kind: self.kind,
                        delivery,
                        give_back: self.give_back.clone(),
                    };
                    self.tasks.spawn(async move {
                        task.run().await;
                        drop(place);
                    });
                }
                Err(error) => {
                    self.worker.metrics.queue_error(self.kind, "receive", &error);
                    let pause = PAUSE.saturating_mul(1 << failures.min(16)).min(LONGEST_PAUSE);
                    failures += 1;
                    self.worker.state.queue_answers(self.kind, Err(chain(&error)));
                    let _ = self.stop.run_until_cancelled(sleep(pause)).await;
                }
            }
        }
    }

    /// Notes that the queue answers; how often it has failed since.
    fn answered(&self) -> u32 {
        self.worker.state.queue_answers(self.kind, Ok(()));
        0
    }

    /// Asks for a message. When it is time to stop, one that comes all the same is given back at once.
    async fn receive(&self) -> Result<Option<Delivery>, QueueError> {
        let hand = self.worker.pulses.take(format!("the {} queue", self.kind));
        let receiving = self.queue.receive(WAIT);
        tokio::pin!(receiving);
        let received = tokio::select! {
            received = receiving.as_mut() => return received,
            () = self.stop.cancelled() => timeout(LAST_RECEIVE, receiving).await,
        };
        drop(hand);
        if let Ok(Ok(Some(delivery))) = received {
            give_back(&self.worker, self.kind, &*self.queue, &delivery).await;
        }
        Ok(None)
    }
}

/// A message that is being worked on.
struct InHand {
    worker: Arc<Worker>,
    queue: SharedQueue,
    kind: Kind,
    delivery: Delivery,
    give_back: CancellationToken,
}

impl InHand {
    async fn run(self) {
        let Self {
            worker,
            queue,
            kind,
            delivery,
            give_back: given_up,
        } = self;
        let hand = worker.pulses.take(format!("a task of the {kind} queue"));
        let _in_hand = worker.metrics.in_hand(kind);
        let keeper = Keeper::start(&worker, kind, &queue, &delivery.lease);
        let progress = hand.progress();
        let working = worker.work(kind, &delivery, &progress);
        let Some(handled) = given_up.run_until_cancelled(working).await else {
            drop(keeper);
            worker.metrics.handed_back(kind);
            give_back(&worker, kind, &*queue, &delivery).await;
            return;
        };
        hand.beat();
        let settling = settle(&worker, kind, &*queue, &delivery, &handled.outcome);
        let _ = given_up.run_until_cancelled(settling).await;
        drop(keeper);
    }
}

/// Settles a message, with some patience: what is not settled comes back, and is done a second time.
async fn settle(worker: &Worker, kind: Kind, queue: &dyn TaskQueue, delivery: &Delivery, outcome: &Outcome) {
    for attempt in 0..SETTLE_TRIES {
        match worker.settle(kind, queue, delivery, outcome).await {
            Ok(()) => return,
            Err(QueueError::LeaseLost { .. }) => {
                worker.metrics.leases_lost.inc();
                return;
            }
            Err(_) => sleep(PAUSE.saturating_mul(1 << attempt)).await,
        }
    }
    tracing::warn!(queue = kind.name(), "message could not be settled; it comes back");
}

/// Gives a message back at once, for another worker.
async fn give_back(worker: &Worker, kind: Kind, queue: &dyn TaskQueue, delivery: &Delivery) {
    if let Err(error) = queue.nack(&delivery.lease, Duration::ZERO).await {
        worker.metrics.queue_error(kind, "nack", &error);
    }
}
