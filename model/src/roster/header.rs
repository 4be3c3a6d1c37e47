//! The header of a roster: its writer, its window and the terms under which it was written.

use super::WindowName;
use crate::avro::{Record, RecordKind};
use crate::digest::Digest;
use crate::header::digest_bytes;
use crate::id::Instance;
use crate::role::Role;
use crate::time::{BatchTime, Window};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The terms of agreement of one processor. Each processor states its terms in its rosters.
///
/// Origin, period, horizon and age are fixed for an aggregation by the first window for which both
/// processors have written a roster. The minimum may change with every roster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RosterTerms {
    /// Start of the first window with rosters. Agreement requires that both processors have the
    /// same value.
    pub origin: BatchTime,
    /// Length of a window in minutes. Agreement requires that both processors have the same value.
    pub period_minutes: u32,
    /// The number of windows before its own in which a packet id is recognised as a duplicate.
    /// Agreement requires that both processors have the same value.
    pub replay_horizon: u32,
    /// The minimum number of packets for which a sum is released. The larger of both processors'
    /// values applies.
    pub minimum: u64,
    /// The number of windows after its own in which a batch may still be summed. The smaller of
    /// both processors' values applies, but at least [`Self::SMALLEST_AGE`].
    pub maximum_age: u32,
}

impl RosterTerms {
    /// The lower limit of the maximum age, which applies whatever a roster states: a batch always
    /// has one window after its own.
    pub const SMALLEST_AGE: u32 = 1;

    /// Returns whether two processors with these terms can agree.
    #[must_use]
    pub fn fits(&self, other: &Self) -> bool {
        (self.origin, self.period_minutes, self.replay_horizon)
            == (other.origin, other.period_minutes, other.replay_horizon)
    }

    /// Returns these terms with the minimum of `other`, the only value that may change.
    #[must_use]
    pub fn with_minimum_of(self, other: &Self) -> Self {
        Self {
            minimum: other.minimum,
            ..self
        }
    }
}

/// The error for two rosters that cannot be compared. An operator has to change a configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the roster rules of the two processors differ: {} and {}", shown(.0), shown(.1))]
pub struct TermsDiffer(pub RosterTerms, pub RosterTerms);

fn shown(terms: &RosterTerms) -> String {
    let RosterTerms {
        origin,
        period_minutes,
        replay_horizon,
        ..
    } = terms;
    format!("origin {origin}, windows of {period_minutes} minutes, replay horizon {replay_horizon}")
}

impl fmt::Display for RosterTerms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            origin,
            period_minutes,
            replay_horizon,
            minimum,
            maximum_age,
        } = self;
        write!(
            f,
            "origin {origin}, windows of {period_minutes} minutes, maximum age {maximum_age}, replay horizon \
             {replay_horizon}, minimum {minimum}"
        )
    }
}

/// The maximum number of entries of a roster. Writers do not exceed it, and readers accept up to
/// this number.
pub const MOST_ENTRIES: u64 = 65_536;

/// The range of windows for which a processor has written rosters and reached agreement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainReach {
    /// Start of the first window of this aggregation for which the processor has written a roster.
    /// The processor lists no batch of an earlier window.
    pub start: BatchTime,
    /// End of the last window on which the processor had agreed when it wrote this roster, or
    /// `start` if there was none. The value changes no agreed set. It informs the peer which of its
    /// rosters the mailbox no longer needs.
    pub agreed_until: BatchTime,
}

/// The header of a roster (`TallyboxRosterHeader`), with the fields of its Avro record. Times are
/// milliseconds since the epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RosterHeader {
    /// The pair of locality and ingestor.
    pub instance: String,
    /// The aggregation.
    pub aggregation: String,
    /// The index of the processor that wrote the roster.
    pub writer: i32,
    /// Start of the window.
    pub window_start: i64,
    /// End of the window.
    pub window_end: i64,
    /// See [`ChainReach::start`].
    pub chain_start: i64,
    /// See [`ChainReach::agreed_until`].
    pub agreed_until: i64,
    /// See [`RosterTerms::origin`].
    pub origin: i64,
    /// See [`RosterTerms::period_minutes`].
    pub period_minutes: i32,
    /// See [`RosterTerms::minimum`].
    pub minimum: i64,
    /// See [`RosterTerms::maximum_age`].
    pub maximum_age: i32,
    /// See [`RosterTerms::replay_horizon`].
    pub replay_horizon: i32,
    /// SHA-256 of the file of entries.
    #[serde(with = "digest_bytes")]
    pub packet_file_digest: Digest,
}

impl RosterHeader {
    /// Creates the header of a roster.
    #[must_use]
    pub fn new(
        instance: &Instance,
        name: &WindowName,
        writer: Role,
        chain: ChainReach,
        terms: &RosterTerms,
        entries: Digest,
    ) -> Self {
        Self {
            instance: instance.to_string(),
            aggregation: name.aggregation.to_string(),
            writer: i32::try_from(writer.index()).unwrap_or(i32::MAX),
            window_start: name.window.start().millis(),
            window_end: name.window.end().millis(),
            chain_start: chain.start.millis(),
            agreed_until: chain.agreed_until.millis(),
            origin: terms.origin.millis(),
            period_minutes: i32::try_from(terms.period_minutes).unwrap_or(i32::MAX),
            minimum: i64::try_from(terms.minimum).unwrap_or(i64::MAX),
            maximum_age: i32::try_from(terms.maximum_age).unwrap_or(i32::MAX),
            replay_horizon: i32::try_from(terms.replay_horizon).unwrap_or(i32::MAX),
            packet_file_digest: entries,
        }
    }

    /// Returns whether the header belongs to the roster of this processor for this window, as
    /// stated in the object's name.
    #[must_use]
    pub fn is_of(&self, instance: &Instance, name: &WindowName, writer: Role) -> bool {
        let window = (self.window_start, self.window_end);
        self.instance == instance.as_str()
            && self.aggregation == name.aggregation.as_str()
            && usize::try_from(self.writer) == Ok(writer.index())
            && window == (name.window.start().millis(), name.window.end().millis())
    }

    /// Returns the window; `None` if the times do not form a valid window.
    #[must_use]
    pub fn window(&self) -> Option<Window> {
        let time = BatchTime::from_millis;
        Window::new(time(self.window_start)?, time(self.window_end)?).ok()
    }

    /// Returns the writer's range of agreed windows; `None` if a value is not a valid time.
    #[must_use]
    pub fn chain(&self) -> Option<ChainReach> {
        Some(ChainReach {
            start: BatchTime::from_millis(self.chain_start)?,
            agreed_until: BatchTime::from_millis(self.agreed_until)?,
        })
    }

    /// Returns the writer's terms; `None` if a number is out of range.
    #[must_use]
    pub fn terms(&self) -> Option<RosterTerms> {
        Some(RosterTerms {
            origin: BatchTime::from_millis(self.origin)?,
            period_minutes: u32::try_from(self.period_minutes)
                .ok()
                .filter(|minutes| *minutes > 0)?,
            replay_horizon: u32::try_from(self.replay_horizon).ok()?,
            minimum: u64::try_from(self.minimum).ok()?,
            maximum_age: u32::try_from(self.maximum_age).ok()?,
        })
    }
}

impl Record for RosterHeader {
    const KIND: RecordKind = RecordKind::RosterHeader;

    fn variable_bytes(&self) -> u64 {
        (self.instance.len() + self.aggregation.len() + 32) as u64
    }
}
