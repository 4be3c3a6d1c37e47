//! The names of the objects with which two processors agree on a window, and of the marks that
//! record its completion.

use crate::id::AggregationId;
use crate::role::Role;
use crate::time::{BatchTime, Window};
use std::fmt;

/// The directory of rosters, in mailboxes and own buckets.
const ROSTERS: &str = "rosters";
/// The directory of the marks of completed windows, in the own bucket.
const WINDOWS: &str = "windows";
/// The directory of the marks of windows that passed the scheduler's horizon, in the own bucket.
const GIVEN_UP: &str = "given-up";
/// The suffix of the mark of a window that passed the scheduler's horizon.
const UNSUMMED: &str = "unsummed";
/// The suffix of an operator's acknowledgement of that mark.
const ACKNOWLEDGED: &str = "acknowledged";
/// The suffix of the list of a window's batches.
const BATCHES: &str = ".batches";
/// The part of the suffix of a second roster before its digest.
const SECOND: &str = ".second-";
/// The first part of the suffix of releases; the counts follow.
const RELEASED: &str = "released";

/// A window of an aggregation, `{agg}/{start}-{end}` with both times as `YYYYMMDDHHMM`, and the
/// object names derived from it.
///
/// All of these objects are in the own bucket. A roster is also in the mailbox of its peer.
///
/// ```text
/// rosters/{agg}/{start}-{end}.roster_{i}           the roster of processor i
/// rosters/{agg}/chain                              the first window with a roster of this processor
/// rosters/{agg}/{start}-{end}.verdicts             the verdicts on the newly listed batches, sealed
/// rosters/{agg}/{start}-{end}.agreed               the set on which both rosters agree
/// rosters/{agg}/{start}-{end}.counted              the packets that the window counts, sealed
/// windows/{agg}/{start}-{end}.batches              without rosters: the batches of the task
/// windows/{agg}/{start}-{end}.held                 the sum part waits for release by an operator
/// windows/{agg}/{start}-{end}.released-{n}-of-{m}  released, with n of m packets rejected
/// windows/{agg}/{start}-{end}.done                 the window is complete
/// given-up/{agg}/{start}-{end}.unsummed            passed the scheduler's horizon incomplete
/// given-up/{agg}/{start}-{end}.acknowledged        acknowledged by an operator
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct WindowName {
    /// The aggregation.
    pub aggregation: AggregationId,
    /// The window.
    pub window: Window,
}

impl fmt::Display for WindowName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (start, end) = (self.window.start().compact(), self.window.end().compact());
        write!(f, "{}/{start}-{end}", self.aggregation)
    }
}

impl WindowName {
    /// The directory of all rosters.
    pub const DIRECTORY: &str = ROSTERS;
    /// The directory of the marks of completed windows.
    pub const DONE_DIRECTORY: &str = WINDOWS;
    /// The directory of the marks of windows that passed the scheduler's horizon.
    pub const GIVEN_UP_DIRECTORY: &str = GIVEN_UP;

    /// Parses `{agg}/{start}-{end}`. Only the canonical spelling is accepted.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (aggregation, window) = text.split_once('/')?;
        let (start, end) = window.split_once('-')?;
        let time = |text| BatchTime::from_compact(text).ok();
        let name = Self {
            aggregation: aggregation.parse().ok()?,
            window: Window::new(time(start)?, time(end)?).ok()?,
        };
        (name.to_string() == text).then_some(name)
    }

    /// Returns the name of this processor's roster.
    #[must_use]
    pub fn roster(&self, writer: Role) -> String {
        format!("{ROSTERS}/{self}.roster_{}", writer.index())
    }

    /// Returns the name of a second roster of the peer for the same window. It is stored as
    /// evidence, under the first 16 hexadecimal digits of its digest.
    #[must_use]
    pub fn second_roster(&self, writer: Role, digest: &str) -> String {
        format!("{}{SECOND}{digest}", self.roster(writer))
    }

    /// Parses a name written by [`Self::second_roster`]; returns `None` for any other name.
    #[must_use]
    pub fn from_second_roster(key: &str) -> Option<Self> {
        let (roster, digest) = key.split_once(SECOND)?;
        let digits = !digest.is_empty() && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
        match RosterObject::parse(roster)? {
            (name, RosterObject::Roster(_)) if digits => Some(name),
            _ => None,
        }
    }

    /// Returns the name of the record of the verdicts on the batches that this window's roster lists
    /// for the first time.
    #[must_use]
    pub fn verdicts(&self) -> String {
        format!("{ROSTERS}/{self}.verdicts")
    }

    /// Returns the name of the record of the set on which both rosters agree.
    #[must_use]
    pub fn agreed(&self) -> String {
        format!("{ROSTERS}/{self}.agreed")
    }

    /// Returns the name of the record of the identifiers of the packets that the window counts.
    #[must_use]
    pub fn counted(&self) -> String {
        format!("{ROSTERS}/{self}.counted")
    }

    /// Returns the name of the mark that the window passed the scheduler's horizon without
    /// completion.
    #[must_use]
    pub fn given_up(&self) -> String {
        format!("{GIVEN_UP}/{self}.{UNSUMMED}")
    }

    /// Returns the name of the mark that an operator has acknowledged the cancelled window.
    #[must_use]
    pub fn acknowledged(&self) -> String {
        format!("{GIVEN_UP}/{self}.{ACKNOWLEDGED}")
    }

    /// Parses a name written by [`Self::given_up`] or [`Self::acknowledged`], and returns whether
    /// it is the latter; returns `None` for any other name.
    #[must_use]
    pub fn from_given_up(key: &str) -> Option<(Self, bool)> {
        let (stem, suffix) = key
            .strip_prefix(GIVEN_UP)?
            .strip_prefix('/')?
            .rsplit_once('.')?;
        let acknowledged = match suffix {
            UNSUMMED => false,
            ACKNOWLEDGED => true,
            _ => return None,
        };
        Some((Self::parse(stem)?, acknowledged))
    }

    /// Returns the name of the list of batches that the window's task contains, fixed before the
    /// task is started. Used without rosters.
    #[must_use]
    pub fn batches(&self) -> String {
        format!("{WINDOWS}/{self}{BATCHES}")
    }

    /// Parses a name written by [`Self::batches`]; returns `None` for any other name.
    #[must_use]
    pub fn from_batches(key: &str) -> Option<Self> {
        Self::parse(
            key.strip_prefix(WINDOWS)?
                .strip_prefix('/')?
                .strip_suffix(BATCHES)?,
        )
    }

    /// Returns the name of the mark that the window's sum part waits for an operator's release,
    /// because too many of its packets were rejected.
    #[must_use]
    pub fn held(&self) -> String {
        format!("{WINDOWS}/{self}.held")
    }

    /// Returns the name of the mark that an operator has released the window, with `rejected` of
    /// `messages` packets rejected.
    #[must_use]
    pub fn released(&self, rejected: u64, messages: u64) -> String {
        format!("{WINDOWS}/{self}.{RELEASED}-{rejected}-of-{messages}")
    }

    /// Parses a name written by [`Self::released`] with any counts; returns `None` for any other
    /// name.
    #[must_use]
    pub fn from_released(key: &str) -> Option<Self> {
        let (stem, counts) = key
            .strip_prefix(WINDOWS)?
            .strip_prefix('/')?
            .rsplit_once('.')?;
        let counts = counts.strip_prefix(RELEASED)?.strip_prefix('-')?;
        let (rejected, messages) = counts.split_once("-of-")?;
        let (rejected, messages) = (rejected.parse().ok()?, messages.parse().ok()?);
        let name = Self::parse(stem)?;
        (name.released(rejected, messages) == key).then_some(name)
    }

    /// Returns the name of the mark that the window is complete: its sum part is published, or it
    /// has none.
    #[must_use]
    pub fn done(&self) -> String {
        format!("{WINDOWS}/{self}.done")
    }
}

/// Returns the name of the object in the own bucket that contains the first window of this
/// processor's rosters of an aggregation.
#[must_use]
pub fn chain(aggregation: &AggregationId) -> String {
    format!("{ROSTERS}/{aggregation}/chain")
}

/// The kind of an object below `rosters/` or `windows/`, according to its name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RosterObject {
    /// A roster of this processor.
    Roster(Role),
    /// The sealed verdicts.
    Verdicts,
    /// The agreed set.
    Agreed,
    /// The sealed identifiers of counted packets.
    Counted,
    /// The mark that the sum part waits for an operator's release.
    Held,
    /// The mark that the window is complete.
    Done,
}

impl RosterObject {
    /// Parses the name of an object; returns `None` for any other object, including evidence.
    #[must_use]
    pub fn parse(key: &str) -> Option<(WindowName, Self)> {
        let (directory, rest) = key.split_once('/')?;
        // An aggregation may contain dots; the digits of a window do not.
        let (aggregation, file) = rest.split_once('/')?;
        let (window, suffix) = file.split_once('.')?;
        let name = WindowName::parse(&format!("{aggregation}/{window}"))?;
        let what = match (directory, suffix) {
            (ROSTERS, "roster_0") => Self::Roster(Role::First),
            (ROSTERS, "roster_1") => Self::Roster(Role::Second),
            (ROSTERS, "agreed") => Self::Agreed,
            (WINDOWS, "done") => Self::Done,
            (WINDOWS, "held") => Self::Held,
            (ROSTERS, "verdicts") => Self::Verdicts,
            (ROSTERS, "counted") => Self::Counted,
            _ => return None,
        };
        Some((name, what))
    }

    /// Returns the first key, in the listing of an aggregation below [`WindowName::DIRECTORY`] or
    /// [`WindowName::DONE_DIRECTORY`], of a window that starts at or after `start`.
    #[must_use]
    pub fn from(directory: &str, aggregation: &AggregationId, start: BatchTime) -> String {
        format!("{directory}/{aggregation}/{}", start.compact())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        let window = Window::new(
            "2023/11/14/22/00".parse().unwrap(),
            "2023/11/14/23/00".parse().unwrap(),
        )
        .unwrap();
        let name = WindowName {
            aggregation: "org.example.a".parse().unwrap(),
            window,
        };
        assert_eq!(
            name.roster(Role::Second),
            "rosters/org.example.a/202311142200-202311142300.roster_1"
        );
        for (key, what) in [
            (name.roster(Role::First), RosterObject::Roster(Role::First)),
            (
                name.roster(Role::Second),
                RosterObject::Roster(Role::Second),
            ),
            (name.verdicts(), RosterObject::Verdicts),
            (name.agreed(), RosterObject::Agreed),
            (name.counted(), RosterObject::Counted),
            (name.done(), RosterObject::Done),
            (name.held(), RosterObject::Held),
        ] {
            assert_eq!(
                RosterObject::parse(&key),
                Some((name.clone(), what)),
                "{key}"
            );
        }
        for key in [
            name.second_roster(Role::First, "00"),
            chain(&name.aggregation),
            "rosters/a/202311142200-202311142300.done".to_owned(),
            "windows/a/202311142200-202311142300.agreed".to_owned(),
            "rosters/a/202311142300-202311142200.agreed".to_owned(),
            "rosters/a/x.agreed".to_owned(),
            "rosters/a".to_owned(),
        ] {
            assert_eq!(RosterObject::parse(&key), None, "{key}");
        }
        assert_eq!(
            WindowName::from_batches(&name.batches()),
            Some(name.clone())
        );
        assert_eq!(WindowName::from_batches(&name.done()), None);
        assert_eq!(RosterObject::parse(&name.batches()), None);
        assert_eq!(
            WindowName::from_given_up(&name.given_up()),
            Some((name.clone(), false))
        );
        assert_eq!(
            WindowName::from_given_up(&name.acknowledged()),
            Some((name.clone(), true))
        );
        assert_eq!(WindowName::from_given_up(&name.done()), None);
        let released = name.released(3, 40);
        assert_eq!(
            released,
            "windows/org.example.a/202311142200-202311142300.released-3-of-40"
        );
        assert_eq!(WindowName::from_released(&released), Some(name.clone()));
        assert_eq!(RosterObject::parse(&released), None);
        for key in [
            name.held(),
            released.replace("-3-", "-03-"),
            released.replace("-of-", "-"),
        ] {
            assert_eq!(WindowName::from_released(&key), None, "{key}");
        }
        let from = RosterObject::from(WindowName::DIRECTORY, &name.aggregation, window.start());
        assert!(from <= name.agreed());
    }
}
