//! One task to be started, and the reason.

use std::fmt;

use sha2::{Digest, Sha256};
use tallybox_model::id::Instance;
use tallybox_model::role::Role;
use tallybox_model::task::{Task, TaskMarker, TaskName, WindowBatches};
use tallybox_model::time::BatchTime;

/// Work that is due, and the reason.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Due {
    /// The task.
    pub task: TaskName,
    /// Without rosters: the batches of a sum.
    pub batches: Option<WindowBatches>,
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
            task: self.task.clone(),
            attempt: self.attempt,
            at: Some(now),
        }
    }

    /// Returns the task and the number of the attempt: the same start has the same key in every
    /// process.
    #[must_use]
    pub fn key(&self) -> String {
        match self.attempt {
            0 | 1 => self.task.to_string(),
            attempt => format!("{}.{attempt}", self.task),
        }
    }

    /// Returns the message. Its trace id derives from the task and the attempt, so the same start
    /// has the same bytes in every process.
    #[must_use]
    pub fn message(&self, instance: &Instance, role: Role) -> Vec<u8> {
        let text = format!("{instance} {role} {} {}", self.task, self.attempt);
        let digest = Sha256::digest([b"tallybox trace ".as_slice(), text.as_bytes()].concat());
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        let task = Task {
            trace_id: uuid::Builder::from_custom_bytes(bytes).into_uuid(),
            name: self.task.clone(),
            batches: self.batches.as_ref().map(|fixed| fixed.batches.clone()),
        };
        task.to_json()
    }
}
