//! The sections `queues` and `worker` of the configuration.

use super::Kind;
use crate::error::Error;
use serde::Deserialize;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;
use tallybox_queue::{QueuePlace, SharedQueue};

/// Where tasks come from.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Queues {
    /// Intake tasks.
    pub intake: QueuePlace,
    /// Tasks about windows: rosters and aggregations.
    pub aggregate: QueuePlace,
}

impl Queues {
    /// Opens the queue of this kind; relative paths are relative to `directory`.
    ///
    /// # Errors
    /// [`Error::Setting`]: a queue that cannot be opened is a fault of the configuration.
    pub fn open(&self, kind: Kind, directory: &Path) -> Result<SharedQueue, Error> {
        let place = match kind {
            Kind::Intake => &self.intake,
            Kind::Aggregate => &self.aggregate,
        };
        let opened = place.open(directory);
        opened.map_err(|error| Error::Setting(format!("queues.{kind}: {error}")))
    }
}

/// How a worker works. What is changed here needs a new process; what else stands in the file is read again.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct WorkerConfig {
    /// Tasks of each queue at once.
    pub concurrency: usize,
    /// Memory for the packets of all tasks together, in MiB; a batch that needs more than all of it gets all.
    pub memory_mib: u64,
    /// Memory for small prepared batches between intake and aggregation, in MiB; 0 for none.
    pub prepared_cache_mib: u64,
    /// What a lease is extended by, in seconds; by default the queue's own lease time. It is done whenever a third of the
    /// shorter of both has passed.
    pub lease_extension_secs: Option<u64>,
    /// Where `/healthz`, `/readyz` and `/metrics` are served.
    pub operations: SocketAddr,
    /// How often the files of configuration and keys are looked at for changes, in seconds; 0 for never.
    pub reload_secs: u64,
    /// A task that says nothing for so many seconds is stuck: `/healthz` fails.
    pub stuck_after_secs: u64,
    /// When a task that is tried again comes back.
    pub retry_delay: RetryDelay,
    /// A task that makes the program panic, or ends in an error of the program's own, is rejected at this attempt.
    pub attempts_at_a_panic: u32,
}

/// When a task that is tried again comes back: `min` after the first attempt, twice that after each further one, up to
/// `max`, give or take a half.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct RetryDelay {
    /// After the first attempt, in seconds.
    pub min_secs: u64,
    /// The longest, in seconds.
    pub max_secs: u64,
}

impl Default for RetryDelay {
    fn default() -> Self {
        Self {
            min_secs: 10,
            max_secs: 600,
        }
    }
}

impl Default for WorkerConfig {
    fn default() -> Self {
        Self {
            concurrency: 4,
            memory_mib: 512,
            prepared_cache_mib: 32,
            lease_extension_secs: None,
            operations: SocketAddr::from((Ipv4Addr::LOCALHOST, 8082)),
            reload_secs: 60,
            stuck_after_secs: 900,
            retry_delay: RetryDelay::default(),
            attempts_at_a_panic: 5,
        }
    }
}

impl WorkerConfig {
    /// Refuses what makes no sense.
    ///
    /// # Errors
    /// [`Error::Setting`] that names the key.
    pub fn check(&self) -> Result<(), Error> {
        let refuse = |problem: &str| Err(Error::Setting(format!("worker.{problem}")));
        if !(1..=1024).contains(&self.concurrency) {
            return refuse("concurrency: has to be between 1 and 1024");
        }
        if !(96..=1 << 20).contains(&self.memory_mib) {
            return refuse("memory-mib: has to be between 96 and 1048576");
        }
        if self.prepared_cache_mib > self.memory_mib {
            return refuse("prepared-cache-mib: more than memory-mib");
        }
        if self.lease_extension_secs.is_some_and(|secs| secs < 10) {
            return refuse("lease-extension-secs: has to be at least 10");
        }
        if self.stuck_after_secs < 10 {
            return refuse("stuck-after-secs: has to be at least 10");
        }
        if self.retry_delay.min_secs > self.retry_delay.max_secs || self.retry_delay.max_secs > 43_200 {
            return refuse("retry-delay: min-secs has to be at most max-secs, and that at most 43200");
        }
        if self.attempts_at_a_panic == 0 {
            return refuse("attempts-at-a-panic: has to be at least 1");
        }
        Ok(())
    }

    pub(super) fn stuck_after(&self) -> Duration {
        Duration::from_secs(self.stuck_after_secs)
    }
}
