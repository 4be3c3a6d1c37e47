//! The task that Tallybox adds to ENPA: write the roster of a window and determine the agreement of
//! both processors.

use super::{AggregationTask, TaskError, bad_value, parsed, read, write};
use crate::id::AggregationId;
use crate::time::Window;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A request for the rosters of all windows up to this one, and for the sets on which both
/// processors agree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RosterTask {
    /// Identifies this run in logs. Never written to storage.
    pub trace_id: Uuid,
    /// The aggregation, spelled as in the names of its objects.
    pub aggregation_id: AggregationId,
    /// The window, `roster-start` and `roster-end`.
    pub window: Window,
}

/// A task for a window, as carried by the queue of aggregations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WindowTask {
    /// Sum the window.
    Aggregation(AggregationTask),
    /// Write the roster of the window.
    Roster(RosterTask),
}

impl RosterTask {
    /// Parses a message.
    ///
    /// # Errors
    /// [`TaskError`] if the message is not a roster task, or its window is empty.
    pub fn parse(message: &[u8]) -> Result<Self, TaskError> {
        Self::from_wire(&read(message)?)
    }

    fn from_wire(wire: &WireRoster) -> Result<Self, TaskError> {
        let start = parsed("roster-start", &wire.roster_start)?;
        let end = parsed("roster-end", &wire.roster_end)?;
        Ok(Self {
            trace_id: parsed("trace-id", &wire.trace_id)?,
            aggregation_id: parsed("aggregation-id", &wire.aggregation_id)?,
            window: Window::new(start, end).map_err(|error| bad_value("roster-end", error))?,
        })
    }

    /// Serialises the task as compact JSON.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        write(&WireRoster {
            trace_id: self.trace_id.to_string(),
            aggregation_id: self.aggregation_id.to_string(),
            roster_start: self.window.start().to_string(),
            roster_end: self.window.end().to_string(),
        })
    }
}

impl WindowTask {
    /// Parses a message of the queue of aggregations. A message with the keys of a roster's window
    /// is a [`RosterTask`]; any other message has to be an [`AggregationTask`].
    ///
    /// # Errors
    /// [`TaskError`] if the message is neither.
    pub fn parse(message: &[u8]) -> Result<Self, TaskError> {
        match read::<WireRoster>(message) {
            Ok(wire) => RosterTask::from_wire(&wire).map(Self::Roster),
            // The required keys of the two tasks differ, so this message may be an aggregation
            // task.
            Err(TaskError::NotATask(_)) => AggregationTask::parse(message).map(Self::Aggregation),
            Err(error) => Err(error),
        }
    }

    /// Serialises the task as compact JSON.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        match self {
            Self::Aggregation(task) => task.to_json(),
            Self::Roster(task) => task.to_json(),
        }
    }
}

/// The JSON form of a roster task. The order of the fields is the order of the keys.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct WireRoster {
    trace_id: String,
    aggregation_id: String,
    roster_start: String,
    roster_end: String,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const ROSTER: &[u8] = br#"{"trace-id":"11111111-2222-4333-8444-555555555555","aggregation-id":"kittens-seen","roster-start":"2020/10/31/16/00","roster-end":"2020/11/01/00/00"}"#;

    #[test]
    fn a_roster_task_is_told_from_an_aggregation() {
        let task = WindowTask::parse(ROSTER).unwrap();
        assert!(
            matches!(&task, WindowTask::Roster(roster) if roster.window.end().to_string() == "2020/11/01/00/00")
        );
        assert_eq!(task.to_json(), ROSTER);
        let text = String::from_utf8(ROSTER.to_vec()).unwrap();
        let sum = text
            .replace("roster-", "aggregation-")
            .replace('}', r#","batches":[],"agreed":true}"#);
        let task = WindowTask::parse(sum.as_bytes()).unwrap();
        assert!(
            matches!(&task, WindowTask::Aggregation(task) if task.agreed && task.batches.is_empty())
        );
        assert_eq!(task.to_json(), sum.as_bytes());
        for bad in ["{}", "[]", "", r#"{"roster-start":"x"}"#] {
            assert!(WindowTask::parse(bad.as_bytes()).is_err(), "{bad}");
        }
        let empty = text.replace("2020/11/01/00/00", "2020/10/31/16/00");
        assert!(matches!(
            WindowTask::parse(empty.as_bytes()),
            Err(TaskError::BadValue {
                key: "roster-end",
                ..
            })
        ));
    }
}
