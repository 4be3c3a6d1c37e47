//! Workers: take tasks from queues, several at once, until a stop signal.
//!
//! | file | responsibility |
//! |---|---|
//! | `handle` | processes one message, from its bytes to an [`Outcome`] |
//! | `outcome`, `delay` | the outcome of a message; the delay before a retry |
//! | `step` | receives and processes one message without background work, for simulations |
//! | `run` | the main loop: concurrent tasks, lease renewal, graceful shutdown |
//! | `lease_renewer` | renews a lease from the moment of receipt |
//! | `watchdog` | the watchdog: running operations, and whether they make progress |
//! | `reach` | monitors whether the buckets answer, also when there are no tasks |
//! | `reload` | reloads configuration and keys |
//! | `operations`, `metrics` | health, readiness and metrics |
//!
//! Neither a message nor a queue can end a worker: each failure is logged, counted, and retried.

mod delay;
mod handle;
mod lease_renewer;
mod metrics;
mod operations;
mod outcome;
mod reach;
mod reload;
mod run;
mod step;
mod watchdog;

pub use delay::retry_delay;
pub use handle::handle;
pub use metrics::{Metrics, TaskKind};
pub use outcome::Outcome;
pub use reach::watch_buckets;
pub use reload::{Source, watch};
pub use run::run;
pub use step::step;
pub use watchdog::{Heartbeat, Watchdog};

use crate::budget::Budget;
use crate::config::worker::WorkerConfig;
use crate::error::Error;
use crate::processor::Processor;
use operations::State;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use step::Attempts;
use tallybox_model::task::QueueKind;
use tallybox_queue::SharedQueue;
use tallybox_service::reach::Reach;

/// A worker: a processor, the queues that it takes tasks from, and its metrics.
#[derive(Debug)]
pub struct Worker {
    processor: RwLock<Arc<Processor>>,
    queues: BTreeMap<QueueKind, SharedQueue>,
    config: WorkerConfig,
    budget: Budget,
    attempts: Attempts,
    /// The counters and histograms.
    pub metrics: Arc<Metrics>,
    /// The watchdog over running operations.
    pub watchdog: Watchdog,
    reach: Reach,
    state: State,
}

impl Worker {
    /// Creates a worker on the given queues, at most one of each kind.
    #[must_use]
    pub fn new(
        processor: Processor,
        queues: impl IntoIterator<Item = (QueueKind, SharedQueue)>,
        config: WorkerConfig,
    ) -> Arc<Self> {
        let budget = Budget::from_mib(config.memory_mib);
        let metrics = Arc::new(Metrics::new());
        let processor = Arc::new(fitted(processor, &budget, &config));
        Arc::new(Self {
            processor: RwLock::new(processor),
            queues: queues.into_iter().collect(),
            watchdog: Watchdog::new(config.stuck_after()),
            attempts: Attempts::default(),
            reach: Reach::default(),
            state: State::default(),
            metrics,
            budget,
            config,
        })
    }

    /// Returns the processor that new tasks use.
    #[must_use]
    pub fn processor(&self) -> Arc<Processor> {
        Arc::clone(
            &self
                .processor
                .read()
                .unwrap_or_else(PoisonError::into_inner),
        )
    }

    /// Replaces the processor for new tasks. Running tasks keep the processor with which they
    /// started.
    pub fn replace_processor(&self, mut processor: Processor) {
        let old = self.processor();
        // The pool is shared across reloads unless the number of threads changes.
        if processor.resources.pool.current_num_threads()
            == old.resources.pool.current_num_threads()
        {
            processor.resources.pool = Arc::clone(&old.resources.pool);
        }
        let processor = Arc::new(fitted(processor, &self.budget, &self.config));
        *self
            .processor
            .write()
            .unwrap_or_else(PoisonError::into_inner) = processor;
    }

    /// Returns the queue of this kind.
    fn queue(&self, kind: QueueKind) -> Result<&SharedQueue, Error> {
        let missing = || Error::Setting(format!("the worker has no {kind} queue"));
        self.queues.get(&kind).ok_or_else(missing)
    }

    /// Returns the worker's settings.
    #[must_use]
    pub fn config(&self) -> &WorkerConfig {
        &self.config
    }
}

/// Prepares a processor for this worker: shares the memory budget across reloads, and enables the
/// cache of small prepared batches.
fn fitted(mut processor: Processor, budget: &Budget, config: &WorkerConfig) -> Processor {
    processor.resources.budget = budget.clone();
    processor
        .resources
        .cache
        .set_prepared_bytes(config.prepared_cache_mib << 20);
    processor
}
