//! The interface of a queue, independent of its implementation.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;

use crate::QueueError;

/// A queue with shared ownership.
pub type SharedQueue = Arc<dyn TaskQueue>;

/// The handle of a leased message, which the queue requires for acknowledging, returning, renewing
/// or rejecting it. Opaque.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Lease(String);

impl Lease {
    /// Creates a lease from the queue's own text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns the queue's own text.
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

/// A message that is leased to the receiver until the lease expires.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The message.
    pub body: Bytes,
    /// The handle for further operations on the message.
    pub lease: Lease,
    /// The number of deliveries, including this one, if the queue counts them.
    pub attempt: Option<u32>,
    /// The time of publication, if the queue records it.
    pub published: Option<SystemTime>,
    /// The reason of the rejection, if this is a queue of rejected messages.
    pub reason: Option<String>,
}

/// The numbers of messages in a queue. Approximate in the clouds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    /// Messages that can be received now.
    pub ready: Option<u64>,
    /// Messages that are leased, or whose delay has not passed.
    pub held: Option<u64>,
    /// Messages that were rejected.
    pub rejected: Option<u64>,
}

/// A queue of messages with at-least-once delivery and no guaranteed order.
///
/// A received message is leased. No other receiver gets it until [`TaskQueue::lease_time`] has
/// passed since it was received or last renewed, or until it is returned. After that, the queue
/// delivers it again. An operation with an expired lease fails with [`QueueError::LeaseLost`] if
/// the queue detects it. Another receiver may have the message by then.
#[async_trait]
pub trait TaskQueue: Send + Sync + fmt::Debug {
    /// Adds a message. The message is durable when the call returns. After an error, the message
    /// may nevertheless have been added.
    async fn publish(&self, body: Bytes) -> Result<(), QueueError>;

    /// Receives a message, and waits up to `wait` for one; returns `None` if there is none by then.
    /// Cloud queues may round the wait. If the future is dropped, a message may already be leased;
    /// the queue delivers it again once its lease has expired.
    async fn receive(&self, wait: Duration) -> Result<Option<Delivery>, QueueError>;

    /// Acknowledges the message. The queue never delivers it again.
    async fn ack(&self, lease: &Lease) -> Result<(), QueueError>;

    /// Returns the message. The queue delivers it again after `delay`, with the precision of the
    /// queue.
    async fn nack(&self, lease: &Lease, delay: Duration) -> Result<(), QueueError>;

    /// Renews the lease: it ends `by` from now, whatever time was left.
    async fn extend(&self, lease: &Lease, by: Duration) -> Result<(), QueueError>;

    /// Moves the message to the queue of rejected messages, with a reason and durably, and then
    /// acknowledges it. If there is no queue of rejected messages, the message is returned with a
    /// long delay, so that it is neither lost nor delivered repeatedly.
    async fn reject(&self, delivery: &Delivery, reason: &str) -> Result<(), QueueError>;

    /// Returns the numbers of messages.
    async fn depth(&self) -> Result<Depth, QueueError>;

    /// Returns the lease time of a received message without renewal.
    fn lease_time(&self) -> Duration;

    /// Returns the location of the queue for messages, without secrets.
    fn location(&self) -> String;
}
