//! Extensions: what a processor says that it can beyond ENPA, and the rule by which two processors begin and end to use it.
//!
//! A processor publishes `{base}/{instance}-extensions.json`, which a peer without extensions never fetches:
//!
//! ```json
//! {"format":1,"roster":{"since":"2026/03/01/00/00","until":null},"packet-keys":[…]}
//! ```
//!
//! [`Announcement`] is the whole document. What follows is about rosters.
//!
//! Both sides have to use rosters for the same windows, or a window has no two sum parts that can be added. So from
//! when and until when follow from the two announcements alone, and from no clock: from the first window at or after
//! both sides' `since`, up to the first window at or after both sides' `until`. A processor announces each of them at
//! least two windows ahead ([`is_ahead`]), so that its peer has seen it before it matters; what a peer sees later than
//! that changes nothing about the rule.
//!
//! What is known once is fixed in the own bucket ([`RosterSwitch`]) and never falls away by itself: only `until`, on both
//! sides, ends it. Of the answers to a fetch, only "not found" says that there is no announcement ([`Sighting`]).

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::id::{Instance, KeyId};
use crate::packet_keys::PacketKeyConflict;
use crate::time::{BatchTime, Window, aligned_window, next_window};

mod announcement;

pub use announcement::{AnnouncedPacketKey, Announcement};

/// The largest announcement that is read, in bytes.
pub const EXTENSIONS_SIZE_LIMIT: usize = 256 * 1024;

/// In the own bucket: our own announcement as it was when it first counted. It may not change but for `until`.
pub const ANNOUNCED: &str = "extensions/announced.json";
/// In the own bucket: from which window on rosters are used, a [`RosterSwitch`].
pub const ROSTERS_FROM: &str = "extensions/roster.json";
/// In the own bucket: from which window on they are not used any more, a [`RosterSwitch`].
pub const ROSTERS_UNTIL: &str = "extensions/roster-until.json";

/// The one format there is.
const FORMAT: u64 = 1;

/// `{instance}-extensions.json`, below a processor's base URL.
#[must_use]
pub fn document_name(instance: &Instance) -> String {
    format!("{instance}-extensions.json")
}

/// Why a text is no announcement, or no switch.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ExtensionsError {
    /// More bytes than are read.
    #[error("extensions: {size} bytes are more than the limit of {EXTENSIONS_SIZE_LIMIT}")]
    TooLarge {
        /// Size in bytes.
        size: usize,
    },
    /// Not JSON, a key missing or repeated, or a value of another type.
    #[error("extensions: not such a document")]
    NotADocument(#[source] serde_json::Error),
    /// A format that this program does not know.
    #[error("extensions: format {0} is not known, only {FORMAT}")]
    Format(u64),
    /// An end that is not after the beginning.
    #[error("extensions: rosters until {until} are not after since {since}")]
    Order {
        /// The beginning.
        since: BatchTime,
        /// The end.
        until: BatchTime,
    },
    /// A packet key without bins, or whose public half is not base64 of an uncompressed P-256 point.
    #[error(
        "extensions: packet key {id} needs bins of 1 or more, and base64 of a public key of 65 bytes, uncompressed"
    )]
    PacketKey {
        /// The key.
        id: KeyId,
    },
    /// Two packet keys that contradict each other.
    #[error("extensions: the packet keys contradict each other")]
    PacketKeys(#[from] PacketKeyConflict),
}

/// What a processor can beyond ENPA.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Extensions {
    /// Rosters.
    pub roster: Option<RosterExtension>,
}

/// That a processor agrees with its peer by rosters which batches a window holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RosterExtension {
    /// From the first window at or after this time on.
    pub since: BatchTime,
    /// Up to the first window at or after this time; `None` until an operator ends it.
    #[serde(default)]
    pub until: Option<BatchTime>,
}

/// The announcement as it travels. Unknown keys are ignored, at every level: later programs say more.
#[derive(Serialize, Deserialize)]
struct Wire {
    format: u64,
    #[serde(default)]
    roster: Option<RosterExtension>,
}

impl Extensions {
    /// Reads an announcement.
    ///
    /// # Errors
    /// [`ExtensionsError`] when it is none.
    pub fn parse(document: &[u8]) -> Result<Self, ExtensionsError> {
        let wire: Wire = read(document)?;
        if wire.format != FORMAT {
            return Err(ExtensionsError::Format(wire.format));
        }
        match wire.roster {
            Some(RosterExtension {
                since,
                until: Some(until),
            }) if until <= since => Err(ExtensionsError::Order { since, until }),
            roster => Ok(Self { roster }),
        }
    }

    /// The announcement: compact JSON, keys in the format's order.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        write(&Wire {
            format: FORMAT,
            roster: self.roster,
        })
    }
}

/// What a look for the peer's announcement came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sighting {
    /// The server says that there is none (404). Nothing else says so.
    Absent,
    /// There is one.
    Announced(Extensions),
    /// Nobody knows: the server cannot be reached, answers something else, or what it has cannot be read.
    Unknown,
}

/// A switch as it is fixed in the own bucket, the first time that it is known.
///
/// As JSON: `{"format":1,"window":…,"ours":…,"theirs":…,"seen":…}`, all times as `YYYY/MM/DD/HH/MM`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RosterSwitch {
    /// Start of the first window after the switch.
    pub window: BatchTime,
    /// What we announced.
    pub ours: BatchTime,
    /// What the peer announced.
    pub theirs: BatchTime,
    /// When both were first known, by our clock.
    pub seen: BatchTime,
}

#[derive(Serialize, Deserialize)]
struct WireSwitch {
    format: u64,
    window: BatchTime,
    ours: BatchTime,
    theirs: BatchTime,
    seen: BatchTime,
}

impl RosterSwitch {
    /// The switch that follows from both sides' times, for windows of this length. `None` at the end of time.
    #[must_use]
    pub fn of(ours: BatchTime, theirs: BatchTime, minutes: u32, seen: BatchTime) -> Option<Self> {
        Some(Self {
            window: first_window(ours.max(theirs), minutes)?.start(),
            ours,
            theirs,
            seen,
        })
    }

    /// Reads a fixed switch.
    ///
    /// # Errors
    /// [`ExtensionsError`] when it is none.
    pub fn parse(document: &[u8]) -> Result<Self, ExtensionsError> {
        let wire: WireSwitch = read(document)?;
        if wire.format != FORMAT {
            return Err(ExtensionsError::Format(wire.format));
        }
        Ok(Self {
            window: wire.window,
            ours: wire.ours,
            theirs: wire.theirs,
            seen: wire.seen,
        })
    }

    /// The document: compact JSON, keys in the format's order.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        write(&WireSwitch {
            format: FORMAT,
            window: self.window,
            ours: self.ours,
            theirs: self.theirs,
            seen: self.seen,
        })
    }
}

/// The first window of this length that starts at or after a time.
#[must_use]
pub fn first_window(time: BatchTime, minutes: u32) -> Option<Window> {
    let holding = aligned_window(time, minutes)?;
    if holding.start() == time {
        Some(holding)
    } else {
        next_window(holding, minutes)
    }
}

/// Whether a time is far enough ahead to be announced now: two whole windows lie between.
#[must_use]
pub fn is_ahead(time: BatchTime, now: BatchTime, minutes: u32) -> bool {
    let holding = aligned_window(now, minutes);
    let second = holding.and_then(|window| next_window(next_window(window, minutes)?, minutes));
    second.is_some_and(|window| time >= window.end())
}

/// What has been fixed in the own bucket.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Fixed {
    /// From when rosters are used.
    pub from: Option<RosterSwitch>,
    /// Until when.
    pub until: Option<RosterSwitch>,
}

/// From which window on something holds, as far as is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bound {
    /// From the window that starts then.
    Known(RosterSwitch),
    /// Perhaps from the window that starts then, certainly not before: the peer's announcement could not be read.
    Open(BatchTime),
}

/// For which windows rosters are used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RosterUse {
    /// From when; `None`: they are not.
    pub from: Option<Bound>,
    /// Until when; `None`: without end.
    pub until: Option<Bound>,
}

/// How the batches of a window are chosen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// As ENPA does: each side by itself.
    Enpa,
    /// By rosters.
    Roster,
    /// Not known before the peer's announcement can be read: the window waits.
    Undecided,
}

impl RosterUse {
    /// What follows from our announcement, the last look for the peer's, and what had been fixed before.
    #[must_use]
    pub fn of(ours: Option<RosterExtension>, peer: &Sighting, fixed: &Fixed, minutes: u32, now: BatchTime) -> Self {
        let theirs = match peer {
            Sighting::Announced(extensions) => extensions.roster,
            Sighting::Absent | Sighting::Unknown => None,
        };
        let open = |time| first_window(time, minutes).map(|window| Bound::Open(window.start()));
        let from = match (fixed.from, ours, theirs, peer) {
            (Some(fixed), ..) => Some(Bound::Known(fixed)),
            (None, None, ..) => None,
            (None, Some(ours), Some(theirs), _) => {
                RosterSwitch::of(ours.since, theirs.since, minutes, now).map(Bound::Known)
            }
            (None, Some(ours), None, Sighting::Unknown) => open(ours.since),
            (None, Some(_), None, _) => None,
        };
        let until = match (fixed.until, ours.and_then(|ours| ours.until), theirs) {
            _ if from.is_none() => None,
            (Some(fixed), ..) => Some(Bound::Known(fixed)),
            (None, None, _) => None,
            (None, Some(ours), Some(theirs)) => theirs
                .until
                .and_then(|theirs| RosterSwitch::of(ours, theirs, minutes, now))
                .map(Bound::Known),
            // An announcement that was there and is gone says nothing.
            (None, Some(ours), None) => open(ours),
        };
        Self { from, until }
    }

    /// How the batches of the window that starts then are chosen.
    #[must_use]
    pub fn mode(&self, start: BatchTime) -> Mode {
        let reached = |bound: Option<Bound>| match bound {
            Some(Bound::Known(switch)) if start >= switch.window => Mode::Roster,
            Some(Bound::Open(window)) if start >= window => Mode::Undecided,
            _ => Mode::Enpa,
        };
        match (reached(self.from), reached(self.until)) {
            (Mode::Roster, Mode::Enpa) => Mode::Roster,
            (Mode::Enpa, _) | (Mode::Roster, Mode::Roster) => Mode::Enpa,
            (Mode::Undecided, _) | (Mode::Roster, Mode::Undecided) => Mode::Undecided,
        }
    }
}

fn read<'a, T: Deserialize<'a>>(document: &'a [u8]) -> Result<T, ExtensionsError> {
    if document.len() > EXTENSIONS_SIZE_LIMIT {
        return Err(ExtensionsError::TooLarge { size: document.len() });
    }
    serde_json::from_slice(document).map_err(ExtensionsError::NotADocument)
}

#[allow(clippy::expect_used, reason = "structs of numbers and texts always serialise")]
fn write(wire: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(wire).expect("an announcement holds nothing that JSON cannot")
}

#[cfg(test)]
mod tests;
