//! Workers: tasks from queues, several at once, until somebody says stop.
//!
//! | file | holds |
//! |---|---|
//! | `config` | the sections `queues` and `worker` of the configuration |
//! | `handle` | one message, from its bytes to an [`Outcome`] |
//! | `outcome`, `delay` | what becomes of a message; when it comes back |
//! | `step` | receive one, handle it, settle it: nothing in the background, for simulations |
//! | `run` | the loop around it: several tasks, leases kept, the way down |
//! | `keeper` | keeps a lease from the moment of receipt |
//! | `pulse` | what is in hand, and whether it gets on |
//! | `reach` | whether the buckets answer, tasks or not |
//! | `reload` | configuration and keys, read again |
//! | `operations`, `metrics` | what it says of itself |
//!
//! A message never ends a worker, and neither does a queue: what fails is logged, counted, and tried again.

mod config;
mod delay;
mod handle;
mod keeper;
mod metrics;
mod operations;
mod outcome;
mod pulse;
mod reach;
mod reload;
mod run;
mod step;

pub use config::{Queues, RetryDelay, WorkerConfig};
pub use delay::retry_delay;
pub use handle::handle;
pub use metrics::{Metrics, TaskKind};
pub use outcome::Outcome;
pub use pulse::{Hand, Pulses};
pub use reach::watch_buckets;
pub use reload::{Source, watch};
pub use run::run;
pub use step::step;

use crate::budget::Budget;
use crate::error::Error;
use crate::processor::Processor;
use operations::State;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use step::Attempts;
use tallybox_queue::SharedQueue;
use tallybox_service::reach::Reach;

/// Which queue: its messages do not say themselves what they are.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Kind {
    /// Intake tasks.
    Intake,
    /// Tasks about windows: rosters and aggregations.
    Aggregate,
}

impl Kind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Intake, Self::Aggregate];

    /// The queue's name in the configuration, in logs and in metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Intake => "intake",
            Self::Aggregate => "aggregate",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A worker: a processor, the queues that it takes tasks from, and what it counts.
#[derive(Debug)]
pub struct Worker {
    processor: RwLock<Arc<Processor>>,
    queues: BTreeMap<Kind, SharedQueue>,
    config: WorkerConfig,
    budget: Budget,
    attempts: Attempts,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// What is in hand.
    pub pulses: Pulses,
    reach: Reach,
    state: State,
}

impl Worker {
    /// A worker on these queues, each once.
    #[must_use]
    pub fn new(
        processor: Processor,
        queues: impl IntoIterator<Item = (Kind, SharedQueue)>,
        config: WorkerConfig,
    ) -> Arc<Self> {
        let budget = Budget::of_mib(config.memory_mib);
        let metrics = Arc::new(Metrics::new());
        let processor = Arc::new(fitted(processor, &budget, &config));
        Arc::new(Self {
            processor: RwLock::new(processor),
            queues: queues.into_iter().collect(),
            pulses: Pulses::new(config.stuck_after()),
            attempts: Attempts::default(),
            reach: Reach::default(),
            state: State::default(),
            metrics,
            budget,
            config,
        })
    }

    /// The processor that new tasks are done by.
    #[must_use]
    pub fn processor(&self) -> Arc<Processor> {
        Arc::clone(&self.processor.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Has new tasks done by this one; those in hand go on with the one that they began with.
    pub fn replace_processor(&self, mut processor: Processor) {
        let old = self.processor();
        if processor.pool.current_num_threads() == old.pool.current_num_threads() {
            processor.pool = Arc::clone(&old.pool);
        }
        let processor = Arc::new(fitted(processor, &self.budget, &self.config));
        *self.processor.write().unwrap_or_else(PoisonError::into_inner) = processor;
    }

    /// The queue of this kind.
    fn queue(&self, kind: Kind) -> Result<&SharedQueue, Error> {
        let missing = || Error::Setting(format!("the worker has no {kind} queue"));
        self.queues.get(&kind).ok_or_else(missing)
    }

    /// How it works.
    #[must_use]
    pub fn config(&self) -> &WorkerConfig {
        &self.config
    }
}

/// The processor with what it shares with those before and after it, and with memory for small prepared batches.
fn fitted(mut processor: Processor, budget: &Budget, config: &WorkerConfig) -> Processor {
    processor.budget = budget.clone();
    processor.cache.remember_prepared(config.prepared_cache_mib << 20);
    processor
}
