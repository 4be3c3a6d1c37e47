//! Receives one message, processes it, and ends its lease.

use super::delay::retry_delay;
use super::handle::{TaskResult, run_task};
use super::{Outcome, Worker};
use crate::progress::{ProgressCallback, no_progress};
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tallybox_model::task::QueueKind;
use tallybox_queue::{Delivery, QueueError, TaskQueue};
use tokio::time::Instant;

/// How many messages have their attempts counted here, for queues that do not count attempts.
const MOST_COUNTED_MESSAGES: usize = 4096;

/// Takes one message of this kind's queue, waiting up to `wait`, processes it and ends its lease.
/// Returns `None` if there was no message. Starts no background work and does not renew the lease:
/// for simulations and tests.
///
/// # Errors
/// The queue's error if the request for a message fails. A failure to end the lease is only logged
/// and counted, since the queue delivers the message again.
pub async fn step(
    worker: &Worker,
    kind: QueueKind,
    wait: Duration,
) -> Result<Option<Outcome>, QueueError> {
    let Ok(queue) = worker.queue(kind) else {
        return Ok(None);
    };
    let received = queue.receive(wait).await;
    let received =
        received.inspect_err(|error| worker.metrics.queue_error(kind, "receive", error))?;
    let Some(delivery) = received else {
        return Ok(None);
    };
    let result = worker.work(kind, &delivery, &no_progress()).await;
    // A failure is logged and counted in `acknowledge`; the queue delivers the message again.
    let _ = worker
        .acknowledge(kind, &**queue, &delivery, &result.outcome)
        .await;
    Ok(Some(result.outcome))
}

impl Worker {
    /// Runs the task of a message, and counts it in the metrics.
    pub(super) async fn work(
        &self,
        kind: QueueKind,
        delivery: &Delivery,
        progress: &ProgressCallback,
    ) -> TaskResult {
        let begun = Instant::now();
        let processor = self.processor();
        let mut result = run_task(&processor, kind, &delivery.body, progress).await;
        // Without a limit, a message that triggers a bug would be retried forever.
        if result.report.suspicious {
            let attempt = self.attempts.attempt(delivery);
            if attempt >= self.config.attempts_at_a_panic
                && let Outcome::Retry { reason, .. } = &result.outcome
            {
                let reason = format!("{reason} (attempt {attempt})");
                tracing::error!(
                    reason,
                    "task rejected: too many attempts ended in a panic or an internal error"
                );
                result.outcome = Outcome::Reject { reason };
            }
        }
        self.metrics.task(&result, begun.elapsed());
        self.metrics
            .packet_keys(&processor.keys, &processor.resources);
        result
    }

    /// Acknowledges, gives back or rejects a message, according to its outcome.
    pub(super) async fn acknowledge(
        &self,
        kind: QueueKind,
        queue: &dyn TaskQueue,
        delivery: &Delivery,
        outcome: &Outcome,
    ) -> Result<(), QueueError> {
        let (operation, response) = match outcome {
            Outcome::Done => ("ack", queue.ack(&delivery.lease).await),
            Outcome::Retry { delay, .. } => {
                let usual = || {
                    retry_delay(
                        self.config.retry_delay,
                        self.attempts.next(delivery),
                        &delivery.body,
                    )
                };
                let delay = delay.unwrap_or_else(usual);
                ("nack", queue.nack(&delivery.lease, delay).await)
            }
            Outcome::Reject { reason } => ("reject", queue.reject(delivery, reason).await),
        };
        match &response {
            Ok(()) if !matches!(outcome, Outcome::Retry { .. }) => {
                self.attempts.remove_count(delivery)
            }
            Ok(()) => {}
            Err(error) => self.metrics.queue_error(kind, operation, error),
        }
        response
    }
}

/// Counts attempts of messages, for queues that do not count them.
#[derive(Debug, Default)]
pub(super) struct Attempts(Mutex<HashMap<[u8; 32], u32>>);

impl Attempts {
    /// Returns the number of this attempt, from 1.
    pub(super) fn attempt(&self, delivery: &Delivery) -> u32 {
        let counted = || {
            let attempts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            attempts.get(&key(delivery)).copied().unwrap_or(0) + 1
        };
        delivery.attempt.unwrap_or_else(counted).max(1)
    }

    /// Returns the number of this attempt, and counts it.
    fn next(&self, delivery: &Delivery) -> u32 {
        let attempt = self.attempt(delivery);
        if delivery.attempt.is_none() {
            let mut attempts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            // At the limit all counters restart: retry delays become short again, and no message is
            // lost.
            if attempts.len() >= MOST_COUNTED_MESSAGES {
                attempts.clear();
            }
            attempts.insert(key(delivery), attempt);
        }
        attempt
    }

    fn remove_count(&self, delivery: &Delivery) {
        if delivery.attempt.is_none() {
            let mut attempts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            attempts.remove(&key(delivery));
        }
    }
}

fn key(delivery: &Delivery) -> [u8; 32] {
    Sha256::digest(&delivery.body).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use tallybox_queue::Lease;

    #[test]
    fn attempts_are_counted_where_the_queue_does_not() {
        let delivery = |body: &'static str, attempt| Delivery {
            body: Bytes::from_static(body.as_bytes()),
            lease: Lease::new("1"),
            attempt,
            published: None,
            reason: None,
        };
        let attempts = Attempts::default();
        let (one, other, counted) = (
            delivery("one", None),
            delivery("other", None),
            delivery("one", Some(7)),
        );
        assert_eq!(
            [
                attempts.next(&one),
                attempts.next(&one),
                attempts.attempt(&one)
            ],
            [1, 2, 3]
        );
        assert_eq!((attempts.attempt(&other), attempts.next(&counted)), (1, 7));
        attempts.remove_count(&one);
        assert_eq!(attempts.attempt(&one), 1);
    }
}
