//! A simulated task queue with every behaviour that real queues are permitted to show: it delivers
//! messages twice, late and in any order, redelivers messages that were not acknowledged in time,
//! and occasionally loses one.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tallybox_queue::{Delivery, Depth, Lease, QueueError, SharedQueue, TaskQueue};

use crate::schedule::{Answer, Asked, Life, Millis, Schedule};

/// The faults of a queue, as probabilities per 1000.
#[derive(Clone, Copy, Debug, Default)]
pub struct QueueFaults {
    /// The probability that a published message is added to the queue twice.
    pub doubles: u64,
    /// The probability that a published message is lost.
    pub loses: u64,
    /// The probability that an acknowledgement is lost, so that the message is redelivered.
    pub forgets: u64,
    /// The duration of a lease.
    pub lease: Millis,
}

#[derive(Debug)]
struct Message {
    number: u64,
    body: Bytes,
    visible: Millis,
    attempts: u32,
}

#[derive(Debug, Default)]
struct State {
    messages: Vec<Message>,
    rejected: Vec<(Bytes, String)>,
    numbers: u64,
}

/// The messages of a simulated queue, shared by all processes that use it.
#[derive(Debug)]
pub struct StoredQueue {
    /// The name of the queue, for traces and digests.
    pub name: &'static str,
    faults: QueueFaults,
    state: Mutex<State>,
}

impl StoredQueue {
    /// Creates an empty queue.
    #[must_use]
    pub fn new(name: &'static str, faults: QueueFaults) -> Arc<Self> {
        Arc::new(Self {
            name,
            faults,
            state: Mutex::default(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the rejected messages with the reasons.
    pub fn rejected(&self) -> Vec<(Bytes, String)> {
        self.state().rejected.clone()
    }

    /// Returns whether a message can be received at `now`.
    pub fn is_ready(&self, now: Millis) -> bool {
        self.state()
            .messages
            .iter()
            .any(|message| message.visible <= now)
    }

    /// Returns the number of messages that wait or are leased.
    pub fn len(&self) -> usize {
        self.state().messages.len()
    }

    /// Returns whether the queue contains no message.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl State {
    fn add(&mut self, body: Bytes, visible: Millis) {
        self.numbers += 1;
        self.messages.push(Message {
            number: self.numbers,
            body,
            visible,
            attempts: 0,
        });
    }

    /// Returns the index of the message to which a lease belongs. A lease of an earlier delivery
    /// belongs to none.
    fn leased(&self, lease: &Lease) -> Option<usize> {
        self.messages.iter().position(|message| {
            lease.as_str() == format!("{}-{}", message.number, message.attempts)
        })
    }
}

/// Formats a message for traces and digests, without the trace id, which differs in each run.
fn describe(body: &[u8]) -> String {
    let Ok(serde_json::Value::Object(mut task)) = serde_json::from_slice(body) else {
        return format!("{} bytes", body.len());
    };
    task.remove("trace-id");
    serde_json::Value::Object(task).to_string()
}

/// A queue as one process sees it during one lifetime.
#[derive(Debug)]
pub struct SimQueue {
    stored: Arc<StoredQueue>,
    schedule: Arc<Schedule>,
    life: Arc<Life>,
}

impl SimQueue {
    /// Returns the queue as this lifetime of a process sees it.
    #[must_use]
    pub fn shared(
        stored: &Arc<StoredQueue>,
        schedule: &Arc<Schedule>,
        life: &Arc<Life>,
    ) -> SharedQueue {
        Arc::new(Self {
            stored: Arc::clone(stored),
            schedule: Arc::clone(schedule),
            life: Arc::clone(life),
        })
    }

    async fn run<T>(
        &self,
        verb: &'static str,
        key: &str,
        operation: impl FnOnce(&mut State) -> Result<T, QueueError> + Send,
    ) -> Result<T, QueueError> {
        let asked = Asked {
            verb,
            store: self.stored.name,
            key: key.to_owned(),
        };
        let answer = self.schedule.ask(&self.life, asked).await;
        let failed = || QueueError::Unavailable {
            queue: self.stored.name.to_owned(),
            operation: verb,
            source: format!("{answer:?}").into(),
        };
        match answer {
            Answer::Done => operation(&mut self.stored.state()),
            Answer::Lost | Answer::DiedAfter => {
                operation(&mut self.stored.state())?;
                Err(failed())
            }
            Answer::Failed | Answer::Died => Err(failed()),
        }
    }

    fn lost(&self) -> QueueError {
        QueueError::LeaseLost {
            queue: self.stored.name.to_owned(),
        }
    }

    fn later(&self, by: Duration) -> Millis {
        let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX / 4);
        self.schedule.now().saturating_add(by)
    }
}

#[async_trait]
impl TaskQueue for SimQueue {
    async fn publish(&self, body: Bytes) -> Result<(), QueueError> {
        self.run("publish", &describe(&body), |state| {
            let (now, faults) = (self.schedule.now(), self.stored.faults);
            if self.schedule.chance(faults.loses) {
                self.schedule.count("lost-messages");
                return Ok(());
            }
            let late =
                |schedule: &Schedule| now + i64::try_from(schedule.below(30_000)).unwrap_or(0);
            if self.schedule.chance(faults.doubles) {
                self.schedule.count("double-messages");
                state.add(body.clone(), late(&self.schedule));
            }
            state.add(body.clone(), late(&self.schedule));
            Ok(())
        })
        .await
    }

    async fn receive(&self, _wait: Duration) -> Result<Option<Delivery>, QueueError> {
        self.run("receive", "", |state| {
            let now = self.schedule.now();
            let ready: Vec<usize> = (0..state.messages.len())
                .filter(|index| state.messages[*index].visible <= now)
                .collect();
            if ready.is_empty() {
                return Ok(None);
            }
            // Real queues guarantee no order.
            let index = usize::try_from(self.schedule.below(ready.len() as u64)).unwrap_or(0);
            let message = &mut state.messages[ready[index]];
            message.attempts += 1;
            message.visible = now + self.stored.faults.lease;
            if message.attempts > 1 {
                self.schedule.count("redeliveries");
            }
            Ok(Some(Delivery {
                body: message.body.clone(),
                lease: Lease::new(format!("{}-{}", message.number, message.attempts)),
                attempt: Some(message.attempts),
                published: None,
                reason: None,
            }))
        })
        .await
    }

    async fn ack(&self, lease: &Lease) -> Result<(), QueueError> {
        self.run("ack", lease.as_str(), |state| {
            let index = state.leased(lease).ok_or_else(|| self.lost())?;
            if self.schedule.chance(self.stored.faults.forgets) {
                self.schedule.count("forgotten-acks");
                return Ok(());
            }
            state.messages.remove(index);
            Ok(())
        })
        .await
    }

    async fn nack(&self, lease: &Lease, delay: Duration) -> Result<(), QueueError> {
        self.run("nack", lease.as_str(), |state| {
            let index = state.leased(lease).ok_or_else(|| self.lost())?;
            state.messages[index].visible = self.later(delay);
            Ok(())
        })
        .await
    }

    async fn extend(&self, lease: &Lease, by: Duration) -> Result<(), QueueError> {
        self.run("extend", lease.as_str(), |state| {
            let index = state.leased(lease).ok_or_else(|| self.lost())?;
            state.messages[index].visible = self.later(by);
            Ok(())
        })
        .await
    }

    async fn reject(&self, delivery: &Delivery, reason: &str) -> Result<(), QueueError> {
        self.run("reject", reason, |state| {
            self.schedule.count("rejected-tasks");
            state
                .rejected
                .push((delivery.body.clone(), reason.to_owned()));
            if let Some(index) = state.leased(&delivery.lease) {
                state.messages.remove(index);
            }
            Ok(())
        })
        .await
    }

    async fn depth(&self) -> Result<Depth, QueueError> {
        self.run("depth", "", |state| {
            let now = self.schedule.now();
            let ready = state
                .messages
                .iter()
                .filter(|message| message.visible <= now)
                .count() as u64;
            Ok(Depth {
                ready: Some(ready),
                held: Some(state.messages.len() as u64 - ready),
                rejected: Some(state.rejected.len() as u64),
            })
        })
        .await
    }

    fn lease_time(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.stored.faults.lease).unwrap_or(0))
    }

    fn location(&self) -> String {
        format!("sim:{}", self.stored.name)
    }
}
