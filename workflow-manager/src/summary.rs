//! The result of a run: lines for people, JSON for machines.

use std::fmt;

use serde::Serialize;
use tallybox_service::cause::chain;
use tallybox_service::exit::Exit;
use tallybox_service::output::Summary;

use crate::error::Error;
use crate::inventory::{FailedScan, UnknownObjects};
use crate::manager::Observation;
use crate::work::Due;

/// The result of a run.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct RunSummary {
    /// Number of aggregations scanned.
    pub aggregations: usize,
    /// Started tasks, in order.
    pub started: Vec<StartedTask>,
    /// Failures. They do not prevent the other work of the run.
    pub failed: Vec<FailedStart>,
    /// Due tasks that were not tried, because a task of the same aggregation failed or the limit of
    /// running Jobs is reached.
    pub left: usize,
    /// Complete batches of closed windows that the peer has not validated.
    pub skipped_by_peer: Vec<String>,
    /// Complete batches that arrived too late for their window.
    pub late: Vec<String>,
    /// Objects with unknown names, which were ignored.
    #[serde(rename = "foreign")]
    pub unknown_objects: UnknownObjects,
}

/// A started task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct StartedTask {
    /// `intake`, `roster`, `agree` or `aggregate`.
    pub kind: &'static str,
    /// The batch or window.
    pub task: String,
    /// The number of starts so far, including this one.
    pub attempt: u32,
    /// The reason.
    pub why: String,
}

/// A failure of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct FailedStart {
    /// The batch, window or aggregation.
    pub what: String,
    /// The cause.
    pub problem: String,
    /// True if a bucket, a queue or the cluster was out of reach.
    #[serde(skip)]
    pub unreachable: bool,
}

impl StartedTask {
    /// Describes a started task.
    #[must_use]
    pub fn from_due(due: &Due) -> Self {
        Self {
            kind: due.task.kind(),
            task: due.task.object(),
            attempt: due.attempt,
            why: due.reason(),
        }
    }
}

impl FailedStart {
    pub(crate) fn from_error(what: &str, error: &Error) -> Self {
        Self {
            what: what.to_owned(),
            problem: chain(error),
            unreachable: error.is_unreachable(),
        }
    }

    /// Describes an aggregation that could not be scanned.
    pub(crate) fn from_failed_scan(failed_scan: &FailedScan) -> Self {
        Self {
            what: failed_scan.aggregation.to_string(),
            problem: failed_scan.problem.clone(),
            unreachable: failed_scan.unreachable,
        }
    }
}

impl RunSummary {
    /// Returns the summary of a scan before any task is started.
    #[must_use]
    pub fn from_observation(observation: &Observation) -> Self {
        let names = |names: &[tallybox_model::path::BatchName]| {
            names.iter().map(ToString::to_string).collect()
        };
        let failed_scans = observation
            .inventory
            .failed
            .iter()
            .map(FailedStart::from_failed_scan);
        Self {
            aggregations: observation.inventory.aggregations.len(),
            failed: failed_scans.collect(),
            skipped_by_peer: names(&observation.assessment.skipped),
            late: names(&observation.assessment.late),
            unknown_objects: observation.inventory.unknown_objects.clone(),
            ..Self::default()
        }
    }

    /// Returns the exit code: [`Exit::Retry`] if anything failed.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self.failed.is_empty() {
            true => Exit::Done,
            false => Exit::Retry,
        }
    }
}

/// Limit of lines of each kind in the output for people; JSON contains all.
const MAX_LINES: usize = 20;

impl Summary for RunSummary {
    fn human(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} aggregations, {} tasks started",
            self.aggregations,
            self.started.len()
        )?;
        if self.left > 0 {
            write!(f, ", {} left for the next run", self.left)?;
        }
        if !self.failed.is_empty() {
            write!(f, ", {} failures", self.failed.len())?;
        }
        let started = self.started.iter();
        let started = started.map(|task| format!("{:<9} {}: {}", task.kind, task.task, task.why));
        lines(f, "started", started.collect())?;
        let failed = self.failed.iter();
        lines(
            f,
            "failed",
            failed
                .map(|failed| format!("{}: {}", failed.what, failed.problem))
                .collect(),
        )?;
        lines(f, "skipped by the peer", self.skipped_by_peer.clone())?;
        lines(f, "late", self.late.clone())?;
        if self.unknown_objects.count > 0 {
            write!(
                f,
                "\n{} objects with unknown names were ignored",
                self.unknown_objects.count
            )?;
            lines(f, "such as", self.unknown_objects.samples.clone())?;
        }
        Ok(())
    }
}

/// Writes lines under a heading, if there are any. The names may come from other parties, so
/// control characters are replaced.
pub(crate) fn lines(f: &mut fmt::Formatter<'_>, heading: &str, lines: Vec<String>) -> fmt::Result {
    if lines.is_empty() {
        return Ok(());
    }
    write!(f, "\n{heading}")?;
    for line in lines.iter().take(MAX_LINES) {
        write!(f, "\n  {}", printable(line))?;
    }
    match lines.len().saturating_sub(MAX_LINES) {
        0 => Ok(()),
        more => write!(f, "\n  and {more} more"),
    }
}

/// Formats a text for one line of a terminal.
pub(crate) fn printable(text: &str) -> String {
    text.chars()
        .map(|character| match character.is_control() {
            true => '\u{fffd}',
            false => character,
        })
        .collect()
}
