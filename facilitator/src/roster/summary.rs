//! What a roster task says at its end: windows written and agreed on, what it waits for, what somebody should look at.

use serde::Serialize;
use std::fmt;
use tallybox_model::id::AggregationId;
use tallybox_model::role::Role;
use tallybox_model::roster::{DatedBatch, LastWord, RosterTerms, SeveralDates, WindowName};
use tallybox_model::time::Window;

/// How many alarms of a run are logged and kept.
const MOST_ALARMS: usize = 256;

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
    /// An identifier that rosters list under several dates: somebody copied a batch, or lists what is not there.
    SeveralDates {
        /// The window.
        window: String,
        /// The identifier and its dates.
        listed: SeveralDates,
    },
    /// A roster states other terms than those that were fixed by the first window of both sides: those still hold.
    TermsChanged {
        /// The window.
        window: String,
        /// Whose roster.
        writer: Role,
        /// What it states.
        stated: RosterTerms,
        /// What holds.
        holds: RosterTerms,
    },
    /// Our configuration has other terms than those that were fixed by the first window of both sides.
    TermsConfigured {
        /// What the configuration says.
        configured: RosterTerms,
        /// What holds.
        holds: RosterTerms,
    },
    /// More batches than a roster may hold, or more objects without a signature than are looked at: some wait for the next
    /// window.
    LeftOut {
        /// The window.
        window: String,
        /// How many.
        batches: u64,
    },
    /// An object under the name of a batch that is not signed as its name says: no roster lists it.
    Unsigned {
        /// The signature object.
        object: String,
        /// What is wrong with it.
        problem: String,
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
            Self::SeveralDates { .. } => "several-dates",
            Self::TermsChanged { .. } | Self::TermsConfigured { .. } => "terms-changed",
            Self::LeftOut { .. } => "left-out",
            Self::Unsigned { .. } => "unsigned",
        }
    }

    /// All names, for counters that start at 0.
    pub const WORDS: [&str; 8] = [
        "bad-roster",
        "second-roster",
        "excluded",
        "expired",
        "several-dates",
        "terms-changed",
        "left-out",
        "unsigned",
    ];
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
            Self::SeveralDates { window, listed } => {
                let dates: Vec<String> = listed.dates.iter().take(4).map(ToString::to_string).collect();
                write!(
                    f,
                    "in {window} batch {} is listed under {} dates: {}; at most one of them is summed",
                    listed.batch,
                    listed.dates.len(),
                    dates.join(", ")
                )
            }
            Self::TermsChanged {
                window,
                writer,
                stated,
                holds,
            } => write!(
                f,
                "the {writer} processor's roster of {window} changes its terms: {stated}; still in force: {holds}"
            ),
            Self::TermsConfigured { configured, holds } => write!(
                f,
                "the section rosters of our configuration was changed: {configured}; still in force: {holds}"
            ),
            Self::LeftOut { window, batches } => {
                write!(
                    f,
                    "{batches} names of batches are not looked at in {window}: there are too many"
                )
            }
            Self::Unsigned { object, problem } => write!(f, "{object} is not listed: {problem}"),
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
    /// What somebody should look at: the first ones.
    pub alarms: Vec<Alarm>,
    /// How many more alarms there were.
    pub more_alarms: u64,
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
            more_alarms: 0,
            seconds: 0.0,
        }
    }

    /// Logs and keeps an alarm, unless it was raised before. Beyond [`MOST_ALARMS`] it is only counted: a peer decides how
    /// many there are.
    pub(super) fn alarm(&mut self, alarm: Alarm) {
        if self.alarms.contains(&alarm) {
            return;
        }
        if self.alarms.len() >= MOST_ALARMS {
            if self.more_alarms == 0 {
                tracing::warn!(aggregation_id = %self.aggregation, most = MOST_ALARMS, "more roster alarms are only counted");
            }
            self.more_alarms += 1;
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
        if self.more_alarms > 0 {
            writeln!(f, "  ! and {} more", self.more_alarms)?;
        }
        write!(f, "  {:.2} s", self.seconds)
    }
}
