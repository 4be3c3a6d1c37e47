//! A queue as a configuration file names it.
//!
//! Where both clouds and people have one queue a kind of task, one text says it all: a directory, or `pubsub://…`, or
//! `sqs://…`. Otherwise it is written out: the `url` to receive from, where to `publish`, where `rejected` messages go.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, de};

use crate::open::Plan;
use crate::{QueueError, QueueSettings, SharedQueue};

/// A queue's place: a text alone, or `url`, `publish`, `rejected`, `lease-seconds` and `settings`. Nothing has been asked
/// of it yet; [`QueuePlace::open`] says what is wrong with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueuePlace {
    /// Where messages come from. None for a program that only publishes.
    pub url: Option<String>,
    /// Where messages are published, if not where they come from.
    pub publish: Option<String>,
    /// Where rejected messages go.
    pub rejected: Option<RejectedPlace>,
    /// For how long a received message is ours; 600 s if it is not said.
    pub lease_seconds: Option<u64>,
    /// Endpoint and credentials.
    pub settings: QueueSettings,
}

/// Where rejected messages go, and where they are read from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RejectedPlace {
    /// Where they go, if not where they are read from.
    pub publish: Option<String>,
    /// Where they are read from, if that is known here.
    pub url: Option<String>,
}

/// As ENPA: enough for all but the largest batches, and a worker extends it.
const LEASE_SECONDS: u64 = 600;

impl QueuePlace {
    /// The place that one text says.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self {
            url: Some(text.to_owned()),
            ..Self::default()
        }
    }

    /// Opens it; relative paths are relative to `directory`. Nothing is asked of a cloud yet: whether the queue exists and
    /// lets us in shows with the first operation.
    ///
    /// # Errors
    /// [`QueueError::Setting`], with what to write instead.
    pub fn open(&self, directory: &Path) -> Result<SharedQueue, QueueError> {
        Plan::new(self, directory)?.open()
    }

    /// Opens the queue of what was rejected: messages have their reason.
    ///
    /// # Errors
    /// As [`Self::open`], and [`QueueError::Setting`] if it is not said where they can be read from.
    pub fn open_rejected(&self, directory: &Path) -> Result<SharedQueue, QueueError> {
        Plan::new(self, directory)?.open_rejected()
    }

    /// For how long a received message is ours.
    #[must_use]
    pub fn lease_time(&self) -> Duration {
        Duration::from_secs(self.lease_seconds.unwrap_or(LEASE_SECONDS))
    }
}

/// What is written out.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Written {
    url: Option<String>,
    publish: Option<String>,
    rejected: Option<RejectedPlace>,
    lease_seconds: Option<u64>,
    #[serde(default)]
    settings: QueueSettings,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct WrittenRejected {
    publish: Option<String>,
    url: Option<String>,
}

/// A text, or a map. Not an untagged enum: that would say only that nothing fits.
struct TextOr<W, T> {
    text: fn(&str) -> T,
    written: fn(W) -> T,
    expecting: &'static str,
}

impl<'de, W: Deserialize<'de>, T> Visitor<'de> for TextOr<W, T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expecting)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        Ok((self.text)(text))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        W::deserialize(MapAccessDeserializer::new(map)).map(self.written)
    }
}

impl<'de> Deserialize<'de> for QueuePlace {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextOr {
            text: Self::new,
            written: |written: Written| Self {
                url: written.url,
                publish: written.publish,
                rejected: written.rejected,
                lease_seconds: written.lease_seconds,
                settings: written.settings,
            },
            expecting: "a queue: its place as a text, or url, publish, rejected, lease-seconds and settings",
        })
    }
}

impl<'de> Deserialize<'de> for RejectedPlace {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextOr {
            text: |text| Self {
                publish: Some(text.to_owned()),
                url: None,
            },
            written: |written: WrittenRejected| Self {
                publish: written.publish,
                url: written.url,
            },
            expecting: "where rejected messages go: a place as a text, or publish and url",
        })
    }
}

#[cfg(test)]
mod tests;
