//! Extensions: the capabilities beyond ENPA that a processor announces, and the rule that
//! determines when two processors use them.
//!
//! A processor publishes `{base}/{instance}-extensions.json`, which a peer without extensions never
//! fetches:
//!
//! ```json
//! {"format":1,"roster":{"since":"2026/03/01/00/00","until":null},"packet-keys":[…]}
//! ```
//!
//! [`Announcement`] is the whole document. The remaining sections describe rosters.
//!
//! Both processors have to use rosters for the same windows; otherwise a window has no two sum
//! parts that can be added. The first and the last window with rosters therefore follow from the
//! two announcements alone, independently of any clock: rosters apply from the first window at or
//! after both processors' `since`, up to the first window at or after both processors' `until`. A
//! processor announces each of these times at least two windows ahead ([`is_ahead`]), so that its
//! peer has read it in time. A peer that reads it later still applies the same rule.
//!
//! The first observed switch is fixed in the processor's own bucket ([`RosterSwitch`]). Only
//! `until`, announced by both processors, ends the use of rosters; a missing announcement does not.
//! When a processor fetches its peer's announcement, only the response "not found" means that there
//! is none ([`Sighting`]).

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::id::{Instance, KeyId};
use crate::packet_keys::PacketKeyConflict;
use crate::time::{BatchTime, Window, aligned_window, next_window};

mod announcement;

pub use announcement::{AnnouncedPacketKey, Announcement};

/// The largest announcement that is read, in bytes.
pub const EXTENSIONS_SIZE_LIMIT: usize = 256 * 1024;

/// Object in the own bucket: this processor's announcement when it first took effect. Only `until`
/// may change afterwards.
pub const ANNOUNCED: &str = "extensions/announced.json";
/// Object in the own bucket: the window from which rosters are used, a [`RosterSwitch`].
pub const ROSTERS_FROM: &str = "extensions/roster.json";
/// Object in the own bucket: the window from which rosters are no longer used, a [`RosterSwitch`].
pub const ROSTERS_UNTIL: &str = "extensions/roster-until.json";

/// The only format number.
const FORMAT: u64 = 1;

/// Returns `{instance}-extensions.json`, the name of the document below a processor's base URL.
#[must_use]
pub fn document_name(instance: &Instance) -> String {
    format!("{instance}-extensions.json")
}

/// The reason why a text is not a valid announcement or switch.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ExtensionsError {
    /// The document exceeds the size limit.
    #[error("extensions: {size} bytes are more than the limit of {EXTENSIONS_SIZE_LIMIT}")]
    TooLarge {
        /// Size in bytes.
        size: usize,
    },
    /// The document is not JSON, a key is missing or repeated, or a value has the wrong type.
    #[error("extensions: not a valid document")]
    NotADocument(#[source] serde_json::Error),
    /// The document has an unsupported format number.
    #[error("extensions: format {0} is not supported, only {FORMAT}")]
    Format(u64),
    /// The end is not after the beginning.
    #[error("extensions: roster: until {until} has to be after since {since}")]
    Order {
        /// The beginning.
        since: BatchTime,
        /// The end.
        until: BatchTime,
    },
    /// A packet key has no bins, or its public half is not base64 of an uncompressed P-256 point.
    #[error(
        "extensions: packet key {id} needs bins of 1 or more, and an uncompressed public key of 65 bytes as base64"
    )]
    PacketKey {
        /// The key.
        id: KeyId,
    },
    /// Two packet keys contradict each other.
    #[error("extensions: the packet keys contradict each other")]
    PacketKeys(#[from] PacketKeyConflict),
}

/// The capabilities of a processor beyond ENPA.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Extensions {
    /// Agreement by rosters, if announced.
    pub roster: Option<RosterExtension>,
}

/// The announcement that a processor agrees with its peer on the batches of a window by rosters.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RosterExtension {
    /// Rosters are used from the first window at or after this time.
    pub since: BatchTime,
    /// Rosters are used up to the first window at or after this time; `None` until an operator ends
    /// their use.
    #[serde(default)]
    pub until: Option<BatchTime>,
}

/// The JSON form of an announcement. Unknown keys are ignored at every level, because later
/// versions may add keys.
#[derive(Serialize, Deserialize)]
struct Wire {
    format: u64,
    #[serde(default)]
    roster: Option<RosterExtension>,
}

impl Extensions {
    /// Parses an announcement.
    ///
    /// # Errors
    /// [`ExtensionsError`] if the document is not a valid announcement.
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

    /// Serialises the announcement as compact JSON, with keys in the format's order.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        write(&Wire {
            format: FORMAT,
            roster: self.roster,
        })
    }
}

/// The result of fetching the peer's announcement.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sighting {
    /// The server answered that there is no announcement (404). No other response has this meaning.
    Absent,
    /// The peer's announcement.
    Announced(Extensions),
    /// Unknown: the server is unreachable, gave another response, or its document is invalid.
    Unknown,
}

/// A switch as recorded in the own bucket when it was first determined.
///
/// As JSON: `{"format":1,"window":…,"ours":…,"theirs":…,"seen":…}`, all times as
/// `YYYY/MM/DD/HH/MM`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RosterSwitch {
    /// Start of the first window after the switch.
    pub window: BatchTime,
    /// The time that this processor announced.
    pub ours: BatchTime,
    /// The time that the peer announced.
    pub theirs: BatchTime,
    /// The time at which both announcements were first known, by this processor's clock.
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
    /// Determines the switch from both processors' times, for windows of this length. Returns
    /// `None` beyond the last representable time.
    #[must_use]
    pub fn from_announcements(
        ours: BatchTime,
        theirs: BatchTime,
        minutes: u32,
        seen: BatchTime,
    ) -> Option<Self> {
        Some(Self {
            window: first_window(ours.max(theirs), minutes)?.start(),
            ours,
            theirs,
            seen,
        })
    }

    /// Parses a fixed switch.
    ///
    /// # Errors
    /// [`ExtensionsError`] if the document is not a valid switch.
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

    /// Serialises the switch as compact JSON, with keys in the format's order.
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

/// Returns the first window of this length that starts at or after a time.
#[must_use]
pub fn first_window(time: BatchTime, minutes: u32) -> Option<Window> {
    let holding = aligned_window(time, minutes)?;
    if holding.start() == time {
        Some(holding)
    } else {
        next_window(holding, minutes)
    }
}

/// Returns whether a time is far enough ahead to be announced now, which requires two whole windows
/// in between.
#[must_use]
pub fn is_ahead(time: BatchTime, now: BatchTime, minutes: u32) -> bool {
    let holding = aligned_window(now, minutes);
    let second = holding.and_then(|window| next_window(next_window(window, minutes)?, minutes));
    second.is_some_and(|window| time >= window.end())
}

/// The switches that are recorded in the own bucket.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Fixed {
    /// The start of the use of rosters.
    pub from: Option<RosterSwitch>,
    /// The end of the use of rosters.
    pub until: Option<RosterSwitch>,
}

/// The window of a switch, as far as it is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bound {
    /// The switch takes effect with this window.
    Known(RosterSwitch),
    /// The switch may take effect with the window that starts then, but not earlier. The peer's
    /// announcement could not be read.
    Open(BatchTime),
}

/// The range of windows for which rosters are used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RosterUse {
    /// The start; `None` if rosters are not used.
    pub from: Option<Bound>,
    /// The end; `None` if there is no end.
    pub until: Option<Bound>,
}

/// The method by which the batches of a window are selected.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// Each processor selects batches independently, as in ENPA.
    Enpa,
    /// The processors agree by rosters.
    Roster,
    /// Unknown until the peer's announcement can be read; the window waits.
    Undecided,
}

impl RosterUse {
    /// Determines the range from this processor's announcement, the last fetch of the peer's
    /// announcement, and the switches fixed before.
    #[must_use]
    pub fn of(
        ours: Option<RosterExtension>,
        peer: &Sighting,
        fixed: &Fixed,
        minutes: u32,
        now: BatchTime,
    ) -> Self {
        let theirs = match peer {
            Sighting::Announced(extensions) => extensions.roster,
            Sighting::Absent | Sighting::Unknown => None,
        };
        let open = |time| first_window(time, minutes).map(|window| Bound::Open(window.start()));
        let from = match (fixed.from, ours, theirs, peer) {
            // A fixed switch is final: a later announcement cannot change it.
            (Some(fixed), ..) => Some(Bound::Known(fixed)),
            (None, None, ..) => None,
            (None, Some(ours), Some(theirs), _) => {
                RosterSwitch::from_announcements(ours.since, theirs.since, minutes, now)
                    .map(Bound::Known)
            }
            (None, Some(ours), None, Sighting::Unknown) => open(ours.since),
            // The peer announces no rosters, so the windows are summed as in ENPA.
            (None, Some(_), None, _) => None,
        };
        let until = match (fixed.until, ours.and_then(|ours| ours.until), theirs) {
            // Without a beginning there is no end.
            _ if from.is_none() => None,
            (Some(fixed), ..) => Some(Bound::Known(fixed)),
            (None, None, _) => None,
            (None, Some(ours), Some(theirs)) => theirs
                .until
                .and_then(|theirs| RosterSwitch::from_announcements(ours, theirs, minutes, now))
                .map(Bound::Known),
            // A document that disappears does not revoke the announcement: the peer's `until` is
            // unknown.
            (None, Some(ours), None) => open(ours),
        };
        Self { from, until }
    }

    /// Returns the method by which the batches of the window with this start are selected.
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
        return Err(ExtensionsError::TooLarge {
            size: document.len(),
        });
    }
    serde_json::from_slice(document).map_err(ExtensionsError::NotADocument)
}

#[allow(
    clippy::expect_used,
    reason = "structs of numbers and texts always serialise"
)]
fn write(wire: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(wire).expect("an announcement holds nothing that JSON cannot")
}

#[cfg(test)]
mod tests;
