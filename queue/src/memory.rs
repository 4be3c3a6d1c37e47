//! A queue in memory: for tests, for the simulation, and for programs that run several roles in one
//! process.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::limits::{REJECTED_DELAY, fit_reason, too_large};
use crate::{Delivery, Depth, Lease, QueueError, TaskQueue};

/// A source of time: the time since 1970, or since another origin that its owner chose.
pub type Now = Arc<dyn Fn() -> Duration + Send + Sync>;

/// Polling interval of a waiting receiver if the queue has its own time source, which cannot notify
/// it.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// The named queues of this process.
static NAMED: Mutex<BTreeMap<String, MemoryQueue>> = Mutex::new(BTreeMap::new());

/// A queue in memory. Clones share the same messages. Ready messages are delivered in the order in
/// which they became ready.
///
/// The queue is strict where the clouds are not: an operation with an expired lease always fails
/// with [`QueueError::LeaseLost`], even if no other receiver has the message.
#[derive(Clone)]
pub struct MemoryQueue {
    shared: Arc<Shared>,
    /// The queue of rejected messages; `None` for a queue of rejected messages itself.
    rejected: Option<Arc<Shared>>,
}

struct Shared {
    name: String,
    lease_time: Duration,
    time: Time,
    state: Mutex<State>,
    /// Notified when a message may have become ready.
    changed: Notify,
}

#[derive(Clone)]
enum Time {
    /// Tokio's time, which tests can pause. Contains the readings of both clocks at the creation of
    /// the queue.
    Tokio(Instant, Duration),
    /// The owner's time source.
    Source(Now),
}

#[derive(Default)]
struct State {
    /// All messages, ordered by the time at which they become ready and then by the order of the
    /// changes.
    messages: BTreeMap<(Duration, u64), Message>,
    /// The position of each leased message, by the number of the lease.
    leases: HashMap<u64, (Duration, u64)>,
    /// The last assigned number of a message, a change or a lease.
    last: u64,
}

struct Message {
    body: Bytes,
    attempt: u32,
    published: Duration,
    reason: Option<String>,
    /// The number of the last lease. The message is leased while `leases` contains this number.
    lease: Option<u64>,
}

impl MemoryQueue {
    /// Creates an empty queue that uses tokio's time.
    #[must_use]
    pub fn new(name: &str, lease_time: Duration) -> Self {
        Self::build(name, lease_time, Time::Tokio(Instant::now(), since_1970()))
    }

    /// Returns the queue of this name in this process; without a name, a new queue.
    pub(crate) fn named(name: &str, lease_time: Duration) -> Self {
        let create = || Self::new(name, lease_time);
        if name.is_empty() {
            return create();
        }
        let mut named = NAMED.lock().unwrap_or_else(PoisonError::into_inner);
        named.entry(name.to_owned()).or_insert_with(create).clone()
    }

    /// Creates an empty queue that uses the caller's time source. The queue is deterministic, and
    /// [`TaskQueue::receive`] without a wait neither sleeps nor needs a runtime.
    #[must_use]
    pub fn with_time(name: &str, lease_time: Duration, now: Now) -> Self {
        Self::build(name, lease_time, Time::Source(now))
    }

    fn build(name: &str, lease_time: Duration, time: Time) -> Self {
        let shared = |name: String| {
            Arc::new(Shared {
                name,
                lease_time,
                time: time.clone(),
                state: Mutex::default(),
                changed: Notify::new(),
            })
        };
        Self {
            shared: shared(format!("memory:{name}")),
            rejected: Some(shared(format!("memory:{name} (rejected)"))),
        }
    }

    /// Returns the queue of rejected messages. A receiver reads them with their reasons and
    /// acknowledges them when they have been handled. The rejected queue of a rejected queue is
    /// itself.
    #[must_use]
    pub fn rejected(&self) -> Self {
        Self {
            shared: Arc::clone(self.rejected.as_ref().unwrap_or(&self.shared)),
            rejected: None,
        }
    }

    /// Returns the time, by the queue's clock, at which the next message becomes ready that is not
    /// ready now: the end of a lease or of a delay. Simulations advance their clock to this time.
    #[must_use]
    pub fn next_ready(&self) -> Option<Duration> {
        let now = self.shared.now();
        let state = self.shared.state();
        let times = state.messages.keys().map(|(at, _)| *at);
        times.into_iter().find(|at| *at > now)
    }
}

impl fmt::Debug for MemoryQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MemoryQueue")
            .field(&self.shared.name)
            .finish()
    }
}

#[async_trait]
impl TaskQueue for MemoryQueue {
    async fn publish(&self, body: Bytes) -> Result<(), QueueError> {
        too_large(&self.shared.name, body.len(), crate::limits::MESSAGE_BYTES)?;
        self.shared.add(body, None);
        Ok(())
    }

    async fn receive(&self, wait: Duration) -> Result<Option<Delivery>, QueueError> {
        if wait.is_zero() {
            return Ok(self.shared.lease_next());
        }
        let end = Instant::now() + wait;
        loop {
            // Register before the check, so that a message added in between is noticed.
            let changed = self.shared.changed.notified();
            if let Some(delivery) = self.shared.lease_next() {
                return Ok(Some(delivery));
            }
            let now = Instant::now();
            if now >= end {
                return Ok(None);
            }
            let next = match self.shared.time {
                Time::Tokio(..) => self
                    .next_ready()
                    .map(|at| now + at.saturating_sub(self.shared.now())),
                Time::Source(_) => Some(now + POLL_INTERVAL),
            };
            let wake = next.map_or(end, |next| next.min(end));
            tokio::select! {
                () = changed => {}
                () = tokio::time::sleep_until(wake) => {}
            }
        }
    }

    async fn ack(&self, lease: &Lease) -> Result<(), QueueError> {
        self.shared.end_lease(lease).map(drop)
    }

    async fn nack(&self, lease: &Lease, delay: Duration) -> Result<(), QueueError> {
        let message = self.shared.end_lease(lease)?;
        self.shared.put_back(message, delay);
        Ok(())
    }

    async fn extend(&self, lease: &Lease, by: Duration) -> Result<(), QueueError> {
        self.shared.extend(lease, by)
    }

    async fn reject(&self, delivery: &Delivery, reason: &str) -> Result<(), QueueError> {
        let message = self.shared.end_lease(&delivery.lease)?;
        match &self.rejected {
            Some(rejected) => rejected.add(message.body, Some(fit_reason(reason))),
            None => self.shared.put_back(message, REJECTED_DELAY),
        }
        Ok(())
    }

    async fn depth(&self) -> Result<Depth, QueueError> {
        let now = self.shared.now();
        let count = |shared: &Shared| shared.state().messages.len() as u64;
        let ready = {
            let state = self.shared.state();
            state
                .messages
                .keys()
                .take_while(|(at, _)| *at <= now)
                .count() as u64
        };
        Ok(Depth {
            ready: Some(ready),
            held: Some(count(&self.shared).saturating_sub(ready)),
            rejected: self.rejected.as_deref().map(count),
        })
    }

    fn lease_time(&self) -> Duration {
        self.shared.lease_time
    }

    fn location(&self) -> String {
        self.shared.name.clone()
    }
}

impl Shared {
    fn now(&self) -> Duration {
        match &self.time {
            Time::Tokio(start, epoch) => *epoch + start.elapsed(),
            Time::Source(now) => now(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change of the state is completed before any code that could panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, body: Bytes, reason: Option<String>) {
        let now = self.now();
        let message = Message {
            body,
            attempt: 0,
            published: now,
            reason,
            lease: None,
        };
        self.put_back(message, Duration::ZERO);
    }

    fn put_back(&self, message: Message, delay: Duration) {
        let at = self.now() + delay;
        let mut state = self.state();
        let number = state.next();
        state.messages.insert((at, number), message);
        drop(state);
        self.changed.notify_waiters();
    }

    fn lease_next(&self) -> Option<Delivery> {
        let now = self.now();
        let mut state = self.state();
        let first = state.messages.first_entry()?;
        if first.key().0 > now {
            return None;
        }
        let mut message = first.remove();
        // The previous lease has expired and must not be valid again.
        if let Some(old) = message.lease.take() {
            state.leases.remove(&old);
        }
        let number = state.next();
        let key = (now + self.lease_time, number);
        message.attempt += 1;
        message.lease = Some(number);
        let delivery = Delivery {
            body: message.body.clone(),
            lease: Lease::new(number.to_string()),
            attempt: Some(message.attempt),
            published: Some(UNIX_EPOCH + message.published),
            reason: message.reason.clone(),
        };
        state.messages.insert(key, message);
        state.leases.insert(number, key);
        Some(delivery)
    }

    /// Removes a leased message.
    fn end_lease(&self, lease: &Lease) -> Result<Message, QueueError> {
        let now = self.now();
        let mut state = self.state();
        let (number, key) = self.live(&state, lease, now)?;
        state.leases.remove(&number);
        let message = state.messages.remove(&key).ok_or_else(|| self.lost())?;
        Ok(Message {
            lease: None,
            ..message
        })
    }

    fn extend(&self, lease: &Lease, by: Duration) -> Result<(), QueueError> {
        let now = self.now();
        let mut state = self.state();
        let (number, key) = self.live(&state, lease, now)?;
        let message = state.messages.remove(&key).ok_or_else(|| self.lost())?;
        let key = (now + by, state.next());
        state.messages.insert(key, message);
        state.leases.insert(number, key);
        drop(state);
        // The new end of the lease may be earlier than the old one.
        self.changed.notify_waiters();
        Ok(())
    }

    fn live(
        &self,
        state: &State,
        lease: &Lease,
        now: Duration,
    ) -> Result<(u64, (Duration, u64)), QueueError> {
        let number: u64 = lease.as_str().parse().map_err(|_| self.lost())?;
        match state.leases.get(&number) {
            Some(key) if key.0 > now => Ok((number, *key)),
            _ => Err(self.lost()),
        }
    }

    fn lost(&self) -> QueueError {
        QueueError::LeaseLost {
            queue: self.name.clone(),
        }
    }
}

impl State {
    fn next(&mut self) -> u64 {
        self.last += 1;
        self.last
    }
}

fn since_1970() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests;
