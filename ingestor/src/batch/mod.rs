//! From the slabs of a window to signed batches: planned once, then a pure function of the plan.
//!
//! ```text
//! plan_log  the log of plans: which windows are due; creates each plan if absent, or adopts it
//! window    one window: index -> replay -> cut -> build -> publish -> carried slab -> record
//! redeliver writes fixed batches to the mailboxes once more
//! prune     prunes objects that are no longer needed
//! ```
//!
//! Any number of jobs may run concurrently, on any number of machines, and each may be interrupted
//! at any point.

mod build;
mod carry;
mod cut;
mod cycle;
mod index;
mod plan_log;
mod points;
mod prune;
mod publish;
mod record;
mod redeliver;
mod replay;
mod retry;
mod summary;
mod window;

pub use cycle::cycle;
pub use points::check_bins;
pub use record::{WindowBatch, WindowRecord};
pub use redeliver::{Redelivery, redeliver};
pub use replay::ReplayCounts;
pub use summary::{BatcherSummary, RedeliverySummary, WindowSummary};

use std::sync::Arc;

use tallybox_model::time::BatchTime;

use crate::error::Error;
use crate::ingestor::{Ingestor, Locality};
use plan_log::{FixedPlan, PlanLog};
use retry::RetryingBucket;
use window::{Done, WindowJob, is_gone};

/// A callback that receives the number of packets written.
pub type BatchProgress = Arc<dyn Fn(u64) + Send + Sync>;

/// Options of a run of the batcher.
#[derive(Clone, Default)]
pub struct BatchOptions {
    /// The start of the last window to batch. `None` means all that are due.
    pub until: Option<BatchTime>,
    /// This job's part of the partitions: those with the first number as the remainder of division
    /// by the second. `None` means all.
    pub shard: Option<(u32, u32)>,
    /// Seed of the first partition to write. Concurrent jobs should use different values, so that
    /// they start with different partitions.
    pub partition_seed: u32,
    /// Progress callback.
    pub progress: Option<BatchProgress>,
}

impl std::fmt::Debug for BatchOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BatchOptions")
            .field("until", &self.until)
            .field("shard", &self.shard)
            .finish_non_exhaustive()
    }
}

/// A run of the batcher for one locality.
pub(crate) struct Job<'j> {
    ingestor: &'j Ingestor,
    locality: &'j Locality,
    options: &'j BatchOptions,
}

impl Job<'_> {
    fn has_partition(&self, partition: u32) -> bool {
        let shard = self.options.shard;
        shard.is_none_or(|(ours, jobs)| {
            partition
                .checked_rem(jobs)
                .is_none_or(|remainder| remainder == ours)
        })
    }

    /// Returns the spool, with retries according to `batches.write-tries`.
    fn spool(&self) -> RetryingBucket<'_> {
        RetryingBucket::spool(self.ingestor)
    }

    fn progress(&self, packets: u64) {
        if let Some(progress) = &self.options.progress {
            progress(packets);
        }
    }
}

/// Batches every window of a locality that is due, oldest first, and prunes the spool. Writes
/// nothing if there is nothing to do.
///
/// # Errors
/// [`Error`] of the first window that cannot be completed. Objects that are already written stay,
/// and the next run continues from there.
pub async fn batch(
    ingestor: &Ingestor,
    locality: &Locality,
    options: &BatchOptions,
) -> Result<BatcherSummary, Error> {
    let job = Job {
        ingestor,
        locality,
        options,
    };
    let mut plan_log = PlanLog::read(ingestor, locality).await?;
    redeliver::retry_unconfirmed(&job, &plan_log).await?;
    let mut summary = BatcherSummary::new(&locality.instance);
    loop {
        let Some(plan) = plan_log.open() else {
            if plan_log.extend(options.until).await? {
                continue;
            }
            break;
        };
        let start = plan.plan.window.start();
        if options.until.is_some_and(|until| until < start) {
            break;
        }
        match run_plan(&job, &mut plan_log, plan).await? {
            Done::Complete(record) => summary.windows.push(record.summary),
            Done::Waiting(partitions) => {
                summary.wait_for(start, partitions);
                return Ok(summary);
            }
        }
    }
    summary.deleted = prune::prune(&job, &plan_log).await?;
    Ok(summary)
}

/// Returns the records of all complete windows that have not been pruned, oldest first, for audits.
///
/// # Errors
/// Errors of the spool, and [`Error::UnknownSecret`] for a record of a secret that is no longer
/// configured.
pub async fn records(ingestor: &Ingestor, locality: &Locality) -> Result<Vec<WindowRecord>, Error> {
    let job = Job {
        ingestor,
        locality,
        options: &BatchOptions::default(),
    };
    let mut records = Vec::new();
    for (start, secret) in PlanLog::read(ingestor, locality).await?.records {
        records.push(window::open_record(&job, start, &secret).await?.record);
    }
    Ok(records)
}

/// Completes one window. Windows are completed in order, since a later window finds replays in the
/// records of earlier ones.
async fn run_plan(
    job: &Job<'_>,
    plan_log: &mut PlanLog<'_>,
    plan: FixedPlan,
) -> Result<Done, Error> {
    let start = plan.plan.window.start();
    let secret = plan.plan.secret.clone();
    let before = plan_log.replayed(&plan.plan);
    let done = match WindowJob::read(job, plan, &before).await {
        Ok(window) => window.write().await,
        Err(error) => Err(error),
    };
    let done = match done {
        // Another job has completed the window in the meantime, and its slabs may have been pruned
        // since.
        Err(error) if is_gone(&error) => match window::open_record(job, start, &secret).await {
            Ok(record) => Done::Complete(Box::new(record.record)),
            Err(_) => return Err(error),
        },
        done => done?,
    };
    if let Done::Complete(record) = &done {
        plan_log.close(start, secret, record.summary.carried > 0);
    }
    Ok(done)
}
