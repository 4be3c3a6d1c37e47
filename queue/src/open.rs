//! Opening a queue from its place, and the rules for valid combinations of texts.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::endpoint::{Endpoint, setting};
use crate::{DirectoryQueue, MemoryQueue, QueueError, QueuePlace, QueueSettings, SharedQueue};

/// The named queues in memory. All openings of a name in this process share one queue.
static NAMED: Mutex<BTreeMap<String, MemoryQueue>> = Mutex::new(BTreeMap::new());

/// A place whose texts have been parsed and form a valid combination.
#[derive(Debug)]
pub(crate) struct QueueSpec {
    kind: Kind,
    lease_time: Duration,
    #[cfg_attr(not(any(feature = "aws", feature = "gcp")), allow(dead_code))]
    settings: QueueSettings,
}

#[derive(Debug)]
enum Kind {
    Memory(String),
    Directory(std::path::PathBuf),
    Aws(CloudRoutes),
    Gcp(CloudRoutes),
}

/// The sources and destinations of messages in one cloud.
#[derive(Debug)]
#[cfg_attr(not(any(feature = "aws", feature = "gcp")), allow(dead_code))]
pub(crate) struct CloudRoutes {
    /// The source of messages.
    pub(crate) url: Option<Endpoint>,
    /// The destination of published messages.
    pub(crate) publish: Option<Endpoint>,
    /// The destination of rejected messages.
    pub(crate) rejected: Option<Endpoint>,
    /// The source for reading rejected messages.
    pub(crate) rejected_url: Option<Endpoint>,
}

impl CloudRoutes {
    /// Returns the queue's name for messages.
    pub(crate) fn location(&self) -> String {
        let first = self.url.as_ref().or(self.publish.as_ref());
        first.map_or_else(|| "(nowhere)".to_owned(), ToString::to_string)
    }
}

impl QueueSpec {
    pub(crate) fn new(place: &QueuePlace, directory: &Path) -> Result<Self, QueueError> {
        let parse = |text: Option<&String>| {
            text.map(|text| Endpoint::parse(text, directory))
                .transpose()
        };
        let rejected = place.rejected.as_ref();
        let mut routes = CloudRoutes {
            url: parse(place.url.as_ref())?,
            publish: parse(place.publish.as_ref())?,
            rejected: parse(rejected.and_then(|rejected| rejected.publish.as_ref()))?,
            rejected_url: parse(rejected.and_then(|rejected| rejected.url.as_ref()))?,
        };
        // A topic alone is the destination of a program that only publishes.
        if matches!(routes.url, Some(Endpoint::Sns(_))) && routes.publish.is_none() {
            routes.publish = routes.url.take();
        }
        let settings = place.settings.clone().relative_to(directory);
        let plan = Self {
            kind: kind(routes)?,
            lease_time: place.lease_time(),
            settings,
        };
        plan.check()?;
        Ok(plan)
    }

    fn check(&self) -> Result<(), QueueError> {
        let (queue, what, range, applicable): (String, _, _, &[&str]) = match &self.kind {
            Kind::Memory(name) => (
                format!("memory:{name}"),
                "a queue in memory",
                1..=31_536_000,
                &[],
            ),
            Kind::Directory(path) => (
                path.display().to_string(),
                "a directory",
                1..=31_536_000,
                &[],
            ),
            Kind::Aws(routes) => (routes.location(), "SQS and SNS", 1..=43_200, &AWS_SETTINGS),
            Kind::Gcp(routes) => (routes.location(), "Pub/Sub", 10..=600, &GCP_SETTINGS),
        };
        self.settings.only(&queue, what, applicable)?;
        let seconds = self.lease_time.as_secs();
        if !range.contains(&seconds) {
            let (least, most) = (range.start(), range.end());
            let problem = format!("lease-seconds is {seconds}, but {what} takes {least} to {most}");
            return Err(setting(queue, problem));
        }
        Ok(())
    }

    pub(crate) fn open(self) -> Result<SharedQueue, QueueError> {
        match self.kind {
            Kind::Memory(name) => Ok(Arc::new(memory(&name, self.lease_time))),
            Kind::Directory(path) => Ok(Arc::new(DirectoryQueue::new(path, self.lease_time))),
            Kind::Aws(routes) => aws(routes, self.lease_time, &self.settings),
            Kind::Gcp(routes) => gcp(routes, self.lease_time, &self.settings),
        }
    }

    pub(crate) fn open_rejected(self) -> Result<SharedQueue, QueueError> {
        match self.kind {
            Kind::Memory(name) => Ok(Arc::new(memory(&name, self.lease_time).rejected())),
            Kind::Directory(path) => Ok(Arc::new(
                DirectoryQueue::new(path, self.lease_time).rejected(),
            )),
            Kind::Aws(routes) => aws(routes.rejected_routes()?, self.lease_time, &self.settings),
            Kind::Gcp(routes) => gcp(routes.rejected_routes()?, self.lease_time, &self.settings),
        }
    }
}

const AWS_SETTINGS: [&str; 8] = [
    "endpoint",
    "allow-http",
    "access-key-id-env",
    "access-key-id-file",
    "secret-access-key-env",
    "secret-access-key-file",
    "session-token-env",
    "session-token-file",
];

const GCP_SETTINGS: [&str; 4] = [
    "endpoint",
    "allow-http",
    "anonymous",
    "service-account-file",
];

/// Determines the kind of queue, and completes missing texts with their defaults.
fn kind(mut routes: CloudRoutes) -> Result<Kind, QueueError> {
    let location = routes.location();
    let wrong = |problem: &str| Err(setting(&location, problem));
    match (&routes.url, &routes.publish) {
        (None, None) => Err(setting(
            "(not configured)",
            "the configuration names no place: write url, the place to receive from, or publish, or both",
        )),
        (Some(Endpoint::Memory { .. } | Endpoint::Directory(_)), publish) => {
            if publish.is_some() {
                return wrong("this kind of queue publishes to its url: remove publish");
            }
            if routes.rejected.is_some() || routes.rejected_url.is_some() {
                return wrong(
                    "this kind of queue stores rejected messages itself (a directory in its folder rejected): \
                     remove rejected",
                );
            }
            Ok(match routes.url {
                Some(Endpoint::Memory { name }) => Kind::Memory(name),
                Some(Endpoint::Directory(path)) => Kind::Directory(path),
                _ => return wrong("the url is not a place to receive from"),
            })
        }
        (None, Some(Endpoint::Memory { .. } | Endpoint::Directory(_))) => wrong(
            "name it as url: a directory or a queue in memory is received from and published to in one place",
        ),
        (Some(Endpoint::Sns(_)), _) => wrong(
            "nothing can be received from a topic: write the SQS queue that is subscribed to it as url, and the \
                   topic as publish",
        ),
        (Some(Endpoint::Sqs(_)), _) | (None, Some(Endpoint::Sqs(_) | Endpoint::Sns(_))) => {
            let is_aws = |endpoint: &Option<Endpoint>| {
                matches!(endpoint, None | Some(Endpoint::Sqs(_) | Endpoint::Sns(_)))
            };
            if !is_aws(&routes.publish)
                || !is_aws(&routes.rejected)
                || !is_aws(&routes.rejected_url)
            {
                return wrong(
                    "url, publish and rejected have to be queues (sqs://…) and topics (sns:…) of AWS",
                );
            }
            if matches!(routes.rejected_url, Some(Endpoint::Sns(_))) {
                return wrong(
                    "nothing can be received from a topic: the url of rejected is the SQS queue that is \
                              subscribed to it",
                );
            }
            if routes.publish.is_none() {
                routes.publish = routes.url.clone();
            }
            if routes.rejected.is_none() {
                routes.rejected = routes.rejected_url.clone();
            }
            if routes.rejected_url.is_none() && matches!(routes.rejected, Some(Endpoint::Sqs(_))) {
                routes.rejected_url = routes.rejected.clone();
            }
            if routes.rejected.is_some() && routes.rejected == routes.publish {
                return wrong(
                    "rejected messages would be delivered as tasks: name another place as rejected",
                );
            }
            Ok(Kind::Aws(routes))
        }
        (Some(Endpoint::Pubsub { .. }), _) | (None, Some(Endpoint::Pubsub { .. })) => {
            let is_gcp = |endpoint: &Option<Endpoint>| {
                matches!(endpoint, None | Some(Endpoint::Pubsub { .. }))
            };
            if !is_gcp(&routes.publish)
                || !is_gcp(&routes.rejected)
                || !is_gcp(&routes.rejected_url)
            {
                return wrong("url, publish and rejected have to be of Pub/Sub (pubsub://…)");
            }
            // Topic and subscription have the same name, as ENPA creates them.
            if routes.publish.is_none() {
                routes.publish = routes.url.clone();
            }
            if routes.rejected.is_none() {
                routes.rejected = routes.rejected_url.clone();
            }
            if routes.rejected_url.is_none() {
                routes.rejected_url = routes.rejected.clone();
            }
            if routes.rejected.is_some() && routes.rejected == routes.publish {
                return wrong(
                    "rejected messages would be delivered as tasks: name another topic as rejected",
                );
            }
            Ok(Kind::Gcp(routes))
        }
    }
}

impl CloudRoutes {
    /// Returns the queue of rejected messages. It has no destination for messages that it rejects
    /// itself.
    fn rejected_routes(self) -> Result<Self, QueueError> {
        let Some(url) = self.rejected_url.clone() else {
            let problem = match self.rejected {
                None => "the queue has no place for rejected messages: write rejected",
                Some(_) => {
                    "rejected messages go to a topic, and can be read only from a queue that is subscribed to it: \
                     write rejected as {publish: sns:…, url: sqs://…}"
                }
            };
            return Err(setting(self.location(), problem));
        };
        Ok(Self {
            url: Some(url),
            publish: self.rejected,
            rejected: None,
            rejected_url: None,
        })
    }
}

fn memory(name: &str, lease_time: Duration) -> MemoryQueue {
    if name.is_empty() {
        return MemoryQueue::new(name, lease_time);
    }
    let mut named = NAMED.lock().unwrap_or_else(PoisonError::into_inner);
    let queue = named.entry(name.to_owned());
    queue
        .or_insert_with(|| MemoryQueue::new(name, lease_time))
        .clone()
}

#[cfg(feature = "aws")]
use crate::aws::open as aws;
#[cfg(feature = "gcp")]
use crate::gcp::open as gcp;

#[cfg(not(feature = "aws"))]
fn aws(routes: CloudRoutes, _: Duration, _: &QueueSettings) -> Result<SharedQueue, QueueError> {
    Err(missing(&routes, "aws"))
}

#[cfg(not(feature = "gcp"))]
fn gcp(routes: CloudRoutes, _: Duration, _: &QueueSettings) -> Result<SharedQueue, QueueError> {
    Err(missing(&routes, "gcp"))
}

#[cfg(not(all(feature = "aws", feature = "gcp")))]
fn missing(routes: &CloudRoutes, feature: &str) -> QueueError {
    let problem = format!("this build cannot reach it, build with the cargo feature \"{feature}\"");
    setting(routes.location(), problem)
}
