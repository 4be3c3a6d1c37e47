//! The sections `queues` and `worker` of the configuration.

use crate::error::Error;
use serde::Deserialize;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;
use tallybox_model::task::QueueKind;
use tallybox_queue::{QueuePlace, SharedQueue};

/// The queues from which tasks come.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct WorkerQueues {
    /// Intake tasks.
    pub intake: QueuePlace,
    /// Tasks about windows: rosters and aggregations.
    pub aggregate: QueuePlace,
}

impl WorkerQueues {
    /// Opens the queue of this kind. Relative paths are relative to `directory`.
    ///
    /// # Errors
    /// [`Error::Setting`] if the queue cannot be opened: the configuration is at fault.
    pub fn open(&self, kind: QueueKind, directory: &Path) -> Result<SharedQueue, Error> {
        let place = match kind {
            QueueKind::Intake => &self.intake,
            QueueKind::Aggregate => &self.aggregate,
        };
        let opened = place.open(directory);
        opened.map_err(|error| Error::Setting(format!("queues.{kind}: {error}")))
    }
}

/// The settings of a worker. Changes in this section need a restart; the rest of the file is
/// reloaded.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct WorkerConfig {
    /// How many tasks of each queue run at once.
    pub concurrency: usize,
    /// The memory budget for the packets of all tasks together, in MiB. A batch that needs more
    /// than the budget takes the whole budget.
    pub memory_mib: u64,
    /// Memory for caching small prepared batches between intake and aggregation, in MiB; 0 disables
    /// the cache.
    pub prepared_cache_mib: u64,
    /// How far each renewal extends a lease, in seconds; by default the queue's lease time. A
    /// renewal happens each time a third of the shorter of both times has passed.
    pub lease_extension_secs: Option<u64>,
    /// The address that serves `/healthz`, `/readyz` and `/metrics`.
    pub operations: SocketAddr,
    /// How often the files of configuration and keys are checked for changes, in seconds; 0
    /// disables the check.
    pub reload_secs: u64,
    /// After how many seconds without progress a task counts as stuck, so that `/healthz` fails.
    pub stuck_after_secs: u64,
    /// The delay before a retry.
    pub retry_delay: RetryDelay,
    /// The attempt at which a task is rejected if it makes the program panic or meets an internal
    /// error.
    pub attempts_at_a_panic: u32,
}

/// The delay before a retry: `min` after the first attempt, doubled after each further attempt up
/// to `max`, with a jitter of up to half the delay in both directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct RetryDelay {
    /// The delay after the first attempt, in seconds.
    pub min_secs: u64,
    /// The longest delay, in seconds.
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
    /// Checks that all values are within their limits.
    ///
    /// # Errors
    /// [`Error::Setting`] that names the key and its limits.
    pub fn check(&self) -> Result<(), Error> {
        let refuse = |problem: &str| Err(Error::Setting(format!("worker.{problem}")));
        if !(1..=1024).contains(&self.concurrency) {
            return refuse("concurrency: must be between 1 and 1024");
        }
        if !(96..=1 << 20).contains(&self.memory_mib) {
            return refuse("memory-mib: must be between 96 and 1048576");
        }
        if self.prepared_cache_mib > self.memory_mib {
            return refuse("prepared-cache-mib: must be at most memory-mib");
        }
        if self.lease_extension_secs.is_some_and(|secs| secs < 10) {
            return refuse("lease-extension-secs: must be at least 10");
        }
        if self.stuck_after_secs < 10 {
            return refuse("stuck-after-secs: must be at least 10");
        }
        if self.retry_delay.min_secs > self.retry_delay.max_secs
            || self.retry_delay.max_secs > 43_200
        {
            return refuse(
                "retry-delay: min-secs must be at most max-secs, and max-secs at most 43200",
            );
        }
        if self.attempts_at_a_panic == 0 {
            return refuse("attempts-at-a-panic: must be at least 1");
        }
        Ok(())
    }

    pub(crate) fn stuck_after(&self) -> Duration {
        Duration::from_secs(self.stuck_after_secs)
    }
}
