//! One task to be started, and the reason.

use std::fmt;

use serde::Serialize;
use sha2::{Digest, Sha256};
use tallybox_model::id::{AggregationId, Instance};
use tallybox_model::path::BatchName;
use tallybox_model::role::Role;
use tallybox_model::roster::WindowName;
use tallybox_model::task::{
    AggregationTask, IntakeTask, MarkedTask, RosterTask, TaskMarker, WindowBatches, WindowKind,
};
use tallybox_model::time::BatchTime;
use uuid::Uuid;

/// The work of one task.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Work {
    /// The intake of a batch.
    Intake(BatchName),
    /// Write this processor's roster of a window.
    Roster(WindowName),
    /// Agree on the rosters of both processors for a window.
    Agree(WindowName),
    /// Sum the batches on which both rosters of a window agree.
    SumAgreed(WindowName),
    /// Without rosters: sum these batches of a window.
    Sum(WindowName, WindowBatches),
}

/// The two queues.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum QueueKind {
    /// The queue of intake tasks.
    Intake,
    /// The queue of roster and sum tasks.
    Aggregate,
}

impl QueueKind {
    /// Returns the word in settings, names and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Intake => "intake",
            Self::Aggregate => "aggregate",
        }
    }
}

impl Work {
    /// Returns the task as its markers name it.
    #[must_use]
    pub fn marked(&self) -> MarkedTask {
        match self {
            Self::Intake(batch) => MarkedTask::Intake(batch.clone()),
            Self::Roster(name) => MarkedTask::Window(WindowKind::Roster, name.clone()),
            Self::Agree(name) => MarkedTask::Window(WindowKind::Agree, name.clone()),
            Self::SumAgreed(name) | Self::Sum(name, _) => {
                MarkedTask::Window(WindowKind::Aggregate, name.clone())
            }
        }
    }

    /// Returns the kind of task: `intake`, `roster`, `agree` or `aggregate`.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self.marked() {
            MarkedTask::Intake(_) => "intake",
            MarkedTask::Window(kind, _) => kind.as_str(),
        }
    }

    /// Returns the queue of the task.
    #[must_use]
    pub fn queue(&self) -> QueueKind {
        match self {
            Self::Intake(_) => QueueKind::Intake,
            Self::Roster(_) | Self::Agree(_) | Self::SumAgreed(_) | Self::Sum(..) => {
                QueueKind::Aggregate
            }
        }
    }

    /// Returns the aggregation of the task.
    #[must_use]
    pub fn aggregation(&self) -> &AggregationId {
        match self {
            Self::Intake(batch) => &batch.aggregation,
            Self::Roster(name) | Self::Agree(name) | Self::SumAgreed(name) | Self::Sum(name, _) => {
                &name.aggregation
            }
        }
    }

    /// Returns the sort key of starts: intakes first, then windows, each oldest first.
    pub(crate) fn order(&self) -> (QueueKind, BatchTime, MarkedTask) {
        let marked = self.marked();
        let at = match &marked {
            MarkedTask::Intake(batch) => batch.date,
            MarkedTask::Window(_, name) => name.window.start(),
        };
        (self.queue(), at, marked)
    }

    /// Returns the message, in ENPA's JSON format or in this project's extension of it.
    #[must_use]
    pub fn message(&self, trace_id: Uuid) -> Vec<u8> {
        let sum = |name: &WindowName, batches, agreed| {
            let task = AggregationTask {
                trace_id,
                aggregation_id: name.aggregation.clone(),
                window: name.window,
                batches,
                agreed,
            };
            task.to_json()
        };
        match self {
            Self::Intake(batch) => IntakeTask {
                trace_id,
                aggregation_id: batch.aggregation.clone(),
                batch_id: batch.id,
                date: batch.date,
            }
            .to_json(),
            Self::Roster(name) | Self::Agree(name) => RosterTask {
                trace_id,
                aggregation_id: name.aggregation.clone(),
                window: name.window,
            }
            .to_json(),
            Self::SumAgreed(name) => sum(name, Vec::new(), true),
            Self::Sum(name, fixed) => sum(name, fixed.batches.clone(), false),
        }
    }
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Intake(batch) => batch.fmt(f),
            Self::Roster(name) | Self::Agree(name) | Self::SumAgreed(name) | Self::Sum(name, _) => {
                name.fmt(f)
            }
        }
    }
}

/// Work that is due, and the reason.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Due {
    /// The work.
    pub work: Work,
    /// The number of this start: 1 for the first.
    pub attempt: u32,
    /// The reason.
    pub why: Why,
    /// The time of the last start, if it had no outcome.
    pub last: Option<BatchTime>,
}

/// Reasons why work is due.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Why {
    /// The batch is complete, and its intake is not done.
    Complete,
    /// The window is closed, and our roster is not written.
    NoRoster,
    /// Both rosters exist, and the agreement on them is missing.
    BothRosters,
    /// The agreement exists, and the window is not summed.
    Agreed,
    /// The window is closed.
    Closed {
        /// Batches that the task names.
        named: usize,
        /// Batches that the peer has skipped.
        skipped: usize,
    },
    /// An operator asked for it.
    Asked,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Complete => f.write_str("the batch is complete"),
            Self::NoRoster => f.write_str("the window is closed and our roster is not written"),
            Self::BothRosters => f.write_str("both rosters exist"),
            Self::Agreed => f.write_str("both rosters agree and the window is not summed"),
            Self::Closed { named, skipped: 0 } => {
                write!(f, "the window is closed with {named} batches on both sides")
            }
            Self::Closed { named, skipped } => {
                write!(
                    f,
                    "the window is closed with {named} batches on both sides, {skipped} skipped by the peer"
                )
            }
            Self::Asked => f.write_str("an operator requested it"),
        }
    }
}

impl Due {
    /// Returns the reason, with the previous attempt.
    #[must_use]
    pub fn reason(&self) -> String {
        match (self.attempt, self.last) {
            (0 | 1, _) => self.why.to_string(),
            (attempt, None) => format!("{}; attempt {attempt}", self.why),
            (attempt, Some(last)) => {
                format!(
                    "{}; attempt {attempt}, because the attempt at {last} had no outcome",
                    self.why
                )
            }
        }
    }

    /// Returns the marker that records this start.
    #[must_use]
    pub fn marker(&self, now: BatchTime) -> TaskMarker {
        TaskMarker {
            task: self.work.marked(),
            attempt: self.attempt,
            at: Some(now),
        }
    }

    /// Returns the message. Its trace id derives from the task and the attempt, so the same start
    /// has the same bytes in every process.
    #[must_use]
    pub fn message(&self, instance: &Instance, role: Role) -> Vec<u8> {
        let text = format!("{instance} {role} {} {}", self.work.marked(), self.attempt);
        let digest = Sha256::digest([b"tallybox trace ".as_slice(), text.as_bytes()].concat());
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        self.work
            .message(uuid::Builder::from_custom_bytes(bytes).into_uuid())
    }
}
