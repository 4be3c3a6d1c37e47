//! Queues in AWS. Messages are received from SQS, and published either to an SNS topic that feeds
//! it (with raw message delivery) or to SQS directly.
//!
//! Each receive request asks for a message's receive count and sending time, because SQS omits them
//! otherwise.

mod client;
mod endpoints;
mod error;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use async_trait::async_trait;
use aws_sdk_sqs::types::{Message, MessageSystemAttributeName};
use bytes::Bytes;
use tokio::time::Instant;

use crate::endpoint::Endpoint;
use crate::error::setting;
use crate::limits::{REASON_BYTES, REJECTED_DELAY, fit_reason, too_large};
use crate::open::QueueSpec;
use crate::{Delivery, Depth, Lease, QueueError, SharedQueue, TaskQueue};
use client::Clients;
use endpoints::{Destination, Sqs, seconds};
use error::{Failed as _, read_failure};

/// The attribute that contains the reason of a rejection.
const REASON: &str = "reason";

/// Maximum size of a message including its attributes, in bytes.
const SQS_BYTES: usize = 1 << 20;
const SNS_BYTES: usize = 256 << 10;

/// Bytes reserved for the reason with its name and type, so that every message that can be
/// published can also be rejected.
const RESERVED_REASON_BYTES: usize = REASON_BYTES + 124;

/// Maximum wait of one request for a message.
const LONGEST_WAIT: Duration = Duration::from_secs(20);

/// Opens a queue without sending a request.
pub(crate) fn open(spec: QueueSpec) -> Result<SharedQueue, QueueError> {
    let location = spec.location();
    let clients = Arc::new(Clients::new(&location, &spec.settings)?);
    let destination = |endpoint: &Option<Endpoint>| Destination::new(endpoint.as_ref()?, &clients);
    let source = |endpoint: &Option<Endpoint>| match destination(endpoint) {
        Some(Destination::Queue(queue)) => Some(queue),
        _ => None,
    };
    Ok(Arc::new(AwsQueue {
        queue: source(&spec.url),
        publish: destination(&spec.publish),
        rejected: destination(&spec.rejected),
        rejected_queue: source(&spec.rejected_url),
        location,
        lease_time: spec.lease_time,
    }))
}

struct AwsQueue {
    location: String,
    lease_time: Duration,
    queue: Option<Sqs>,
    publish: Option<Destination>,
    rejected: Option<Destination>,
    rejected_queue: Option<Sqs>,
}

impl AwsQueue {
    fn queue(&self) -> Result<&Sqs, QueueError> {
        let problem = "nothing can be received: it is only published to; write url, the queue to receive from";
        self.queue
            .as_ref()
            .ok_or_else(|| setting(&self.location, problem))
    }

    async fn receive_once(
        &self,
        queue: &Sqs,
        wait: Duration,
    ) -> Result<Option<Delivery>, QueueError> {
        let client = queue.client.get().await;
        let request = client
            .receive_message()
            .queue_url(&queue.url)
            .max_number_of_messages(1)
            .wait_time_seconds(seconds(wait.min(LONGEST_WAIT)))
            .visibility_timeout(seconds(self.lease_time))
            .message_attribute_names(REASON)
            .message_system_attribute_names(MessageSystemAttributeName::SentTimestamp)
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount);
        let answer = request.send().await;
        let answer = answer.map_err(|error| read_failure(&self.location, "receive", error))?;
        let message = answer.messages.unwrap_or_default().into_iter().next();
        message
            .map(|message| delivery(&self.location, message))
            .transpose()
    }
}

/// Converts a received message. A message without a receipt handle could never be acknowledged, so
/// it is an error.
fn delivery(queue: &str, message: Message) -> Result<Delivery, QueueError> {
    let number = |name: &MessageSystemAttributeName| {
        message.attributes.as_ref()?.get(name)?.parse::<u64>().ok()
    };
    let attempt = number(&MessageSystemAttributeName::ApproximateReceiveCount);
    let published = number(&MessageSystemAttributeName::SentTimestamp);
    let reason = message
        .message_attributes
        .as_ref()
        .and_then(|all| all.get(REASON));
    Ok(Delivery {
        attempt: attempt.and_then(|count| u32::try_from(count).ok()),
        published: published.map(|millis| UNIX_EPOCH + Duration::from_millis(millis)),
        reason: reason.and_then(|value| value.string_value.clone()),
        body: message.body.unwrap_or_default().into(),
        lease: Lease::new(
            message
                .receipt_handle
                .ok_or("the message has no receipt handle")
                .failed(queue, "receive")?,
        ),
    })
}

impl fmt::Debug for AwsQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AwsQueue").field(&self.location).finish()
    }
}

#[async_trait]
impl TaskQueue for AwsQueue {
    async fn publish(&self, body: Bytes) -> Result<(), QueueError> {
        let problem = "nothing can be published: write publish, the topic or queue to publish to";
        let destination = self
            .publish
            .as_ref()
            .ok_or_else(|| setting(&self.location, problem))?;
        let limits = [Some(destination), self.rejected.as_ref()]
            .into_iter()
            .flatten()
            .map(Destination::limit);
        too_large(
            &self.location,
            body.len(),
            limits.min().unwrap_or(SNS_BYTES) - RESERVED_REASON_BYTES,
        )?;
        destination.send("publish", &body, None).await
    }

    async fn receive(&self, wait: Duration) -> Result<Option<Delivery>, QueueError> {
        let queue = self.queue()?;
        // SQS limits the wait of one request, so a longer wait takes several requests.
        let end = Instant::now() + wait;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let received = self.receive_once(queue, left).await?;
            if received.is_some() || Instant::now() >= end {
                return Ok(received);
            }
        }
    }

    async fn ack(&self, lease: &Lease) -> Result<(), QueueError> {
        let queue = self.queue()?;
        let client = queue.client.get().await;
        let request = client
            .delete_message()
            .queue_url(&queue.url)
            .receipt_handle(lease.as_str());
        let answer = request.send().await;
        answer
            .map(drop)
            .map_err(|error| read_failure(&self.location, "ack", error))
    }

    async fn nack(&self, lease: &Lease, delay: Duration) -> Result<(), QueueError> {
        self.queue()?.hide("nack", lease, delay).await
    }

    async fn extend(&self, lease: &Lease, by: Duration) -> Result<(), QueueError> {
        self.queue()?.hide("extend", lease, by).await
    }

    async fn reject(&self, delivery: &Delivery, reason: &str) -> Result<(), QueueError> {
        let Some(rejected) = &self.rejected else {
            return self.nack(&delivery.lease, REJECTED_DELAY).await;
        };
        // Publishing precedes the acknowledgement: after a crash in between, the message is
        // delivered again, but it is not lost.
        match rejected
            .send("reject", &delivery.body, Some(&fit_reason(reason)))
            .await
        {
            // Another publisher published the message, and it exceeds the limit of the rejected
            // queue.
            Err(QueueError::TooLarge { .. }) => self.nack(&delivery.lease, REJECTED_DELAY).await,
            other => {
                other?;
                self.ack(&delivery.lease).await
            }
        }
    }

    async fn depth(&self) -> Result<Depth, QueueError> {
        let (ready, held) = match &self.queue {
            Some(queue) => queue.count().await?,
            None => (None, None),
        };
        let rejected = match &self.rejected_queue {
            Some(queue) => {
                let (ready, held) = queue.count().await?;
                ready.map(|ready| ready + held.unwrap_or(0))
            }
            None => None,
        };
        Ok(Depth {
            ready,
            held,
            rejected,
        })
    }

    fn lease_time(&self) -> Duration {
        self.lease_time
    }

    fn location(&self) -> String {
        self.location.clone()
    }
}

#[cfg(test)]
mod tests;
