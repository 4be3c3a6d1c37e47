//! The status of each batch and window, and what it waits for.

use serde::Serialize;
use tallybox_model::extensions::Mode;
use tallybox_model::path::BatchName;
use tallybox_model::roster::WindowName;
use tallybox_model::task::WindowKind;
use tallybox_model::time::{BatchTime, Window};

/// The status of a batch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BatchReport {
    /// The batch.
    pub name: BatchName,
    /// The stage.
    pub stage: BatchStage,
    /// The number of starts of its intake, including one that is due now.
    pub attempt: u32,
    /// True if the peer has validated the batch.
    pub validated: bool,
    /// Ingestion objects that are missing.
    pub missing: Vec<&'static str>,
}

/// The stage of a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BatchStage {
    /// At least one of the three objects is missing.
    Incomplete,
    /// The batch is complete, and its intake is due.
    Due,
    /// The intake has been started and has no outcome yet.
    Started {
        /// The time of the start; `None` if ENPA's workflow manager started it.
        at: Option<BatchTime>,
    },
    /// Our intake is done; the peer has not validated the batch.
    IntakeDone,
    /// Our intake is done, and the peer has validated the batch.
    Both,
}

impl BatchStage {
    /// Returns the machine-readable word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Incomplete => "incomplete",
            Self::Due => "due",
            Self::Started { .. } => "started",
            Self::IntakeDone => "taken-in",
            Self::Both => "both",
        }
    }
}

impl BatchReport {
    /// Returns what the batch waits for, if anything.
    #[must_use]
    pub fn waits_for(&self) -> Option<String> {
        match self.stage {
            BatchStage::Incomplete => Some(format!("the ingestor's {}", self.missing.join(", "))),
            BatchStage::Due => Some("the start of its intake".to_owned()),
            BatchStage::Started { at: Some(at) } => Some(format!("the intake started {at}")),
            BatchStage::Started { at: None } => {
                Some("the intake that ENPA's workflow manager started".to_owned())
            }
            BatchStage::IntakeDone => Some("the peer's validation".to_owned()),
            BatchStage::Both => None,
        }
    }
}

/// The status of a window.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WindowReport {
    /// The window.
    pub name: WindowName,
    /// The method of choosing its batches.
    pub mode: Mode,
    /// The stage.
    pub stage: WindowStage,
    /// The number of starts of the current task, including one that is due now.
    pub attempt: u32,
    /// The time at which the window is closed.
    pub closes: BatchTime,
    /// Counts of its batches.
    pub counts: BatchCounts,
    /// Without rosters: the number of batches that its task names, once that is fixed.
    pub named: Option<usize>,
    /// Without rosters: batches that the peer has skipped.
    pub skipped: Vec<BatchName>,
    /// Without rosters: batches that arrived too late.
    pub late: Vec<BatchName>,
}

/// Counts of a window's batches.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct BatchCounts {
    /// Batches with all ingestion objects.
    pub complete: u64,
    /// Batches with some of the ingestion objects.
    pub incomplete: u64,
    /// Batches whose intake by this processor is done.
    pub taken_in: u64,
    /// Batches that the peer has validated.
    pub validated: u64,
    /// Complete batches without our intake or the peer's validation.
    pub one_sided: u64,
}

/// The stage of a window.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WindowStage {
    /// The window has not ended.
    Collecting,
    /// The window has ended; late batches may still arrive.
    Grace,
    /// The use of rosters is undecided.
    Undecided,
    /// The window is closed and has no batch.
    Empty,
    /// The window is closed, and the peer has validated none of its batches.
    PeerValidations,
    /// The window is closed, uses no rosters, and has batches that are missing on one side.
    OneSided {
        /// When the window is summed without them.
        until: BatchTime,
    },
    /// Our roster is written, and the peer's is missing.
    PeerRoster,
    /// A task is due.
    Due {
        /// The task.
        task: WindowKind,
    },
    /// A task has been started and has no outcome yet.
    Started {
        /// The task.
        task: WindowKind,
        /// The time of the start; `None` if ENPA's workflow manager started it.
        at: Option<BatchTime>,
    },
    /// The roster task of a later window is due or running, and includes this window.
    WithLater {
        /// The task that this window needs.
        task: WindowKind,
        /// The later window.
        window: Window,
    },
    /// Too many packets are rejected: the sum part waits for an operator's release.
    Held,
    /// Nothing is left to do.
    Done,
}

impl WindowStage {
    /// Returns whether a task can be started.
    #[must_use]
    pub fn is_due(self) -> bool {
        matches!(self, Self::Due { .. })
    }

    /// Returns whether the window has ended and is not done.
    #[must_use]
    pub fn is_waiting(self) -> bool {
        !matches!(self, Self::Collecting | Self::Empty | Self::Done)
    }

    /// Returns the machine-readable word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Collecting => "collecting",
            Self::Grace => "grace",
            Self::Undecided => "undecided",
            Self::Empty => "empty",
            Self::PeerValidations => "peer-validations",
            Self::OneSided { .. } => "one-sided",
            Self::PeerRoster => "peer-roster",
            Self::Due { .. } => "due",
            Self::Started { .. } => "started",
            Self::WithLater { .. } => "with-later",
            Self::Held => "held",
            Self::Done => "done",
        }
    }
}

impl WindowReport {
    /// Returns what the window waits for, if anything.
    #[must_use]
    pub fn waits_for(&self) -> Option<String> {
        match self.stage {
            WindowStage::Collecting => Some(format!("its end, {}", self.name.window.end())),
            WindowStage::Grace => Some(format!("the end of its grace period, {}", self.closes)),
            WindowStage::Undecided => {
                Some("the peer's announcement, which cannot be read".to_owned())
            }
            WindowStage::PeerValidations => {
                Some("the peer's validations: the peer has skipped every batch".to_owned())
            }
            WindowStage::OneSided { until } => Some(format!(
                "{} batches that are missing on one side, until {until}",
                self.counts.one_sided
            )),
            WindowStage::PeerRoster => Some("the peer's roster".to_owned()),
            WindowStage::Due { .. } => Some("the start of its task".to_owned()),
            WindowStage::Started { at: Some(at), .. } => Some(format!("the task started {at}")),
            WindowStage::Started { at: None, .. } => {
                Some("nothing: ENPA's workflow manager started its sum".to_owned())
            }
            WindowStage::WithLater { window, .. } => Some(format!(
                "the task of the window that starts {}",
                window.start()
            )),
            WindowStage::Held => {
                Some("an operator: facilitator aggregate --accept-rejections".to_owned())
            }
            WindowStage::Empty | WindowStage::Done => None,
        }
    }
}

/// Returns the machine-readable word of a mode.
pub(crate) fn mode_name(mode: Mode) -> &'static str {
    match mode {
        Mode::Enpa => "enpa",
        Mode::Roster => "roster",
        Mode::Undecided => "undecided",
    }
}
