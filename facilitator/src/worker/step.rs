//! Receive one message, handle it, settle it.

use super::delay::retry_delay;
use super::handle::{Handled, handled};
use super::{Kind, Outcome, Worker};
use crate::intake::{Progress, no_progress};
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tallybox_queue::{Delivery, QueueError, TaskQueue};
use tokio::time::Instant;

/// Messages whose attempts are remembered, for queues that do not count.
const REMEMBERED: usize = 4096;

/// Takes one message of this kind's queue, waiting up to `wait` for it, and deals with it to its end; `None` if there was
/// none. Nothing goes on in the background, and the lease is not extended: for simulations and tests.
///
/// # Errors
/// The queue's if nothing can be received. One that cannot be settled is only logged and counted: it comes back.
pub async fn step(worker: &Worker, kind: Kind, wait: Duration) -> Result<Option<Outcome>, QueueError> {
    let Ok(queue) = worker.queue(kind) else {
        return Ok(None);
    };
    let received = queue.receive(wait).await;
    let received = received.inspect_err(|error| worker.metrics.queue_error(kind, "receive", error))?;
    let Some(delivery) = received else {
        return Ok(None);
    };
    let handled = worker.work(kind, &delivery, &no_progress()).await;
    // One that fails is logged and counted.
    let _ = worker.settle(kind, &**queue, &delivery, &handled.outcome).await;
    Ok(Some(handled.outcome))
}

impl Worker {
    /// Does what a message asks for, and counts it.
    pub(super) async fn work(&self, kind: Kind, delivery: &Delivery, progress: &Progress) -> Handled {
        let begun = Instant::now();
        let processor = self.processor();
        let mut handled = handled(&processor, kind, &delivery.body, progress).await;
        if handled.found.suspicious {
            let attempt = self.attempts.of(delivery);
            if attempt >= self.config.attempts_at_a_panic
                && let Outcome::Retry { reason, .. } = &handled.outcome
            {
                let reason = format!("{reason} (attempt {attempt})");
                tracing::error!(reason, "task was tried often enough; rejected");
                handled.outcome = Outcome::Reject { reason };
            }
        }
        self.metrics.task(&handled, begun.elapsed());
        self.metrics.packet_keys(&processor);
        handled
    }

    /// Tells the queue what became of a message.
    pub(super) async fn settle(
        &self,
        kind: Kind,
        queue: &dyn TaskQueue,
        delivery: &Delivery,
        outcome: &Outcome,
    ) -> Result<(), QueueError> {
        let (operation, settled) = match outcome {
            Outcome::Done => ("ack", queue.ack(&delivery.lease).await),
            Outcome::Retry { delay, .. } => {
                let usual = || retry_delay(self.config.retry_delay, self.attempts.next(delivery), &delivery.body);
                let delay = delay.unwrap_or_else(usual);
                ("nack", queue.nack(&delivery.lease, delay).await)
            }
            Outcome::Reject { reason } => ("reject", queue.reject(delivery, reason).await),
        };
        match &settled {
            Ok(()) if !matches!(outcome, Outcome::Retry { .. }) => self.attempts.forget(delivery),
            Ok(()) => {}
            Err(error) => self.metrics.queue_error(kind, operation, error),
        }
        settled
    }
}

/// How often messages were tried, for queues that do not count.
#[derive(Debug, Default)]
pub(super) struct Attempts(Mutex<HashMap<[u8; 32], u32>>);

impl Attempts {
    /// Which attempt this is, from 1.
    pub(super) fn of(&self, delivery: &Delivery) -> u32 {
        let known = || {
            let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            known.get(&key(delivery)).copied().unwrap_or(0) + 1
        };
        delivery.attempt.unwrap_or_else(known).max(1)
    }

    /// Which attempt this is; the next one is one more.
    fn next(&self, delivery: &Delivery) -> u32 {
        let attempt = self.of(delivery);
        if delivery.attempt.is_none() {
            let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            // Past the end all begin again: delays get short, and nothing is lost.
            if known.len() >= REMEMBERED {
                known.clear();
            }
            known.insert(key(delivery), attempt);
        }
        attempt
    }

    fn forget(&self, delivery: &Delivery) {
        if delivery.attempt.is_none() {
            let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            known.remove(&key(delivery));
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
        let (one, other, counted) = (delivery("one", None), delivery("other", None), delivery("one", Some(7)));
        assert_eq!([attempts.next(&one), attempts.next(&one), attempts.of(&one)], [1, 2, 3]);
        assert_eq!((attempts.of(&other), attempts.next(&counted)), (1, 7));
        attempts.forget(&one);
        assert_eq!(attempts.of(&one), 1);
    }
}
