//! Tasks: the JSON messages with which a workflow manager assigns work to a facilitator (ENPA).
//!
//! Every key is required unless stated otherwise, and unknown keys are ignored. ENPA's two messages
//! do not contain their own kind: the queue determines it. Tallybox adds a third message, which
//! uses the queue of aggregations. A message that cannot be parsed can never succeed, so every
//! [`TaskError`] leads to a rejection.

mod marker;
mod name;
mod window_batches;

pub use marker::TaskMarker;
pub use name::{TaskName, WindowKind};
pub use window_batches::WindowBatches;

use serde::{Deserialize, Serialize};
use std::fmt;
use thiserror::Error;
use uuid::Uuid;

use crate::id::AggregationId;
use crate::path::BatchName;
use crate::roster::WindowName;
use crate::time::Window;

/// The largest message that is parsed, in bytes. The queues of both clouds limit messages to less
/// (256 KiB and 10 MiB); an aggregation of 100,000 batches would need 8 MiB.
pub const TASK_SIZE_LIMIT: usize = 10 * 1024 * 1024;

/// The reason why a message is not a valid task.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TaskError {
    /// The message is larger than any queue carries.
    #[error("task: {size} bytes are more than the limit of {TASK_SIZE_LIMIT}")]
    TooLarge {
        /// Size of the message in bytes.
        size: usize,
    },
    /// The message is not a JSON object, a key is missing or repeated, or a value has the wrong
    /// type.
    #[error("task: not a valid task document")]
    NotATask(#[source] serde_json::Error),
    /// The text of a key is invalid.
    #[error("task: key {key}")]
    BadValue {
        /// The key.
        key: &'static str,
        /// The reason why the value is invalid.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// A queue of tasks. The kind of an ENPA message follows from its queue.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum QueueKind {
    /// The queue of intake tasks.
    Intake,
    /// The queue of tasks about windows: rosters and sums.
    Aggregate,
}

impl QueueKind {
    /// Both queues.
    pub const ALL: [Self; 2] = [Self::Intake, Self::Aggregate];

    /// Returns the name in settings, object names, logs and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Intake => "intake",
            Self::Aggregate => "aggregate",
        }
    }
}

impl fmt::Display for QueueKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A task: the work that one message assigns to a facilitator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// Identifies this run in logs. Never written to storage.
    pub trace_id: Uuid,
    /// The kind of work, and its batch or window. The messages of [`WindowKind::Roster`] and
    /// [`WindowKind::Agree`] are the same, and are parsed as the former.
    pub name: TaskName,
    /// The batches to sum, in the order of the message. `None` if the message names none: a sum
    /// then covers the batches on which both rosters agree.
    pub batches: Option<Vec<BatchName>>,
}

impl Task {
    /// Parses a message of a queue. The caller has to check that the dates of the batches lie
    /// inside the window.
    ///
    /// # Errors
    /// [`TaskError`] if the message is not a task of this queue, or its window is empty.
    pub fn parse(queue: QueueKind, message: &[u8]) -> Result<Self, TaskError> {
        match queue {
            QueueKind::Intake => read::<WireIntake>(message)?.parse(),
            QueueKind::Aggregate => match read::<WireRoster>(message) {
                Ok(wire) => wire.parse(),
                // The required keys of the two tasks differ, so this message may be a sum.
                Err(TaskError::NotATask(_)) => read::<WireAggregation>(message)?.parse(),
                Err(error) => Err(error),
            },
        }
    }

    /// Serialises the task as compact JSON, with keys in the format's order.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let trace_id = self.trace_id.to_string();
        let aggregation_id = self.name.aggregation().to_string();
        match &self.name {
            TaskName::Intake(batch) => write(&WireIntake {
                trace_id,
                aggregation_id,
                batch_id: batch.id.to_string(),
                date: batch.date.to_string(),
            }),
            TaskName::Window(WindowKind::Roster | WindowKind::Agree, name) => write(&WireRoster {
                trace_id,
                aggregation_id,
                roster_start: name.window.start().to_string(),
                roster_end: name.window.end().to_string(),
            }),
            TaskName::Window(WindowKind::Aggregate, name) => write(&WireAggregation {
                trace_id,
                aggregation_id,
                aggregation_start: name.window.start().to_string(),
                aggregation_end: name.window.end().to_string(),
                batches: self.batches.iter().flatten().map(WireBatch::from).collect(),
                agreed: self.batches.is_none(),
            }),
        }
    }
}

/// The JSON form of an intake task. The order of the fields is the order of the keys.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct WireIntake {
    trace_id: String,
    aggregation_id: String,
    batch_id: String,
    date: String,
}

impl WireIntake {
    fn parse(&self) -> Result<Task, TaskError> {
        Ok(Task {
            trace_id: parsed("trace-id", &self.trace_id)?,
            name: TaskName::Intake(BatchName {
                aggregation: parsed("aggregation-id", &self.aggregation_id)?,
                date: parsed("date", &self.date)?,
                id: parsed("batch-id", &self.batch_id)?,
            }),
            batches: None,
        })
    }
}

/// The JSON form of a roster task, an extension of Tallybox.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct WireRoster {
    trace_id: String,
    aggregation_id: String,
    roster_start: String,
    roster_end: String,
}

impl WireRoster {
    fn parse(&self) -> Result<Task, TaskError> {
        let start = parsed("roster-start", &self.roster_start)?;
        let end = parsed("roster-end", &self.roster_end)?;
        let window = Window::new(start, end).map_err(|error| bad_value("roster-end", error))?;
        let aggregation = parsed("aggregation-id", &self.aggregation_id)?;
        let name = WindowName {
            aggregation,
            window,
        };
        Ok(Task {
            trace_id: parsed("trace-id", &self.trace_id)?,
            name: TaskName::Window(WindowKind::Roster, name),
            batches: None,
        })
    }
}

/// The JSON form of an aggregation task. The optional key `agreed` is an extension of Tallybox; if
/// it is true, `batches` is ignored.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct WireAggregation {
    trace_id: String,
    aggregation_id: String,
    aggregation_start: String,
    aggregation_end: String,
    batches: Vec<WireBatch>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    agreed: bool,
}

impl WireAggregation {
    fn parse(&self) -> Result<Task, TaskError> {
        let start = parsed("aggregation-start", &self.aggregation_start)?;
        let end = parsed("aggregation-end", &self.aggregation_end)?;
        let window =
            Window::new(start, end).map_err(|error| bad_value("aggregation-end", error))?;
        let aggregation: AggregationId = parsed("aggregation-id", &self.aggregation_id)?;
        let batches = parse_batches(&self.batches, &aggregation, ["batches.id", "batches.time"])?;
        let name = WindowName {
            aggregation,
            window,
        };
        Ok(Task {
            trace_id: parsed("trace-id", &self.trace_id)?,
            name: TaskName::Window(WindowKind::Aggregate, name),
            batches: (!self.agreed).then_some(batches),
        })
    }
}

#[derive(Serialize, Deserialize)]
struct WireBatch {
    id: String,
    time: String,
}

impl From<&BatchName> for WireBatch {
    fn from(batch: &BatchName) -> Self {
        Self {
            id: batch.id.to_string(),
            time: batch.date.to_string(),
        }
    }
}

/// Parses a list of batches. `id` and `time` are the keys that errors name.
fn parse_batches(
    batches: &[WireBatch],
    aggregation: &AggregationId,
    [id, time]: [&'static str; 2],
) -> Result<Vec<BatchName>, TaskError> {
    let parse = |batch: &WireBatch| {
        Ok(BatchName {
            aggregation: aggregation.clone(),
            date: parsed(time, &batch.time)?,
            id: parsed(id, &batch.id)?,
        })
    };
    batches.iter().map(parse).collect()
}

fn read<'a, T: Deserialize<'a>>(message: &'a [u8]) -> Result<T, TaskError> {
    if message.len() > TASK_SIZE_LIMIT {
        return Err(TaskError::TooLarge {
            size: message.len(),
        });
    }
    serde_json::from_slice(message).map_err(TaskError::NotATask)
}

#[allow(
    clippy::expect_used,
    reason = "structs of strings and lists of such structs always serialise"
)]
fn write(wire: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(wire).expect("a task holds nothing that JSON cannot")
}

fn parsed<T>(key: &'static str, text: &str) -> Result<T, TaskError>
where
    T: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    text.parse().map_err(|error| bad_value(key, error))
}

fn bad_value(
    key: &'static str,
    source: impl std::error::Error + Send + Sync + 'static,
) -> TaskError {
    TaskError::BadValue {
        key,
        source: Box::new(source),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests;
