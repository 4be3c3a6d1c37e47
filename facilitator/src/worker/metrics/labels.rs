//! Labels of the worker's metrics, and their values.

use prometheus_client::encoding::EncodeLabelSet;

/// The histogram buckets for the duration of a task, in seconds.
pub(super) const SECONDS: [f64; 12] = [
    0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 60.0, 180.0, 600.0, 1800.0,
];

/// The kind of task that a message contains.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TaskKind {
    /// The intake of a batch.
    Intake,
    /// The writing of rosters.
    Roster,
    /// The sum of the batches that the task names.
    Aggregate,
    /// The sum of the batches that the rosters agree on.
    Agreed,
    /// A message that is not a task.
    Unreadable,
}

impl TaskKind {
    /// All kinds.
    pub const ALL: [Self; 5] = [
        Self::Intake,
        Self::Roster,
        Self::Aggregate,
        Self::Agreed,
        Self::Unreadable,
    ];

    /// The kind's name in logs and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Intake => "intake",
            Self::Roster => "roster",
            Self::Aggregate => "aggregate",
            Self::Agreed => "agreed",
            Self::Unreadable => "unreadable",
        }
    }
}

/// The values of the label `outcome`.
pub(super) const OUTCOMES: [&str; 5] = ["done", "below-minimum", "held", "retry", "reject"];
/// The operations on a queue, as values of the label `operation`.
pub(super) const OPERATIONS: [&str; 5] = ["receive", "ack", "nack", "extend", "reject"];

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct TaskLabels {
    pub(super) task: &'static str,
    pub(super) outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct TaskLabel {
    pub(super) task: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct QueueLabel {
    pub(super) queue: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct QueueLabels {
    pub(super) queue: &'static str,
    pub(super) operation: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct ReasonLabel {
    pub(super) reason: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct KeyLabel {
    pub(super) key: String,
}

/// The reasons for alarms about packet keys and their pins.
pub(super) const PACKET_KEY_ALARMS: [&str; 5] = [
    "key-misused",
    "key-worn",
    "key-worn-out",
    "pin-contradicted",
    "pin-missing",
];
