//! Where each batch and each window stands, and what it waits for.

use serde::Serialize;
use tallybox_model::extensions::Mode;
use tallybox_model::path::BatchName;
use tallybox_model::roster::WindowName;
use tallybox_model::task::WindowKind;
use tallybox_model::time::{BatchTime, Window};

/// Where a batch stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BatchReport {
    /// The batch.
    pub name: BatchName,
    /// How far it has come.
    pub stage: BatchStage,
    /// How many times its intake has been started, or will have been by what is due now.
    pub attempt: u32,
    /// Whether the peer has validated it.
    pub validated: bool,
    /// The ingestion objects that are not there.
    pub missing: Vec<&'static str>,
}

/// How far a batch has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BatchStage {
    /// An object of the three is missing.
    Incomplete,
    /// Complete, and due for intake.
    Due,
    /// Its intake has been started, and has had no outcome yet.
    Started {
        /// When; `None` if the predecessor started it.
        at: Option<BatchTime>,
    },
    /// Taken in by us.
    TakenIn,
    /// Taken in by us and validated by the peer.
    Both,
}

impl BatchStage {
    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Incomplete => "incomplete",
            Self::Due => "due",
            Self::Started { .. } => "started",
            Self::TakenIn => "taken-in",
            Self::Both => "both",
        }
    }
}

impl BatchReport {
    /// What it waits for, if it does.
    #[must_use]
    pub fn waits_for(&self) -> Option<String> {
        match self.stage {
            BatchStage::Incomplete => Some(format!("the ingestor's {}", self.missing.join(", "))),
            BatchStage::Due => Some("its intake to be started".to_owned()),
            BatchStage::Started { at: Some(at) } => Some(format!("the intake started {at}")),
            BatchStage::Started { at: None } => Some("the intake that the predecessor started".to_owned()),
            BatchStage::TakenIn => Some("the peer's validation".to_owned()),
            BatchStage::Both => None,
        }
    }
}

/// Where a window stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WindowReport {
    /// The window.
    pub name: WindowName,
    /// How its batches are chosen.
    pub mode: Mode,
    /// How far it has come.
    pub stage: WindowStage,
    /// How many times its present task has been started, or will have been by what is due now.
    pub attempt: u32,
    /// When it is closed, or was.
    pub closes: BatchTime,
    /// Its batches.
    pub counts: Counts,
    /// Without rosters: how many batches its task names, once that is fixed.
    pub named: Option<usize>,
    /// Without rosters: batches that the peer has skipped.
    pub skipped: Vec<BatchName>,
    /// Without rosters: batches that came too late.
    pub late: Vec<BatchName>,
}

/// The batches of a window that were seen.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Counts {
    /// All ingestion objects are there.
    pub complete: u64,
    /// Some are.
    pub incomplete: u64,
    /// Taken in by us.
    pub taken_in: u64,
    /// Validated by the peer.
    pub validated: u64,
    /// Complete, and not both taken in by us and validated by the peer.
    pub one_sided: u64,
}

/// How far a window has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WindowStage {
    /// It has not ended.
    Collecting,
    /// It has ended, and late batches are awaited.
    Grace,
    /// Whether rosters are used is not known.
    Undecided,
    /// Closed, without a batch.
    Empty,
    /// Closed, and the peer has validated none of its batches.
    PeerValidations,
    /// Closed, without rosters, with batches that one side has not taken in yet.
    OneSided {
        /// Until when they are waited for.
        until: BatchTime,
    },
    /// Our roster is written, the peer's is not there.
    PeerRoster,
    /// A task is due.
    Due {
        /// Which.
        task: WindowKind,
    },
    /// A task has been started, and has had no outcome yet.
    Started {
        /// Which.
        task: WindowKind,
        /// When; `None` if the predecessor started it.
        at: Option<BatchTime>,
    },
    /// The rosters of a later window are due or under way, and that task does this window's, too.
    WithLater {
        /// What this window needs.
        task: WindowKind,
        /// The later one.
        window: Window,
    },
    /// Too many packets do not count: the sum part waits for an operator's release.
    Held,
    /// Nothing is left to do.
    Done,
}

impl WindowStage {
    /// Whether a task can be started.
    #[must_use]
    pub fn is_due(self) -> bool {
        matches!(self, Self::Due { .. })
    }

    /// Whether the window is over, and something is left to do.
    #[must_use]
    pub fn is_waiting(self) -> bool {
        !matches!(self, Self::Collecting | Self::Empty | Self::Done)
    }

    /// The word for it, for machines.
    #[must_use]
    pub fn word(self) -> &'static str {
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
    /// What it waits for, if it does.
    #[must_use]
    pub fn waits_for(&self) -> Option<String> {
        match self.stage {
            WindowStage::Collecting => Some(format!("its end, {}", self.name.window.end())),
            WindowStage::Grace => Some(format!("the end of its grace, {}", self.closes)),
            WindowStage::Undecided => Some("the peer's announcement, which cannot be read".to_owned()),
            WindowStage::PeerValidations => Some("validations: the peer has skipped every batch".to_owned()),
            WindowStage::OneSided { until } => Some(format!(
                "{} batches that one side has not taken in, until {until}",
                self.counts.one_sided
            )),
            WindowStage::PeerRoster => Some("the peer's roster".to_owned()),
            WindowStage::Due { .. } => Some("its task to be started".to_owned()),
            WindowStage::Started { at: Some(at), .. } => Some(format!("the task started {at}")),
            WindowStage::Started { at: None, .. } => Some("nothing: the predecessor summed it".to_owned()),
            WindowStage::WithLater { window, .. } => {
                Some(format!("the task of the window that starts {}", window.start()))
            }
            WindowStage::Held => Some("an operator: facilitator aggregate --accept-rejections".to_owned()),
            WindowStage::Empty | WindowStage::Done => None,
        }
    }
}

/// The word for a mode.
pub(crate) fn mode_word(mode: Mode) -> &'static str {
    match mode {
        Mode::Enpa => "enpa",
        Mode::Roster => "roster",
        Mode::Undecided => "undecided",
    }
}
