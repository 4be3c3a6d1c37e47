//! A queue as specified in a configuration file.
//!
//! If one queue per kind of task is enough, the place is a single text: a directory, `pubsub://…`,
//! or `sqs://…`. Otherwise, the place is a map with the `url` to receive from, the destination to
//! `publish` to, and the destination of `rejected` messages.

use std::fmt;
use std::marker::PhantomData;
use std::path::Path;
use std::time::Duration;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, de};

use crate::open::QueueSpec;
use crate::{QueueError, QueueSettings, SharedQueue};

/// The place of a queue: a text alone, or `url`, `publish`, `rejected`, `lease-seconds` and
/// `settings`. The place is checked by [`QueuePlace::open`], not by parsing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(
    remote = "Self",
    rename_all = "kebab-case",
    deny_unknown_fields,
    default
)]
pub struct QueuePlace {
    /// The source of messages. `None` for a program that only publishes.
    pub url: Option<String>,
    /// The destination of published messages, if it differs from `url`.
    pub publish: Option<String>,
    /// The destination of rejected messages.
    pub rejected: Option<RejectedPlace>,
    /// The lease time of a received message in seconds; 600 if absent.
    pub lease_seconds: Option<u64>,
    /// Endpoint and credentials.
    pub settings: QueueSettings,
}

/// The destination of rejected messages, and the source for reading them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(
    remote = "Self",
    rename_all = "kebab-case",
    deny_unknown_fields,
    default
)]
pub struct RejectedPlace {
    /// The destination, if it differs from `url`.
    pub publish: Option<String>,
    /// The source, if it is known here.
    pub url: Option<String>,
}

/// The default lease time, as in ENPA. Long enough for all but the largest batches; a worker
/// renews it.
const LEASE_SECONDS: u64 = 600;

impl QueuePlace {
    /// Creates the place from a single text.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self {
            url: Some(text.to_owned()),
            ..Self::default()
        }
    }

    /// Opens the queue. Relative paths are relative to `directory`. No request is sent to a cloud
    /// yet: the first operation shows whether the queue exists and grants access.
    ///
    /// # Errors
    /// [`QueueError::Setting`], with the correction.
    pub fn open(&self, directory: &Path) -> Result<SharedQueue, QueueError> {
        QueueSpec::new(self, directory)?.open()
    }

    /// Opens the queue of rejected messages, which have a reason.
    ///
    /// # Errors
    /// Those of [`Self::open`], and [`QueueError::Setting`] if the place contains no source of
    /// rejected messages.
    pub fn open_rejected(&self, directory: &Path) -> Result<SharedQueue, QueueError> {
        QueueSpec::new(self, directory)?.open_rejected()
    }

    /// Returns the lease time of a received message.
    #[must_use]
    pub fn lease_time(&self) -> Duration {
        Duration::from_secs(self.lease_seconds.unwrap_or(LEASE_SECONDS))
    }
}

/// A value that is written as a text alone or as a map. An untagged enum would only report that no
/// variant matches.
trait TextOrMap: Sized {
    /// What an error names as expected.
    const EXPECTED: &str;

    fn from_text(text: &str) -> Self;

    fn from_map<'de, D: Deserializer<'de>>(map: D) -> Result<Self, D::Error>;
}

impl TextOrMap for QueuePlace {
    const EXPECTED: &str =
        "a queue: its place as a text, or url, publish, rejected, lease-seconds and settings";

    fn from_text(text: &str) -> Self {
        Self::new(text)
    }

    fn from_map<'de, D: Deserializer<'de>>(map: D) -> Result<Self, D::Error> {
        // The derived function, which reads only maps.
        Self::deserialize(map)
    }
}

impl TextOrMap for RejectedPlace {
    const EXPECTED: &str = "where rejected messages go: a place as a text, or publish and url";

    fn from_text(text: &str) -> Self {
        Self {
            publish: Some(text.to_owned()),
            url: None,
        }
    }

    fn from_map<'de, D: Deserializer<'de>>(map: D) -> Result<Self, D::Error> {
        Self::deserialize(map)
    }
}

struct TextOrMapVisitor<T>(PhantomData<T>);

impl<'de, T: TextOrMap> Visitor<'de> for TextOrMapVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::EXPECTED)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        Ok(T::from_text(text))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::from_map(MapAccessDeserializer::new(map))
    }
}

impl<'de> Deserialize<'de> for QueuePlace {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextOrMapVisitor(PhantomData))
    }
}

impl<'de> Deserialize<'de> for RejectedPlace {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextOrMapVisitor(PhantomData))
    }
}

#[cfg(test)]
mod tests;
