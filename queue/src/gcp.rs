//! Queues in Google Cloud: Pub/Sub with its REST interface, a subscription for receiving and topics
//! for publishing.
//!
//! This module does not use `google-cloud-pubsub` (1.7), because it can only receive with a stream
//! that fetches messages ahead of the worker, and its calls for single messages are private.
//! `google-cloud-auth` provides the tokens.

mod api;

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use base64ct::{Base64, Encoding};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::endpoint::Endpoint;
use crate::error::setting;
use crate::limits::{REJECTED_DELAY, fit_reason, too_large};
use crate::open::QueueSpec;
use crate::{Delivery, Depth, Lease, QueueError, SharedQueue, TaskQueue};
use api::{Api, Kind};

/// The attribute that contains the reason of a rejection.
const REASON: &str = "reason";

/// Maximum size of a message, in bytes. Pub/Sub limits requests to ten million bytes, and base64
/// lengthens three bytes to four.
const MESSAGE_BYTES: usize = 7_000_000;

/// Maximum lease time.
const LONGEST_LEASE: Duration = Duration::from_secs(600);

/// Maximum wait of one request for a message. The server's own limit is somewhat longer.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Opens a queue without sending a request.
pub(crate) fn open(spec: QueueSpec) -> Result<SharedQueue, QueueError> {
    let location = spec.location();
    let name = |endpoint: &Option<Endpoint>, kind: &str| match endpoint {
        Some(Endpoint::Pubsub { project, name }) => {
            Some(format!("projects/{project}/{kind}/{name}"))
        }
        _ => None,
    };
    Ok(std::sync::Arc::new(PubsubQueue {
        api: Api::new(&location, &spec.settings)?,
        location,
        lease_time: spec.lease_time,
        subscription: name(&spec.url, "subscriptions"),
        topic: name(&spec.publish, "topics"),
        rejected: name(&spec.rejected, "topics"),
    }))
}

struct PubsubQueue {
    api: Api,
    location: String,
    lease_time: Duration,
    subscription: Option<String>,
    topic: Option<String>,
    rejected: Option<String>,
}

#[derive(Serialize)]
struct Publish {
    messages: [Sent; 1],
}

#[derive(Serialize)]
struct Sent {
    data: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    attributes: BTreeMap<&'static str, String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Pull {
    max_messages: u32,
    return_immediately: bool,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Pulled {
    received_messages: Vec<Received>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Received {
    ack_id: String,
    message: Message,
    /// The number of deliveries. Counted only if the subscription has a dead-letter topic.
    #[serde(default)]
    delivery_attempt: u32,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Message {
    data: String,
    attributes: BTreeMap<String, String>,
    publish_time: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Acknowledge<'a> {
    ack_ids: [&'a str; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ModifyAckDeadline<'a> {
    ack_ids: [&'a str; 1],
    ack_deadline_seconds: u64,
}

impl PubsubQueue {
    fn subscription(&self) -> Result<&str, QueueError> {
        let problem = "nothing can be received: it is only published to; write url, the subscription to receive from";
        self.subscription
            .as_deref()
            .ok_or_else(|| setting(&self.location, problem))
    }

    async fn send(
        &self,
        operation: &'static str,
        topic: &str,
        body: &Bytes,
        reason: Option<&str>,
    ) -> Result<(), QueueError> {
        let request = Publish {
            messages: [Sent {
                data: Base64::encode_string(body),
                attributes: reason
                    .map(|reason| (REASON, reason.to_owned()))
                    .into_iter()
                    .collect(),
            }],
        };
        let path = format!("{topic}:publish");
        self.api
            .call(operation, Kind::Message, &path, &request, Duration::ZERO)
            .await
            .map(drop)
    }

    async fn pull(&self, wait: Duration) -> Result<Option<Delivery>, QueueError> {
        let subscription = self.subscription()?;
        let path = format!("{subscription}:pull");
        let request = Pull {
            max_messages: 1,
            return_immediately: wait.is_zero(),
        };
        let Some(answer) = self
            .api
            .call("receive", Kind::Pull, &path, &request, wait)
            .await?
        else {
            return Ok(None);
        };
        let bad = |problem: String| QueueError::Unavailable {
            queue: self.location.clone(),
            operation: "receive",
            source: problem.into(),
        };
        let answer: Pulled = match answer.is_empty() {
            true => Pulled::default(),
            false => serde_json::from_slice(&answer).map_err(|error| bad(error.to_string()))?,
        };
        let Some(received) = answer.received_messages.into_iter().next() else {
            return Ok(None);
        };
        let Message {
            data,
            mut attributes,
            publish_time,
        } = received.message;
        let body =
            Base64::decode_vec(&data).map_err(|_| bad("the message is not base64".into()))?;
        Ok(Some(Delivery {
            body: body.into(),
            lease: Lease::new(received.ack_id),
            attempt: (received.delivery_attempt > 0).then_some(received.delivery_attempt),
            published: publish_time.and_then(|text| moment(&text)),
            reason: attributes.remove(REASON),
        }))
    }

    async fn set_deadline(
        &self,
        operation: &'static str,
        lease: &Lease,
        time: Duration,
    ) -> Result<(), QueueError> {
        let path = format!("{}:modifyAckDeadline", self.subscription()?);
        let time = time.min(LONGEST_LEASE);
        let request = ModifyAckDeadline {
            ack_ids: [lease.as_str()],
            ack_deadline_seconds: time.as_secs() + u64::from(time.subsec_nanos() > 0),
        };
        self.api
            .call(operation, Kind::Lease, &path, &request, Duration::ZERO)
            .await
            .map(drop)
    }
}

impl fmt::Debug for PubsubQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PubsubQueue").field(&self.location).finish()
    }
}

#[async_trait]
impl TaskQueue for PubsubQueue {
    async fn publish(&self, body: Bytes) -> Result<(), QueueError> {
        too_large(&self.location, body.len(), MESSAGE_BYTES)?;
        let problem = "nothing can be published: write publish, the topic to publish to";
        let topic = self
            .topic
            .as_ref()
            .ok_or_else(|| setting(&self.location, problem))?;
        self.send("publish", topic, &body, None).await
    }

    async fn receive(&self, wait: Duration) -> Result<Option<Delivery>, QueueError> {
        let end = tokio::time::Instant::now() + wait;
        loop {
            let left = end.saturating_duration_since(tokio::time::Instant::now());
            let received = self.pull(left.min(LONGEST_WAIT)).await?;
            if let Some(delivery) = received {
                // The subscription may have another deadline. If this request fails, that deadline
                // applies, and the message is leased until then.
                let _ = self
                    .set_deadline("receive", &delivery.lease, self.lease_time)
                    .await;
                return Ok(Some(delivery));
            }
            if tokio::time::Instant::now() >= end {
                return Ok(None);
            }
            // Pause, in case the server responds immediately that there is no message.
            let pause = Duration::from_millis(200)
                .min(end.saturating_duration_since(tokio::time::Instant::now()));
            tokio::time::sleep(pause).await;
        }
    }

    async fn ack(&self, lease: &Lease) -> Result<(), QueueError> {
        let path = format!("{}:acknowledge", self.subscription()?);
        let ack_ids = [lease.as_str()];
        let request = Acknowledge { ack_ids };
        self.api
            .call("ack", Kind::Lease, &path, &request, Duration::ZERO)
            .await
            .map(drop)
    }

    /// Returns the message immediately if the delay is zero, otherwise after the delay, but at most
    /// ten minutes later.
    async fn nack(&self, lease: &Lease, delay: Duration) -> Result<(), QueueError> {
        self.set_deadline("nack", lease, delay).await
    }

    async fn extend(&self, lease: &Lease, by: Duration) -> Result<(), QueueError> {
        self.set_deadline("extend", lease, by).await
    }

    async fn reject(&self, delivery: &Delivery, reason: &str) -> Result<(), QueueError> {
        let Some(rejected) = &self.rejected else {
            return self.nack(&delivery.lease, REJECTED_DELAY).await;
        };
        // Publishing precedes the acknowledgement: after a crash in between, the message is
        // delivered again, but it is not lost.
        self.send(
            "reject",
            rejected,
            &delivery.body,
            Some(&fit_reason(reason)),
        )
        .await?;
        self.ack(&delivery.lease).await
    }

    /// Returns no numbers, because Pub/Sub reports them only to Cloud Monitoring.
    async fn depth(&self) -> Result<Depth, QueueError> {
        Ok(Depth::default())
    }

    fn lease_time(&self) -> Duration {
        self.lease_time
    }

    fn location(&self) -> String {
        self.location.clone()
    }
}

/// Parses a time in Pub/Sub's form, RFC 3339.
fn moment(text: &str) -> Option<SystemTime> {
    text.parse::<jiff::Timestamp>().ok().map(SystemTime::from)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::path::Path;
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::QueuePlace;

    #[test]
    fn a_moment_is_read() {
        let time = moment("2020-10-31T20:29:00.250Z").unwrap();
        assert_eq!(
            time.duration_since(UNIX_EPOCH).unwrap(),
            Duration::from_millis(1_604_176_140_250)
        );
        assert_eq!(moment("yesterday"), None);
    }

    #[test]
    fn a_queue_opens_without_being_asked_for() {
        let place: QueuePlace = QueuePlace::new("pubsub://project/tasks");
        let queue = place.open(Path::new("/")).unwrap();
        assert_eq!(queue.location(), "pubsub://project/tasks");
        let settings = r#"{"service-account-file": "/nowhere/sa.json"}"#;
        let place = format!(r#"{{"url": "pubsub://project/tasks", "settings": {settings}}}"#);
        let place: QueuePlace = serde_json::from_str(&place).unwrap();
        let error = place.open(Path::new("/")).unwrap_err().to_string();
        assert!(error.contains("/nowhere/sa.json"), "{error}");
    }
}
