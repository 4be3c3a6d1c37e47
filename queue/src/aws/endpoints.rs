//! The queues and topics of AWS with their clients: sending, counting and hiding messages.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_sqs::types::{MessageAttributeValue, QueueAttributeName};
use bytes::Bytes;

use super::client::{Client, Clients};
use super::error::{Failed as _, read_failure};
use super::{REASON, SNS_BYTES, SQS_BYTES};
use crate::endpoint::Endpoint;
use crate::limits::too_large;
use crate::{Lease, QueueError};

/// Maximum time for which SQS can hide a message.
const LONGEST_LEASE: Duration = Duration::from_secs(43_200);

/// A destination of messages.
pub(super) enum Destination {
    Topic(Sns),
    Queue(Sqs),
}

/// A queue with its client.
pub(super) struct Sqs {
    pub(super) client: Client<aws_sdk_sqs::Client>,
    pub(super) location: String,
    pub(super) url: String,
}

/// A topic with its client.
pub(super) struct Sns {
    pub(super) client: Client<aws_sdk_sns::Client>,
    pub(super) location: String,
    pub(super) arn: String,
}

impl Destination {
    /// Returns `None` for an endpoint outside of AWS, which [`QueueSpec`] has excluded.
    pub(super) fn new(endpoint: &Endpoint, clients: &Arc<Clients>) -> Option<Self> {
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

    pub(super) fn limit(&self) -> usize {
        match self {
            Self::Topic(_) => SNS_BYTES,
            Self::Queue(_) => SQS_BYTES,
        }
    }

    pub(super) async fn send(
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
    pub(super) async fn send(
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
    pub(super) async fn send(
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
    pub(super) async fn count(&self) -> Result<(Option<u64>, Option<u64>), QueueError> {
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
    pub(super) async fn hide(
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

/// Rounds up to whole seconds.
pub(super) fn seconds(time: Duration) -> i32 {
    let whole = time.as_secs() + u64::from(time.subsec_nanos() > 0);
    i32::try_from(whole).unwrap_or(i32::MAX)
}

/// Returns the text of a message. SQS and SNS support only the characters of XML.
pub(super) fn text<'a>(queue: &str, body: &'a [u8]) -> Result<&'a str, QueueError> {
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
