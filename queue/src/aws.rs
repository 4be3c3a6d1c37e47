//! Queues in AWS. Messages are received from SQS, and published either to an SNS topic that feeds
//! it (with raw message delivery) or to SQS directly.
//!
//! Each receive request asks for a message's receive count and sending time, because SQS omits them
//! otherwise.

mod client;
mod error;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use async_trait::async_trait;
use aws_sdk_sqs::types::{
    Message, MessageAttributeValue, MessageSystemAttributeName, QueueAttributeName,
};
use bytes::Bytes;
use tokio::time::Instant;

use crate::endpoint::Endpoint;
use crate::error::setting;
use crate::limits::{REASON_BYTES, REJECTED_DELAY, fit_reason, too_large};
use crate::open::QueueSpec;
use crate::{Delivery, Depth, Lease, QueueError, SharedQueue, TaskQueue};
use client::{Client, Clients};
use error::{Failed as _, read_failure};

/// The attribute that contains the reason of a rejection.
const REASON: &str = "reason";

/// Maximum size of a message including its attributes, in bytes.
const SQS_BYTES: usize = 1 << 20;
const SNS_BYTES: usize = 256 << 10;

/// Bytes reserved for the reason with its name and type, so that every message that can be
/// published can also be rejected.
const RESERVED_REASON_BYTES: usize = REASON_BYTES + 124;

/// FileLimits of SQS: the maximum wait for a message, and the maximum time for which a message can be
/// hidden.
const LONGEST_WAIT: Duration = Duration::from_secs(20);
const LONGEST_LEASE: Duration = Duration::from_secs(43_200);

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

/// A destination of messages.
enum Destination {
    Topic(Sns),
    Queue(Sqs),
}

/// A queue with its client.
struct Sqs {
    client: Client<aws_sdk_sqs::Client>,
    location: String,
    url: String,
}

/// A topic with its client.
struct Sns {
    client: Client<aws_sdk_sns::Client>,
    location: String,
    arn: String,
}

impl Destination {
    /// Returns `None` for an endpoint outside of AWS, which [`QueueSpec`] has excluded.
    fn new(endpoint: &Endpoint, clients: &Arc<Clients>) -> Option<Self> {
        let location = endpoint.to_string();
        match endpoint {
            Endpoint::Sns { region, arn } => Some(Self::Topic(Sns {
                client: Client::new(clients, region, aws_sdk_sns::Client::new),
                location,
                arn: arn.clone(),
            })),
            Endpoint::Sqs {
                region,
                account,
                name,
            } => Some(Self::Queue(Sqs {
                client: Client::new(clients, region, aws_sdk_sqs::Client::new),
                location,
                url: clients.queue_url(region, account, name),
            })),
            _ => None,
        }
    }

    fn limit(&self) -> usize {
        match self {
            Self::Topic(_) => SNS_BYTES,
            Self::Queue(_) => SQS_BYTES,
        }
    }

    async fn send(
        &self,
        operation: &'static str,
        body: &Bytes,
        reason: Option<&str>,
    ) -> Result<(), QueueError> {
        match self {
            Self::Topic(topic) => topic.send(operation, body, reason).await,
            Self::Queue(queue) => queue.send(operation, body, reason).await,
        }
    }
}

impl Sns {
    async fn send(
        &self,
        operation: &'static str,
        body: &Bytes,
        reason: Option<&str>,
    ) -> Result<(), QueueError> {
        let queue = &self.location;
        too_large(queue, body.len(), SNS_BYTES)?;
        let attribute = |reason| {
            let value = aws_sdk_sns::types::MessageAttributeValue::builder();
            value.data_type("String").string_value(reason).build()
        };
        let attribute = reason.map(attribute).transpose().failed(queue, operation)?;
        let client = self.client.get().await;
        let request = client
            .publish()
            .topic_arn(&self.arn)
            .message(text(queue, body)?)
            .set_message_attributes(attribute.map(|value| [(REASON.to_owned(), value)].into()));
        let answer = request.send().await;
        answer
            .map(drop)
            .map_err(|error| read_failure(queue, operation, error))
    }
}

impl Sqs {
    async fn send(
        &self,
        operation: &'static str,
        body: &Bytes,
        reason: Option<&str>,
    ) -> Result<(), QueueError> {
        let queue = &self.location;
        too_large(queue, body.len(), SQS_BYTES)?;
        let attribute = |reason| {
            let value = MessageAttributeValue::builder();
            value.data_type("String").string_value(reason).build()
        };
        let attribute = reason.map(attribute).transpose().failed(queue, operation)?;
        let client = self.client.get().await;
        let request = client
            .send_message()
            .queue_url(&self.url)
            .message_body(text(queue, body)?)
            .set_message_attributes(attribute.map(|value| [(REASON.to_owned(), value)].into()));
        let answer = request.send().await;
        answer
            .map(drop)
            .map_err(|error| read_failure(queue, operation, error))
    }

    /// Returns the numbers of ready and of held messages.
    async fn count(&self) -> Result<(Option<u64>, Option<u64>), QueueError> {
        let ready = QueueAttributeName::ApproximateNumberOfMessages;
        let leased = QueueAttributeName::ApproximateNumberOfMessagesNotVisible;
        let delayed = QueueAttributeName::ApproximateNumberOfMessagesDelayed;
        let client = self.client.get().await;
        let request = client
            .get_queue_attributes()
            .queue_url(&self.url)
            .attribute_names(ready.clone())
            .attribute_names(leased.clone())
            .attribute_names(delayed.clone());
        let answer = request.send().await;
        let answer = answer.map_err(|error| read_failure(&self.location, "depth", error))?;
        let number =
            |name: &QueueAttributeName| answer.attributes()?.get(name)?.parse::<u64>().ok();
        let held = number(&leased).map(|leased| leased + number(&delayed).unwrap_or(0));
        Ok((number(&ready), held))
    }

    /// Hides the message for some time from now.
    async fn hide(
        &self,
        operation: &'static str,
        lease: &Lease,
        time: Duration,
    ) -> Result<(), QueueError> {
        let client = self.client.get().await;
        let request = client
            .change_message_visibility()
            .queue_url(&self.url)
            .receipt_handle(lease.as_str())
            .visibility_timeout(seconds(time.min(LONGEST_LEASE)));
        let answer = request.send().await;
        answer
            .map(drop)
            .map_err(|error| read_failure(&self.location, operation, error))
    }
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

/// Rounds up to whole seconds.
fn seconds(time: Duration) -> i32 {
    let whole = time.as_secs() + u64::from(time.subsec_nanos() > 0);
    i32::try_from(whole).unwrap_or(i32::MAX)
}

/// Returns the text of a message. SQS and SNS support only the characters of XML.
fn text<'a>(queue: &str, body: &'a [u8]) -> Result<&'a str, QueueError> {
    let carried = |c: char| {
        (c >= ' ' || matches!(c, '\t' | '\n' | '\r')) && !matches!(c, '\u{FFFE}' | '\u{FFFF}')
    };
    match std::str::from_utf8(body) {
        Ok(text) if text.chars().all(carried) => Ok(text),
        _ => Err(QueueError::NotText {
            queue: queue.to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests;
