//! Opening a queue from its place, and the rules for valid combinations of texts.

use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::endpoint::{Endpoint, Service};
use crate::error::setting;
use crate::{DirectoryQueue, MemoryQueue, QueueError, QueuePlace, QueueSettings, SharedQueue};

/// A place whose texts have been parsed and form a valid combination. Defaults are filled in.
#[derive(Debug)]
#[cfg_attr(not(any(feature = "aws", feature = "gcp")), allow(dead_code))]
pub(crate) struct QueueSpec {
    /// The source of messages.
    pub(crate) url: Option<Endpoint>,
    /// The destination of published messages.
    pub(crate) publish: Option<Endpoint>,
    /// The destination of rejected messages.
    pub(crate) rejected: Option<Endpoint>,
    /// The source for reading rejected messages.
    pub(crate) rejected_url: Option<Endpoint>,
    pub(crate) lease_time: Duration,
    pub(crate) settings: QueueSettings,
}

impl Service {
    /// Returns the noun for this kind of queue in errors.
    fn noun(self) -> &'static str {
        match self {
            Self::Memory => "a queue in memory",
            Self::Directory => "a directory",
            Self::Aws => "SQS and SNS",
            Self::Gcp => "Pub/Sub",
        }
    }

    /// Returns the valid lease times, in seconds.
    fn lease_seconds(self) -> RangeInclusive<u64> {
        match self {
            Self::Memory | Self::Directory => 1..=31_536_000,
            Self::Aws => 1..=43_200,
            Self::Gcp => 10..=600,
        }
    }

    /// Returns the names of the settings that apply.
    fn settings(self) -> &'static [&'static str] {
        match self {
            Self::Memory | Self::Directory => &[],
            Self::Aws => &[
                "endpoint",
                "allow-http",
                "access-key-id-env",
                "access-key-id-file",
                "secret-access-key-env",
                "secret-access-key-file",
                "session-token-env",
                "session-token-file",
            ],
            Self::Gcp => &[
                "endpoint",
                "allow-http",
                "anonymous",
                "service-account-file",
            ],
        }
    }
}

impl QueueSpec {
    pub(crate) fn new(place: &QueuePlace, directory: &Path) -> Result<Self, QueueError> {
        let parse = |text: &Option<String>| {
            let parse = |text: &String| Endpoint::parse(text, directory);
            text.as_ref().map(parse).transpose()
        };
        let rejected = place.rejected.clone().unwrap_or_default();
        let mut spec = Self {
            url: parse(&place.url)?,
            publish: parse(&place.publish)?,
            rejected: parse(&rejected.publish)?,
            rejected_url: parse(&rejected.url)?,
            lease_time: place.lease_time(),
            settings: place.settings.clone().relative_to(directory),
        };
        // A topic alone is the destination of a program that only publishes.
        if spec.publish.is_none() && spec.url.as_ref().is_some_and(Endpoint::is_topic) {
            spec.publish = spec.url.take();
        }
        let service = spec.service()?;
        let checked = match service {
            Service::Memory | Service::Directory => spec.check_local(),
            Service::Aws | Service::Gcp => spec.check_cloud(service).and_then(|()| spec.fill_in()),
        };
        checked.map_err(|problem| setting(spec.location(), problem))?;
        spec.check_settings(service)?;
        Ok(spec)
    }

    /// Returns the queue's name for messages.
    pub(crate) fn location(&self) -> String {
        let first = self.url.as_ref().or(self.publish.as_ref());
        first.map_or_else(|| "(not configured)".to_owned(), ToString::to_string)
    }

    fn service(&self) -> Result<Service, QueueError> {
        let first = self.url.as_ref().or(self.publish.as_ref());
        first.map(Endpoint::service).ok_or_else(|| {
            let problem = "the configuration names no place: write url, the place to receive from, or publish, or both";
            setting(self.location(), problem)
        })
    }

    /// Checks the endpoints of a queue that receives, publishes and keeps rejected messages in one
    /// place.
    fn check_local(&self) -> Result<(), &'static str> {
        if self.url.is_none() {
            return Err(
                "name it as url: a directory or a queue in memory is received from and published to in one place",
            );
        }
        if self.publish.is_some() {
            return Err("this kind of queue publishes to its url: remove publish");
        }
        if self.rejected.is_some() || self.rejected_url.is_some() {
            return Err(
                "this kind of queue stores rejected messages itself (a directory in its folder rejected): \
                 remove rejected",
            );
        }
        Ok(())
    }

    fn check_cloud(&self, service: Service) -> Result<(), &'static str> {
        let is_topic =
            |endpoint: &Option<Endpoint>| endpoint.as_ref().is_some_and(Endpoint::is_topic);
        if is_topic(&self.url) {
            return Err(
                "nothing can be received from a topic: write the SQS queue that is subscribed to it as url, and the \
                 topic as publish",
            );
        }
        let others = [&self.publish, &self.rejected, &self.rejected_url];
        let is_mixed = |endpoint: &Endpoint| endpoint.service() != service;
        if others.into_iter().flatten().any(is_mixed) {
            return Err(match service {
                Service::Aws => {
                    "url, publish and rejected have to be queues (sqs://…) and topics (sns:…) of AWS"
                }
                _ => "url, publish and rejected have to be of Pub/Sub (pubsub://…)",
            });
        }
        if is_topic(&self.rejected_url) {
            return Err(
                "nothing can be received from a topic: the url of rejected is the SQS queue that is subscribed to it",
            );
        }
        Ok(())
    }

    /// Replaces missing endpoints in a cloud with their defaults. A topic and a subscription of
    /// Pub/Sub have the same name, as ENPA creates them.
    fn fill_in(&mut self) -> Result<(), &'static str> {
        self.publish = self.publish.take().or(self.url.clone());
        self.rejected = self.rejected.take().or(self.rejected_url.clone());
        if self.rejected_url.is_none() {
            let readable = self.rejected.clone();
            self.rejected_url = readable.filter(|endpoint| !endpoint.is_topic());
        }
        if self.rejected.is_some() && self.rejected == self.publish {
            return Err(
                "rejected messages would be delivered as tasks: name another place as rejected",
            );
        }
        Ok(())
    }

    fn check_settings(&self, service: Service) -> Result<(), QueueError> {
        let noun = service.noun();
        self.settings
            .check(&self.location(), noun, service.settings())?;
        let (seconds, range) = (self.lease_time.as_secs(), service.lease_seconds());
        if !range.contains(&seconds) {
            let problem = format!(
                "lease-seconds is {seconds}, but {noun} takes {} to {}",
                range.start(),
                range.end()
            );
            return Err(setting(self.location(), problem));
        }
        Ok(())
    }

    pub(crate) fn open(self) -> Result<SharedQueue, QueueError> {
        match self.url {
            Some(Endpoint::Memory(name)) => {
                Ok(Arc::new(MemoryQueue::named(&name, self.lease_time)))
            }
            Some(Endpoint::Directory(path)) => {
                Ok(Arc::new(DirectoryQueue::new(path, self.lease_time)))
            }
            _ => self.open_cloud(),
        }
    }

    pub(crate) fn open_rejected(self) -> Result<SharedQueue, QueueError> {
        match self.url {
            Some(Endpoint::Memory(name)) => {
                let queue = MemoryQueue::named(&name, self.lease_time);
                Ok(Arc::new(queue.rejected()))
            }
            Some(Endpoint::Directory(path)) => {
                let queue = DirectoryQueue::new(path, self.lease_time);
                Ok(Arc::new(queue.rejected()))
            }
            _ => self.rejected_messages()?.open_cloud(),
        }
    }

    fn open_cloud(self) -> Result<SharedQueue, QueueError> {
        match self.service()? {
            #[cfg(feature = "aws")]
            Service::Aws => crate::aws::open(self),
            #[cfg(feature = "gcp")]
            Service::Gcp => crate::gcp::open(self),
            #[allow(unreachable_patterns, reason = "depends on the features")]
            service => {
                let feature = match service {
                    Service::Aws => "aws",
                    _ => "gcp",
                };
                let problem = format!(
                    "this build cannot reach it, build with the cargo feature \"{feature}\""
                );
                Err(setting(self.location(), problem))
            }
        }
    }

    /// Returns the queue of rejected messages in a cloud. It has no destination for messages that it
    /// rejects itself.
    fn rejected_messages(self) -> Result<Self, QueueError> {
        if self.rejected_url.is_none() {
            let problem = match self.rejected {
                None => "the queue has no place for rejected messages: write rejected",
                Some(_) => {
                    "rejected messages go to a topic, and can be read only from a queue that is subscribed to it: \
                     write rejected as {publish: sns:…, url: sqs://…}"
                }
            };
            return Err(setting(self.location(), problem));
        }
        Ok(Self {
            url: self.rejected_url,
            publish: self.rejected,
            rejected: None,
            rejected_url: None,
            ..self
        })
    }
}
