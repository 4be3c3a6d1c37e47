//! The summary of an aggregation: the window, and the outcome of each batch.

use super::group::Group;
use crate::error::Error;
use crate::intake::write_reasons;
use crate::reason::{PeerRejections, Rejections};
use serde::Serialize;
use std::fmt;
use std::time::Duration;
use tallybox_model::id::{AggregationId, BatchId};
use tallybox_model::path::BatchName;
use tallybox_model::role::Role;
use tallybox_model::roster::WindowName;
use tallybox_model::time::{BatchTime, Window};
use tallybox_service::exit::Exit;
use tallybox_transport::BucketError;

/// The outcome of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum BatchOutcome {
    /// The batch is in the sum part.
    Summed,
    /// The batch can never be summed.
    Excluded,
    /// An object that the batch needs does not exist yet.
    Waiting,
}

/// The part of the summary for one batch.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct AggregatedBatch {
    /// The date of the batch.
    pub date: BatchTime,
    /// The identifier of the batch.
    pub batch: BatchId,
    /// The outcome.
    pub outcome: BatchOutcome,
    /// The exit code that this batch alone would cause.
    #[serde(skip)]
    pub exit: Exit,
    /// The machine-readable reason if the batch is not summed.
    pub reason: Option<String>,
    /// The error message if the batch is not summed.
    pub message: Option<String>,
    /// Packets read.
    pub packets_read: u64,
    /// Packets that count.
    pub packets_accepted: u64,
}

/// The summary of an aggregation, for people and (`--json`) machines.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct AggregateSummary {
    /// Always `aggregate`.
    pub stage: &'static str,
    /// The role of this processor.
    pub role: Role,
    /// The aggregation.
    pub aggregation: AggregationId,
    /// The window.
    pub window: Window,
    /// True if nothing was written.
    pub dry_run: bool,
    /// True if the sum part was already published, with the same bytes.
    pub done_before: bool,
    /// The name of the sum part's header.
    pub sum_part: Option<String>,
    /// Every batch of the selection.
    pub batches: Vec<AggregatedBatch>,
    /// Objects in the window that belong to no batch.
    pub foreign_objects: u64,
    /// Packets read, of the summed batches.
    pub packets_read: u64,
    /// Packets that count.
    pub packets_accepted: u64,
    /// Packets that do not count, except duplicates.
    pub packets_rejected: u64,
    /// Rejected packets and duplicates, by reason.
    pub rejected_by_reason: Rejections,
    /// Packets that repeat another one.
    pub duplicates: u64,
    /// The packets that do not count because of the peer.
    pub rejections: PeerRejections,
    /// This processor's part of each bin's sum, as in the sum part (or, in a dry run, as it would
    /// be).
    pub sum: Vec<u32>,
    /// Duration in seconds.
    pub seconds: f64,
    /// Packets per second.
    pub packets_per_second: f64,
}

impl AggregateSummary {
    pub(crate) fn new(role: Role, name: &WindowName, dry_run: bool) -> Self {
        Self {
            stage: "aggregate",
            role,
            aggregation: name.aggregation.clone(),
            window: name.window,
            dry_run,
            done_before: false,
            sum_part: None,
            batches: Vec::new(),
            foreign_objects: 0,
            packets_read: 0,
            packets_accepted: 0,
            packets_rejected: 0,
            rejected_by_reason: Rejections::default(),
            duplicates: 0,
            rejections: PeerRejections::default(),
            sum: Vec::new(),
            seconds: 0.0,
            packets_per_second: 0.0,
        }
    }

    /// Adds a batch that is not summed.
    pub(crate) fn exclude(&mut self, name: &BatchName, error: &Error) {
        let exit = error.exit();
        self.batches.push(AggregatedBatch {
            date: name.date,
            batch: name.id,
            exit,
            outcome: if exit == Exit::Retry {
                BatchOutcome::Waiting
            } else {
                BatchOutcome::Excluded
            },
            reason: Some(error.reason()),
            message: Some(error.to_string()),
            packets_read: 0,
            packets_accepted: 0,
        });
    }

    /// Adds the summed batches.
    pub(crate) fn finish(&mut self, group: Option<&Group>, elapsed: Duration) {
        for result in group.iter().flat_map(|group| &group.results) {
            self.packets_read += result.packets;
            self.packets_accepted += result.accepted;
            self.rejected_by_reason.merge(&result.rejections);
            self.batches.push(AggregatedBatch {
                date: result.name.date,
                batch: result.name.id,
                outcome: BatchOutcome::Summed,
                exit: Exit::Done,
                reason: None,
                message: None,
                packets_read: result.packets,
                packets_accepted: result.accepted,
            });
        }
        self.sum = group
            .map(|group| group.sum().values().to_vec())
            .unwrap_or_default();
        self.packets_rejected = self.rejected_by_reason.rejected();
        self.duplicates = self.rejected_by_reason.duplicates();
        self.batches.sort_by_key(|batch| (batch.date, batch.batch));
        self.elapsed(elapsed);
    }

    /// Sets the duration.
    pub(crate) fn elapsed(&mut self, elapsed: Duration) {
        self.seconds = elapsed.as_secs_f64();
        self.packets_per_second = self.packets_read as f64 / self.seconds.max(1e-9);
    }

    /// Returns the error for a window of which no batch can be summed, with the status of each.
    pub(crate) fn nothing_to_sum(&self) -> Error {
        let excluded = || {
            self.batches
                .iter()
                .filter(|batch| batch.outcome != BatchOutcome::Summed)
        };
        // Faults that can be repaired take precedence over final ones, and those that need an operator
        // over the others.
        let order = [
            Exit::Retry,
            Exit::Conflict,
            Exit::BelowMinimum,
            Exit::Rejected,
        ];
        let exit = order
            .into_iter()
            .find(|exit| excluded().any(|batch| batch.exit == *exit))
            .unwrap_or(Exit::Retry);
        let describe = |batch: &AggregatedBatch| {
            let reason = batch.reason.as_deref().unwrap_or("excluded");
            format!("{}/{}: {reason}", batch.date, batch.batch)
        };
        let detail: Vec<String> = excluded().map(describe).collect();
        let detail = if detail.is_empty() {
            "the window contains no batch".to_owned()
        } else {
            detail.join(", ")
        };
        let reason = excluded()
            .find_map(|batch| batch.reason.clone())
            .unwrap_or_else(|| "no-batch".to_owned());
        Error::NothingToSum {
            window: self.window.to_string(),
            detail,
            exit,
            reason,
        }
    }
}

/// The end of an aggregation without a sum part.
#[derive(Debug)]
pub struct AggregateError {
    /// Why there is no sum part.
    pub error: Error,
    /// The outcome of each batch, if the batches were read.
    pub summary: Option<Box<AggregateSummary>>,
}

impl AggregateError {
    pub(crate) fn new(error: Error, summary: AggregateSummary) -> Self {
        Self {
            error,
            summary: Some(Box::new(summary)),
        }
    }
}

impl From<Error> for AggregateError {
    fn from(error: Error) -> Self {
        Self {
            error,
            summary: None,
        }
    }
}

impl From<AggregateError> for Error {
    fn from(failed: AggregateError) -> Self {
        failed.error
    }
}

impl From<BucketError> for AggregateError {
    fn from(error: BucketError) -> Self {
        Error::from(error).into()
    }
}

impl fmt::Display for AggregateSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = match (self.dry_run, self.done_before) {
            (true, _) => "would be summed",
            (false, true) => "was already summed",
            (false, false) => "summed",
        };
        writeln!(f, "{}, {}: {verb}", self.aggregation, self.window)?;
        for batch in &self.batches {
            let (date, id) = (batch.date, batch.batch);
            match &batch.reason {
                None => writeln!(
                    f,
                    "  {date}/{id}  {:>9} of {} packets",
                    batch.packets_accepted, batch.packets_read
                )?,
                Some(reason) => writeln!(f, "  {date}/{id}  left out: {reason}")?,
            }
        }
        if self.foreign_objects > 0 {
            writeln!(f, "  foreign objects    {:>12}", self.foreign_objects)?;
        }
        writeln!(f, "  packets read       {:>12}", self.packets_read)?;
        writeln!(f, "  accepted           {:>12}", self.packets_accepted)?;
        writeln!(f, "  rejected           {:>12}", self.packets_rejected)?;
        writeln!(f, "  duplicates         {:>12}", self.duplicates)?;
        write_reasons(f, &self.rejected_by_reason)?;
        let PeerRejections { messages, rejected } = self.rejections;
        writeln!(f, "  ruled out by peer  {rejected:>12} of {messages}")?;
        if let Some(object) = &self.sum_part {
            writeln!(f, "  sum part           {object}")?;
        }
        write!(
            f,
            "  {:.2} s, {:.0} packets/s",
            self.seconds, self.packets_per_second
        )
    }
}
