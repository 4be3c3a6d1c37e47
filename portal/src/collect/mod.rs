//! The collection of sum parts: finds them in the mailboxes, verifies and adds each pair, and
//! writes evidence, rows and findings.
//!
//! ```text
//! listings of both mailboxes + rows -> plan -> window (read, verify, add, evidence) -> store
//! ```
//!
//! A run keeps no state of its own: rows and evidence show what is done. The evidence of a window
//! is written before its row, so a run that is interrupted loses nothing.

mod directory;
mod listing;
mod outcome;
mod plan;
mod report;
mod source;
mod window;

pub use outcome::Trouble;
pub use report::Collected;

use std::sync::Arc;

use tallybox_service::clock::Clock;
use tallybox_service::config::Loaded;
use tallybox_service::progress::Progress;
use tallybox_transport::SharedBucket;
use tokio::sync::Semaphore;

use crate::config::Config;
use crate::error::Error;
use crate::store::Store;
use source::Source;
pub(crate) use source::directories;

/// Memory for the files of all windows that are processed at the same time, in KiB. A window that
/// is larger is processed alone.
const BUDGET_KIB: u32 = 16 << 10;

/// What one run looks for.
#[derive(Clone, Copy, Debug, Default)]
pub struct CollectOptions {
    /// Look for windows of any age.
    pub all: bool,
    /// Read the sum parts of windows that were added before, and compare them with the evidence.
    pub recheck: bool,
}

/// Collects the sum parts of all sources of a configuration.
#[derive(Debug)]
pub struct SumCollector {
    sources: Vec<Source>,
    evidence: SharedBucket,
    store: Store,
    clock: Clock,
    limits: Limits,
    budget: Arc<Semaphore>,
}

/// The settings of the configuration that a run uses.
#[derive(Clone, Copy, Debug)]
struct Limits {
    minimum: u64,
    late_millis: i64,
    look_back_minutes: i64,
    concurrency: usize,
}

impl SumCollector {
    /// Opens the buckets and reads the keys of a configuration.
    ///
    /// # Errors
    /// [`Error::Bucket`] or [`Error::File`].
    pub fn open(config: &Loaded<Config>, store: Store, clock: Clock) -> Result<Self, Error> {
        let Config {
            evidence,
            sources,
            minimum,
            late_minutes,
            look_back_days,
            concurrency,
            ..
        } = &config.value;
        let open = |source| Source::open(source, &config.directory);
        Ok(Self {
            sources: sources.iter().map(open).collect::<Result<_, _>>()?,
            evidence: evidence.open(&config.directory)?,
            store,
            clock,
            limits: Limits {
                minimum: *minimum,
                late_millis: i64::from(*late_minutes) * 60_000,
                look_back_minutes: i64::from(*look_back_days) * 24 * 60,
                concurrency: *concurrency,
            },
            budget: Arc::new(Semaphore::new(BUDGET_KIB as usize)),
        })
    }

    /// Processes every window that is new or has changed. A bucket that cannot be reached is noted
    /// in the result, and the run continues with the other windows.
    ///
    /// # Errors
    /// [`Error::Database`]; a later run continues.
    pub async fn run(
        &self,
        options: CollectOptions,
        progress: &Progress,
    ) -> Result<Collected, Error> {
        let mut collected = Collected::default();
        for source in &self.sources {
            let directories = match source.directories().await {
                Ok(directories) => directories,
                Err(error) => {
                    collected.fail(&source.name, &error.into());
                    continue;
                }
            };
            for (instance, aggregation) in directories {
                let directory = directory::Directory {
                    source,
                    instance,
                    aggregation,
                };
                self.directory(&directory, options, progress, &mut collected)
                    .await?;
            }
        }
        Ok(collected)
    }
}
