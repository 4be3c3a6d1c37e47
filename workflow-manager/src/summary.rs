//! The result of a run: lines for people, JSON for machines.

use std::fmt;

use serde::Serialize;
use tallybox_service::exit::Exit;
use tallybox_service::output::Summary;

use crate::failure::FailedStart;
use crate::inventory::UnknownObjects;
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

impl fmt::Display for StartedTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<9} {}: {}", self.kind, self.task, self.why)
    }
}

impl RunSummary {
    /// Returns the summary of a scan before any task is started.
    #[must_use]
    pub fn from_observation(observation: &Observation) -> Self {
        Self {
            aggregations: observation.inventory.aggregations.len(),
            failed: observation.inventory.failed.clone(),
            skipped_by_peer: to_lines(&observation.assessment.skipped),
            late: to_lines(&observation.assessment.late),
            unknown_objects: observation.inventory.unknown_objects.clone(),
            ..Self::default()
        }
    }

    /// Returns the exit code: [`Exit::Retry`] if anything failed.
    #[must_use]
    pub fn exit(&self) -> Exit {
        FailedStart::exit(&self.failed)
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
        list(f, "started", &self.started)?;
        list(f, "failed", &self.failed)?;
        list(f, "skipped by the peer", &self.skipped_by_peer)?;
        list(f, "late", &self.late)?;
        if self.unknown_objects.count > 0 {
            write!(
                f,
                "\n{} objects with unknown names were ignored",
                self.unknown_objects.count
            )?;
            list(f, "such as", &self.unknown_objects.samples)?;
        }
        Ok(())
    }
}

/// Writes the items under a heading, one per line, if there are any. The names may come from other
/// parties, so control characters are replaced.
pub(crate) fn list(
    f: &mut fmt::Formatter<'_>,
    heading: &str,
    items: &[impl fmt::Display],
) -> fmt::Result {
    if items.is_empty() {
        return Ok(());
    }
    write!(f, "\n{heading}")?;
    for item in items.iter().take(MAX_LINES) {
        write!(f, "\n  {}", printable(&item.to_string()))?;
    }
    match items.len().saturating_sub(MAX_LINES) {
        0 => Ok(()),
        more => write!(f, "\n  and {more} more"),
    }
}

/// Formats each item for JSON and for a line of its own.
pub(crate) fn to_lines(items: &[impl fmt::Display]) -> Vec<String> {
    items.iter().map(ToString::to_string).collect()
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
