//! Tasks: the JSON messages with which a workflow manager assigns work to a facilitator (ENPA).
//!
//! Every key is required unless stated otherwise, and unknown keys are ignored. ENPA's two messages
//! do not contain their own kind: the queue determines it. Tallybox adds a third message, which
//! uses the queue of aggregations. A message that cannot be parsed can never succeed, so every
//! [`TaskError`] leads to a rejection.

mod marker;
mod roster;
mod window_batches;

pub use marker::{MarkedTask, TaskMarker, WindowKind};
pub use roster::{RosterTask, WindowTask};
pub use window_batches::WindowBatches;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use uuid::Uuid;

use crate::id::{AggregationId, BatchId};
use crate::time::{BatchTime, Window};

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

/// A request to verify one ingestion batch and send the verification messages to the peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntakeTask {
    /// Identifies this run in logs. Never written to storage.
    pub trace_id: Uuid,
    /// The aggregation, spelled as in the names of its objects.
    pub aggregation_id: AggregationId,
    /// The batch.
    pub batch_id: BatchId,
    /// The date in the batch's path.
    pub date: BatchTime,
}

/// A request to sum the batches of one window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AggregationTask {
    /// Identifies this run in logs. Never written to storage.
    pub trace_id: Uuid,
    /// The aggregation, spelled as in the names of its objects.
    pub aggregation_id: AggregationId,
    /// The window, `aggregation-start` and `aggregation-end`.
    pub window: Window,
    /// The batches to sum, in the order of the message.
    pub batches: Vec<TaskBatch>,
    /// If true, the processor sums the batches on which both rosters agree and ignores `batches`.
    /// The optional key `agreed` is an extension of Tallybox.
    pub agreed: bool,
}

/// One batch of an [`AggregationTask`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskBatch {
    /// The batch.
    pub id: BatchId,
    /// The date in the batch's path.
    pub time: BatchTime,
}

impl IntakeTask {
    /// Parses a message.
    ///
    /// # Errors
    /// [`TaskError`] if the message is not an intake task.
    pub fn parse(message: &[u8]) -> Result<Self, TaskError> {
        let wire: WireIntake = read(message)?;
        Ok(Self {
            trace_id: parsed("trace-id", &wire.trace_id)?,
            aggregation_id: parsed("aggregation-id", &wire.aggregation_id)?,
            batch_id: parsed("batch-id", &wire.batch_id)?,
            date: parsed("date", &wire.date)?,
        })
    }

    /// Serialises the task as compact JSON, with keys in the format's order.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        write(&WireIntake {
            trace_id: self.trace_id.to_string(),
            aggregation_id: self.aggregation_id.to_string(),
            batch_id: self.batch_id.to_string(),
            date: self.date.to_string(),
        })
    }
}

impl AggregationTask {
    /// Parses a message. The caller has to check that the dates of the batches lie inside the
    /// window.
    ///
    /// # Errors
    /// [`TaskError`] if the message is not an aggregation task, or its window is empty.
    pub fn parse(message: &[u8]) -> Result<Self, TaskError> {
        let wire: WireAggregation = read(message)?;
        let start = parsed("aggregation-start", &wire.aggregation_start)?;
        let end = parsed("aggregation-end", &wire.aggregation_end)?;
        let batch = |batch: &WireBatch| batch.read(["batches.id", "batches.time"]);
        Ok(Self {
            trace_id: parsed("trace-id", &wire.trace_id)?,
            aggregation_id: parsed("aggregation-id", &wire.aggregation_id)?,
            window: Window::new(start, end).map_err(|error| bad_value("aggregation-end", error))?,
            batches: wire
                .batches
                .iter()
                .map(batch)
                .collect::<Result<_, TaskError>>()?,
            agreed: wire.agreed,
        })
    }

    /// Serialises the task as compact JSON, with keys in the format's order.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        write(&WireAggregation {
            trace_id: self.trace_id.to_string(),
            aggregation_id: self.aggregation_id.to_string(),
            aggregation_start: self.window.start().to_string(),
            aggregation_end: self.window.end().to_string(),
            batches: self.batches.iter().map(WireBatch::from).collect(),
            agreed: self.agreed,
        })
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

/// The JSON form of an aggregation task.
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

#[derive(Serialize, Deserialize)]
struct WireBatch {
    id: String,
    time: String,
}

impl WireBatch {
    /// Parses both values. `id` and `time` are the keys that errors name.
    fn read(&self, [id, time]: [&'static str; 2]) -> Result<TaskBatch, TaskError> {
        Ok(TaskBatch {
            id: parsed(id, &self.id)?,
            time: parsed(time, &self.time)?,
        })
    }
}

impl From<&TaskBatch> for WireBatch {
    fn from(batch: &TaskBatch) -> Self {
        Self {
            id: batch.id.to_string(),
            time: batch.time.to_string(),
        }
    }
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
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests;
