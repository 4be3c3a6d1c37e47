//! `facilitator aggregate`

use super::options::processor;
use crate::aggregate::{AggregateTask, aggregate};
use crate::error::Error;
use crate::processor::Processor;
use crate::progress::ProgressCallback;
use crate::roster::{aggregate_agreed, rostered};
use crate::sum::{AggregateError, AggregateSummary, release};
use clap::Args;
use std::fmt;
use std::sync::Arc;
use tallybox_model::id::{AggregationId, BatchId};
use tallybox_model::path::BatchName;
use tallybox_model::roster::WindowName;
use tallybox_model::time::{BatchTime, Window};
use tallybox_service::exit::Exit;
use tallybox_service::output::{Failure, Summary};
use tallybox_service::shell::GlobalOptions;

/// Sum a window: add the shares of the packets that both processors accepted, and publish the sum
/// part
///
/// Reads prepared batches from `buckets.own` and the peer's validation batches from
/// `buckets.peer-validation-in`; writes the sum part to `buckets.sum-parts`. Without --batch, the
/// command sums every batch of the window for which both processors have completed the intake. It
/// leaves out a batch without the peer's validation, and names it. An invalid batch does not affect
/// the others. A window with rosters is summed as they agree: see `roster`. A window is held if the
/// fraction of packets that do not count because of the peer exceeds `maximum-rejected-share`; then
/// only --accept-rejections sums it.
#[derive(Debug, Args)]
pub(super) struct Aggregate {
    /// The aggregation: the first component of the batches' object names
    #[arg(long, value_name = "NAME")]
    aggregation: AggregationId,
    /// The first minute of the window (UTC)
    #[arg(long, value_name = "YYYY/MM/DD/HH/MM")]
    start: BatchTime,
    /// The first minute after the window (UTC)
    #[arg(long, value_name = "YYYY/MM/DD/HH/MM")]
    end: BatchTime,
    /// Sum exactly this batch; may be repeated
    #[arg(long = "batch", value_name = "YYYY/MM/DD/HH/MM/UUID")]
    batches: Vec<DatedBatch>,
    /// Print what would be summed, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Release a held window (exit code 7: too many packets do not count because of the peer), and
    /// sum it
    #[arg(long, conflicts_with = "dry_run")]
    accept_rejections: bool,
}

/// A batch on the command line: its date, then its identifier.
#[derive(Clone, Debug)]
pub(super) struct DatedBatch {
    pub(super) date: BatchTime,
    pub(super) id: BatchId,
}

impl fmt::Display for DatedBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.date, self.id)
    }
}

impl std::str::FromStr for DatedBatch {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (date, id) = text
            .rsplit_once('/')
            .ok_or("expected YYYY/MM/DD/HH/MM/UUID")?;
        let date = date
            .parse()
            .map_err(|error: tallybox_model::time::TimeError| error.to_string())?;
        let id = id
            .parse()
            .map_err(|error: tallybox_model::id::IdError| error.to_string())?;
        Ok(Self { date, id })
    }
}

impl Aggregate {
    pub(super) async fn run(&self, options: &GlobalOptions) -> Result<Exit, Error> {
        let window =
            Window::new(self.start, self.end).map_err(|error| Error::Setting(error.to_string()))?;
        let processor = processor(options)?;
        let name = |batch: &DatedBatch| BatchName {
            aggregation: self.aggregation.clone(),
            date: batch.date,
            id: batch.id,
        };
        let task = AggregateTask {
            aggregation: self.aggregation.clone(),
            window,
            batches: self.batches.iter().map(name).collect(),
            dry_run: self.dry_run,
        };
        let bar = options.output.progress(None, "aggregate");
        let shown = bar.clone();
        let progress: ProgressCallback =
            Arc::new(move |packets, bytes| shown.advance(packets, bytes));
        let name = WindowName {
            aggregation: task.aggregation.clone(),
            window,
        };
        let mut result = sum(&processor, &task, &name, Arc::clone(&progress)).await;
        if self.accept_rejections
            && let Err(AggregateError {
                error: Error::Held { rejections, .. },
                ..
            }) = &result
        {
            // The release is valid only for the counts of this error.
            release(&processor.buckets, &name, *rejections).await?;
            result = sum(&processor, &task, &name, progress).await;
        }
        bar.finish();
        match result {
            Ok(summary) => {
                options.print(&summary)?;
                Ok(Exit::Done)
            }
            Err(error) => Ok(options.output.failure(&failure(&error))),
        }
    }
}

/// Sums a window as both processors' rosters agree; without rosters, sums the batches that the
/// command selects.
async fn sum(
    processor: &Arc<Processor>,
    task: &AggregateTask,
    name: &WindowName,
    progress: ProgressCallback,
) -> Result<AggregateSummary, AggregateError> {
    let window = task.window;
    if !rostered(&processor.buckets, &processor.limits, window).await? {
        return aggregate(processor, task, progress).await;
    }
    // A batch set that both processors agreed on cannot be changed by one of them.
    if !task.batches.is_empty() || task.dry_run {
        let problem = format!(
            "--batch and --dry-run apply only to windows without rosters, and {window} has rosters; omit them"
        );
        return Err(Error::Setting(problem).into());
    }
    aggregate_agreed(processor, name, progress).await
}

/// The failure as it is printed, with the outcome of each batch if it is known.
fn failure(AggregateError { error, summary }: &AggregateError) -> Failure {
    let failure = Failure::from_error(error.exit(), error.reason(), error);
    match summary {
        Some(summary) => failure.detail(
            "batches",
            serde_json::to_value(&summary.batches).unwrap_or_default(),
        ),
        None => failure,
    }
}

impl Summary for AggregateSummary {
    fn human(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}
