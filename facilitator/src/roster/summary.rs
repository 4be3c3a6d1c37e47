//! What a roster task says at its end: windows written and agreed on, what it waits for, what somebody should look at.

use serde::Serialize;
use std::fmt;
use tallybox_model::id::AggregationId;
use tallybox_model::role::Role;
use tallybox_model::roster::{DatedBatch, LastWord, WindowName};
use tallybox_model::time::Window;

/// Something that a person should look at. Each is logged once, where it is found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "alarm", rename_all = "kebab-case")]
pub enum Alarm {
    /// A roster in our mailbox that is none: it is not signed by the peer, or says what no roster says.
    BadRoster {
        /// The object.
        object: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The peer has put another roster in the place of one that we had read: both are kept, with both signatures.
    SecondRoster {
        /// The one that counts, in the own bucket.
        first: String,
        /// The other, beside it.
        second: String,
    },
    /// Both sides found different packets good in a batch: it is never summed.
    Excluded {
        /// The window that settled it.
        window: String,
        /// The batch.
        batch: DatedBatch,
    },
    /// A batch whose time has run out: it is never summed.
    Expired {
        /// The window that was its last.
        window: String,
        /// The batch.
        batch: DatedBatch,
        /// What the first and the second processor said of it last.
        said: [Option<LastWord>; 2],
    },
}

impl Alarm {
    /// A short name for counters.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::BadRoster { .. } => "bad-roster",
            Self::SecondRoster { .. } => "second-roster",
            Self::Excluded { .. } => "excluded",
            Self::Expired { .. } => "expired",
        }
    }

    /// All names, for counters that start at 0.
    pub const WORDS: [&str; 4] = ["bad-roster", "second-roster", "excluded", "expired"];
}

impl fmt::Display for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadRoster { object, problem } => write!(f, "the peer's roster {object} is not used: {problem}"),
            Self::SecondRoster { first, second } => {
                write!(
                    f,
                    "the peer has replaced its roster {first}; the first counts, the other is kept as {second}"
                )
            }
            Self::Excluded { window, batch } => {
                write!(
                    f,
                    "batch {batch} is never summed: in {window} both sides list other packets of it"
                )
            }
            Self::Expired { window, batch, said } => {
                let word = |said: &Option<LastWord>| match said {
                    None => "nothing".to_owned(),
                    Some(LastWord::Summable) => "that it can be summed".to_owned(),
                    Some(LastWord::Open(reason)) => reason.to_string(),
                };
                let [first, second] = [word(&said[0]), word(&said[1])];
                write!(
                    f,
                    "batch {batch} is never summed: {window} was its last window; first said {first}, second {second}"
                )
            }
        }
    }
}

/// What a roster task did.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct RosterSummary {
    /// Always `roster`.
    pub stage: &'static str,
    /// Which processor.
    pub role: Role,
    /// The aggregation.
    pub aggregation: AggregationId,
    /// The window that was asked for.
    pub window: Window,
    /// Windows whose roster was written now.
    pub written: Vec<Window>,
    /// Windows that were agreed on now.
    pub agreed: Vec<Window>,
    /// The first window whose roster of the peer's is not there.
    pub waits_for: Option<Window>,
    /// What somebody should look at.
    pub alarms: Vec<Alarm>,
    /// Time it took, in seconds.
    pub seconds: f64,
}

impl RosterSummary {
    pub(super) fn new(role: Role, name: &WindowName) -> Self {
        Self {
            stage: "roster",
            role,
            aggregation: name.aggregation.clone(),
            window: name.window,
            written: Vec::new(),
            agreed: Vec::new(),
            waits_for: None,
            alarms: Vec::new(),
            seconds: 0.0,
        }
    }

    pub(super) fn alarm(&mut self, alarm: Alarm) {
        if self.alarms.contains(&alarm) {
            return;
        }
        tracing::warn!(aggregation_id = %self.aggregation, alarm = alarm.word(), detail = %alarm, "roster alarm");
        self.alarms.push(alarm);
    }
}

impl fmt::Display for RosterSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}, {}:", self.aggregation, self.window)?;
        writeln!(f, "  rosters written    {:>12}", self.written.len())?;
        writeln!(f, "  windows agreed     {:>12}", self.agreed.len())?;
        if let Some(window) = self.waits_for {
            writeln!(f, "  waits for the peer's roster of {window}")?;
        }
        for alarm in &self.alarms {
            writeln!(f, "  ! {alarm}")?;
        }
        write!(f, "  {:.2} s", self.seconds)
    }
}
