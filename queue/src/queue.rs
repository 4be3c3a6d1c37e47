//! What a queue does, whatever it is made of.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;

use crate::QueueError;

/// A queue that several owners use.
pub type SharedQueue = Arc<dyn TaskQueue>;

/// Proof that a message is leased to us: what the queue wants to hear when we are done with it. Opaque.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Lease(String);

impl Lease {
    /// A lease of this text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lease")
    }
}

/// A message that is leased to us until its lease runs out.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The message.
    pub body: Bytes,
    /// What the queue wants to hear when we are done with it.
    pub lease: Lease,
    /// How often it has been handed out, this time included, if the queue counts.
    pub attempt: Option<u32>,
    /// When it was published, if the queue knows.
    pub published: Option<SystemTime>,
    /// Why it was rejected, if this is a queue of rejected messages.
    pub reason: Option<String>,
}

/// How many messages there are; approximate in the clouds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    /// Messages that could be received now.
    pub ready: Option<u64>,
    /// Messages that are leased, or wait for their delay.
    pub held: Option<u64>,
    /// Messages that were rejected and set aside.
    pub rejected: Option<u64>,
}

/// A queue of messages, delivered at least once, in no promised order.
///
/// A received message is leased: nobody else gets it until [`TaskQueue::lease_time`] has passed since it was received or
/// last extended, or it is given back. Then it is handed out again. A lease that has run out is
/// [`QueueError::LeaseLost`] where the queue notices; the message may be with somebody else by then.
#[async_trait]
pub trait TaskQueue: Send + Sync + fmt::Debug {
    /// Adds a message; durable once this returns. After an error it may be there all the same.
    async fn publish(&self, body: Bytes) -> Result<(), QueueError>;

    /// Takes a message, waiting up to `wait` for one; `None` if there is none by then. Clouds round the wait to their
    /// needs. If the future is dropped a message may already be leased: it is handed out again once its lease has run out.
    async fn receive(&self, wait: Duration) -> Result<Option<Delivery>, QueueError>;

    /// The message is done: it is never handed out again.
    async fn ack(&self, lease: &Lease) -> Result<(), QueueError>;

    /// Gives the message back: it is handed out again after `delay`, as exactly as the queue can.
    async fn nack(&self, lease: &Lease, delay: Duration) -> Result<(), QueueError>;

    /// Keeps the message for `by` from now, whatever was left of the lease.
    async fn extend(&self, lease: &Lease, by: Duration) -> Result<(), QueueError>;

    /// Sets the message aside with a reason, durably, and then acknowledges it. Without a place for rejected messages it
    /// is given back with a long delay, so that it is neither lost nor in the way.
    async fn reject(&self, delivery: &Delivery, reason: &str) -> Result<(), QueueError>;

    /// How many messages there are.
    async fn depth(&self) -> Result<Depth, QueueError>;

    /// How long a received message stays ours without extension.
    fn lease_time(&self) -> Duration;

    /// Where the queue is, for messages: without secrets.
    fn location(&self) -> String;
}
