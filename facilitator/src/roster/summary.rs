//! The summary of a roster task: windows written and agreed on, the window that it waits for, and
//! alarms.

use serde::Serialize;
use std::fmt;
use tallybox_model::id::AggregationId;
use tallybox_model::role::Role;
use tallybox_model::roster::{DatedBatch, ListingStatus, RosterTerms, SeveralDates, WindowName};
use tallybox_model::time::Window;

/// The most alarms of a run that are logged and returned.
const MOST_ALARMS: usize = 256;

/// A finding that an operator has to examine. Each alarm is logged once, where it is found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "alarm", rename_all = "kebab-case")]
pub enum Alarm {
    /// The mailbox contains an invalid roster: it is not signed by the peer, or its content is
    /// invalid.
    BadRoster {
        /// The object.
        object: String,
        /// The problem.
        problem: String,
    },
    /// The peer has replaced a roster that we had already copied. Both versions are stored, with
    /// their signatures.
    SecondRoster {
        /// The version that counts, in the own bucket.
        first: String,
        /// The other version, next to it.
        second: String,
    },
    /// The two processors accepted different packets of a batch, so the batch is never summed.
    Excluded {
        /// The window that excluded the batch.
        window: String,
        /// The batch.
        batch: DatedBatch,
    },
    /// A batch has reached its maximum age, so it is never summed.
    Expired {
        /// The last window of the batch.
        window: String,
        /// The batch.
        batch: DatedBatch,
        /// The last listings of the first and the second processor.
        #[serde(rename = "said")]
        last_statuses: [Option<ListingStatus>; 2],
    },
    /// Rosters list an identifier under several dates: the batch was copied, or a processor lists a
    /// batch that does not exist.
    SeveralDates {
        /// The window.
        window: String,
        /// The identifier and its dates.
        listed: SeveralDates,
    },
    /// A roster states other terms than those that the first window of both processors fixed. The
    /// fixed terms remain in force.
    TermsChanged {
        /// The window.
        window: String,
        /// The processor that wrote the roster.
        writer: Role,
        /// The terms in the roster.
        stated: RosterTerms,
        /// The terms in force.
        holds: RosterTerms,
    },
    /// Our configuration has other terms than those that the first window of both processors fixed.
    TermsConfigured {
        /// The terms in the configuration.
        configured: RosterTerms,
        /// The terms in force.
        holds: RosterTerms,
    },
    /// There are more batches than a roster may contain, or more objects without a valid signature
    /// than are read. The remaining ones wait for the next window.
    LeftOut {
        /// The window.
        window: String,
        /// The number of batches left out.
        batches: u64,
    },
    /// An object does not carry the signature that its name requires. No roster lists the batch.
    Unsigned {
        /// The signature object.
        object: String,
        /// The problem.
        problem: String,
    },
}

impl Alarm {
    /// Returns the machine-readable name for counters.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
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
    pub const NAMES: [&str; 8] = [
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
            Self::BadRoster { object, problem } => write!(
                f,
                "the peer's roster {object} is invalid and not used: {problem}"
            ),
            Self::SecondRoster { first, second } => write!(
                f,
                "the peer has replaced its roster {first}; the first version counts, the \
                     other is stored as {second}"
            ),
            Self::Excluded { window, batch } => write!(
                f,
                "batch {batch} is never summed: in {window} the two processors list different \
                     packets of it"
            ),
            Self::Expired {
                window,
                batch,
                last_statuses,
            } => {
                let describe = |status: &Option<ListingStatus>| match status {
                    None => "none".to_owned(),
                    Some(ListingStatus::Summable) => "summable".to_owned(),
                    Some(ListingStatus::Open(reason)) => reason.to_string(),
                };
                let [first, second] = [describe(&last_statuses[0]), describe(&last_statuses[1])];
                write!(
                    f,
                    "batch {batch} is never summed: {window} was its last window; listing of the \
                     first processor: {first}; of the second: {second}"
                )
            }
            Self::SeveralDates { window, listed } => {
                let dates: Vec<String> = listed
                    .dates
                    .iter()
                    .take(4)
                    .map(ToString::to_string)
                    .collect();
                write!(
                    f,
                    "in {window} batch {} is listed under {} dates: {}; at most one of them is \
                     summed",
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
                "the {writer} processor's roster of {window} changes its terms: {stated}; still \
                 in force: {holds}"
            ),
            Self::TermsConfigured { configured, holds } => write!(
                f,
                "the section `rosters` of our configuration changes the terms: {configured}; \
                 still in force: {holds}"
            ),
            Self::LeftOut { window, batches } => write!(
                f,
                "{batches} batches are left out in {window} because there are too many; they \
                     wait for the next window"
            ),
            Self::Unsigned { object, problem } => write!(f, "{object} is not listed: {problem}"),
        }
    }
}

/// The summary of a roster task.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct RosterSummary {
    /// Always `roster`.
    pub stage: &'static str,
    /// The role of this processor.
    pub role: Role,
    /// The aggregation.
    pub aggregation: AggregationId,
    /// The requested window.
    pub window: Window,
    /// Windows whose roster this run wrote.
    pub written: Vec<Window>,
    /// Windows that this run agreed on.
    pub agreed: Vec<Window>,
    /// The first window for which the peer's roster is missing.
    pub waits_for: Option<Window>,
    /// The first alarms.
    pub alarms: Vec<Alarm>,
    /// The number of further alarms.
    pub more_alarms: u64,
    /// Duration in seconds.
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

    /// Logs and stores an alarm, unless it was raised before. Alarms beyond [`MOST_ALARMS`] are
    /// only counted, because the peer determines their number.
    pub(super) fn alarm(&mut self, alarm: Alarm) {
        if self.alarms.contains(&alarm) {
            return;
        }
        if self.alarms.len() >= MOST_ALARMS {
            if self.more_alarms == 0 {
                tracing::warn!(aggregation_id = %self.aggregation, most = MOST_ALARMS, "too many roster alarms; further ones are only counted");
            }
            self.more_alarms += 1;
            return;
        }
        tracing::warn!(aggregation_id = %self.aggregation, alarm = alarm.as_str(), detail = %alarm, "roster alarm");
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn alarms_beyond_the_limit_are_counted_once_each() {
        let name = WindowName {
            aggregation: "a".parse().unwrap(),
            window: Window::new(
                "2026/01/31/12/00".parse().unwrap(),
                "2026/01/31/13/00".parse().unwrap(),
            )
            .unwrap(),
        };
        let mut summary = RosterSummary::new(Role::First, &name);
        let alarm = |batches| Alarm::LeftOut {
            window: name.window.to_string(),
            batches,
        };
        for number in 0..MOST_ALARMS + 3 {
            let number = number.try_into().unwrap();
            summary.alarm(alarm(number));
        }
        summary.alarm(alarm(0));
        assert_eq!(
            (summary.alarms.len(), summary.more_alarms),
            (MOST_ALARMS, 3)
        );
    }
}
