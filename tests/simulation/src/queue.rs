//! A queue of tasks in virtual time that does everything a queue at its worst does: it delivers twice, late, in any
//! order, hands out again what was not acknowledged in time, and now and then loses a message.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tallybox_queue::{Delivery, Depth, Lease, QueueError, SharedQueue, TaskQueue};

use crate::schedule::{Answer, Asked, Life, Millis, Schedule};

/// How bad a queue is: chances in 1000.
#[derive(Clone, Copy, Debug, Default)]
pub struct Habits {
    /// A published message stands in the queue twice.
    pub doubles: u64,
    /// A published message is gone.
    pub loses: u64,
    /// An acknowledgement is forgotten: the message comes again.
    pub forgets: u64,
    /// How long a message is ours once received.
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

/// The messages of a queue, shared by all who use it.
#[derive(Debug)]
pub struct Line {
    /// Its name.
    pub name: &'static str,
    habits: Habits,
    state: Mutex<State>,
}

impl Line {
    /// An empty one.
    #[must_use]
    pub fn new(name: &'static str, habits: Habits) -> Arc<Self> {
        Arc::new(Self {
            name,
            habits,
            state: Mutex::default(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was rejected, with the reasons.
    pub fn rejected(&self) -> Vec<(Bytes, String)> {
        self.state().rejected.clone()
    }

    /// Whether a message could be received now.
    pub fn is_ready(&self, now: Millis) -> bool {
        self.state().messages.iter().any(|message| message.visible <= now)
    }

    /// How many messages wait or are leased.
    pub fn len(&self) -> usize {
        self.state().messages.len()
    }

    /// Whether no message is there.
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

    /// The place of the message that this lease is for.
    fn leased(&self, lease: &Lease) -> Option<usize> {
        self.messages
            .iter()
            .position(|message| lease.as_str() == format!("{}-{}", message.number, message.attempts))
    }
}

/// A message for logs, without what is drawn anew each time.
fn describe(body: &[u8]) -> String {
    let Ok(serde_json::Value::Object(mut task)) = serde_json::from_slice(body) else {
        return format!("{} bytes", body.len());
    };
    task.remove("trace-id");
    serde_json::Value::Object(task).to_string()
}

/// A queue as one life of a process sees it.
#[derive(Debug)]
pub struct SimQueue {
    line: Arc<Line>,
    schedule: Arc<Schedule>,
    life: Arc<Life>,
}

impl SimQueue {
    /// The queue as this life sees it.
    #[must_use]
    pub fn shared(line: &Arc<Line>, schedule: &Arc<Schedule>, life: &Arc<Life>) -> SharedQueue {
        Arc::new(Self {
            line: Arc::clone(line),
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
            place: self.line.name,
            key: key.to_owned(),
        };
        let answer = self.schedule.ask(&self.life, asked).await;
        let failed = || QueueError::Unavailable {
            queue: self.line.name.to_owned(),
            operation: verb,
            source: format!("{answer:?}").into(),
        };
        match answer {
            Answer::Done => operation(&mut self.line.state()),
            Answer::Lost | Answer::DiedAfter => {
                operation(&mut self.line.state())?;
                Err(failed())
            }
            Answer::Failed | Answer::Died => Err(failed()),
        }
    }

    fn lost(&self) -> QueueError {
        QueueError::LeaseLost {
            queue: self.line.name.to_owned(),
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
            let (now, habits) = (self.schedule.now(), self.line.habits);
            if self.schedule.chance(habits.loses) {
                self.schedule.count("lost-messages");
                return Ok(());
            }
            let late = |schedule: &Schedule| now + i64::try_from(schedule.below(30_000)).unwrap_or(0);
            if self.schedule.chance(habits.doubles) {
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
                .filter(|place| state.messages[*place].visible <= now)
                .collect();
            if ready.is_empty() {
                return Ok(None);
            }
            let place = usize::try_from(self.schedule.below(ready.len() as u64)).unwrap_or(0);
            let message = &mut state.messages[ready[place]];
            message.attempts += 1;
            message.visible = now + self.line.habits.lease;
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
            let place = state.leased(lease).ok_or_else(|| self.lost())?;
            if self.schedule.chance(self.line.habits.forgets) {
                self.schedule.count("forgotten-acks");
                return Ok(());
            }
            state.messages.remove(place);
            Ok(())
        })
        .await
    }

    async fn nack(&self, lease: &Lease, delay: Duration) -> Result<(), QueueError> {
        self.run("nack", lease.as_str(), |state| {
            let place = state.leased(lease).ok_or_else(|| self.lost())?;
            state.messages[place].visible = self.later(delay);
            Ok(())
        })
        .await
    }

    async fn extend(&self, lease: &Lease, by: Duration) -> Result<(), QueueError> {
        self.run("extend", lease.as_str(), |state| {
            let place = state.leased(lease).ok_or_else(|| self.lost())?;
            state.messages[place].visible = self.later(by);
            Ok(())
        })
        .await
    }

    async fn reject(&self, delivery: &Delivery, reason: &str) -> Result<(), QueueError> {
        self.run("reject", reason, |state| {
            self.schedule.count("rejected-tasks");
            state.rejected.push((delivery.body.clone(), reason.to_owned()));
            if let Some(place) = state.leased(&delivery.lease) {
                state.messages.remove(place);
            }
            Ok(())
        })
        .await
    }

    async fn depth(&self) -> Result<Depth, QueueError> {
        self.run("depth", "", |state| {
            let now = self.schedule.now();
            let ready = state.messages.iter().filter(|message| message.visible <= now).count() as u64;
            Ok(Depth {
                ready: Some(ready),
                held: Some(state.messages.len() as u64 - ready),
                rejected: Some(state.rejected.len() as u64),
            })
        })
        .await
    }

    fn lease_time(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.line.habits.lease).unwrap_or(0))
    }

    fn location(&self) -> String {
        format!("sim:{}", self.line.name)
    }
}
