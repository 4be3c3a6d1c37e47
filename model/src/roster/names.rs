//! The names of the objects by which two processors agree on a window, and of the one that says that it is done.

use crate::id::AggregationId;
use crate::role::Role;
use crate::time::{BatchTime, Window};
use std::fmt;

/// The directory of rosters, in mailboxes and own buckets.
const ROSTERS: &str = "rosters";
/// The directory of the marks of windows that are done, in the own bucket.
const WINDOWS: &str = "windows";
/// The directory of the marks of windows that passed the scheduler's horizon, in the own bucket.
const GIVEN_UP: &str = "given-up";
/// The suffix of such a mark.
const UNSUMMED: &str = "unsummed";
/// The suffix of an operator's answer to it.
const ACKNOWLEDGED: &str = "acknowledged";
/// The suffix of the batches of a window.
const BATCHES: &str = ".batches";
/// The suffix of releases, before the counts.
const RELEASED: &str = "released";

/// A window of an aggregation, `{agg}/{start}-{end}` with both times as `YYYYMMDDHHMM`, and the names that follow from it.
///
/// ```text
/// rosters/{agg}/{start}-{end}.roster_{i}           a roster of processor i: in its peer's mailbox, and in both own buckets
/// rosters/{agg}/chain                              own bucket: the first window of which we write a roster
/// rosters/{agg}/{start}-{end}.verdicts             own bucket: what the newly listed batches add, sealed
/// rosters/{agg}/{start}-{end}.agreed               own bucket: what both rosters agree on
/// rosters/{agg}/{start}-{end}.counted              own bucket: the packets that the window counts, sealed
/// windows/{agg}/{start}-{end}.batches              own bucket: without rosters, the batches that its task names
/// windows/{agg}/{start}-{end}.held                 own bucket: the sum part waits for an operator's release
/// windows/{agg}/{start}-{end}.released-{n}-of-{m}  own bucket: an operator has released it, n of m packets not counting
/// windows/{agg}/{start}-{end}.done                 own bucket: nothing is left to do for the window
/// given-up/{agg}/{start}-{end}.unsummed            own bucket: it passed the scheduler's horizon without being done
/// given-up/{agg}/{start}-{end}.acknowledged        own bucket: an operator has seen that
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
    /// The directory of the marks of windows that are done.
    pub const DONE_DIRECTORY: &str = WINDOWS;
    /// The directory of the marks of windows that passed the scheduler's horizon.
    pub const GIVEN_UP_DIRECTORY: &str = GIVEN_UP;

    /// The roster of this processor.
    #[must_use]
    pub fn roster(&self, writer: Role) -> String {
        format!("{ROSTERS}/{self}.roster_{}", writer.index())
    }

    /// A second roster of the peer's for the same window, kept as evidence by the first 16 hexadecimal digits of its digest.
    #[must_use]
    pub fn second_roster(&self, writer: Role, digest: &str) -> String {
        format!("{ROSTERS}/{self}.roster_{}.second-{digest}", writer.index())
    }

    /// What the batches that this window's roster lists for the first time add to a sum.
    #[must_use]
    pub fn verdicts(&self) -> String {
        format!("{ROSTERS}/{self}.verdicts")
    }

    /// What both rosters agree on.
    #[must_use]
    pub fn agreed(&self) -> String {
        format!("{ROSTERS}/{self}.agreed")
    }

    /// The identifiers of the packets that the window counts.
    #[must_use]
    pub fn counted(&self) -> String {
        format!("{ROSTERS}/{self}.counted")
    }

    /// That the window passed the scheduler's horizon without being done.
    #[must_use]
    pub fn given_up(&self) -> String {
        format!("{GIVEN_UP}/{self}.{UNSUMMED}")
    }

    /// That an operator has seen that the window was given up.
    #[must_use]
    pub fn acknowledged(&self) -> String {
        format!("{GIVEN_UP}/{self}.{ACKNOWLEDGED}")
    }

    /// Reads the names that [`Self::given_up`] and [`Self::acknowledged`] write, and whether it is the latter; `None` for any
    /// other.
    #[must_use]
    pub fn from_given_up(key: &str) -> Option<(Self, bool)> {
        let (stem, suffix) = key.strip_prefix(GIVEN_UP)?.rsplit_once('.')?;
        let acknowledged = match suffix {
            UNSUMMED => false,
            ACKNOWLEDGED => true,
            _ => return None,
        };
        match RosterObject::parse(&format!("{WINDOWS}{stem}.done"))? {
            (name, RosterObject::Done) => Some((name, acknowledged)),
            _ => None,
        }
    }

    /// Without rosters: the batches that the window's task names, fixed before the task is started.
    #[must_use]
    pub fn batches(&self) -> String {
        format!("{WINDOWS}/{self}{BATCHES}")
    }

    /// Reads the name that [`Self::batches`] writes; `None` for any other.
    #[must_use]
    pub fn from_batches(key: &str) -> Option<Self> {
        let stem = key.strip_suffix(BATCHES)?;
        match RosterObject::parse(&format!("{stem}.done"))? {
            (name, RosterObject::Done) => Some(name),
            _ => None,
        }
    }

    /// That the window's sum part waits for an operator's release: too many of its packets do not count.
    #[must_use]
    pub fn held(&self) -> String {
        format!("{WINDOWS}/{self}.held")
    }

    /// That an operator has released the window, `rejected` of `messages` packets not counting.
    #[must_use]
    pub fn released(&self, rejected: u64, messages: u64) -> String {
        format!("{WINDOWS}/{self}.{RELEASED}-{rejected}-of-{messages}")
    }

    /// Reads the name that [`Self::released`] writes, whatever the counts; `None` for any other.
    #[must_use]
    pub fn from_released(key: &str) -> Option<Self> {
        let (stem, counts) = key.rsplit_once('.')?;
        let counts = counts.strip_prefix(RELEASED)?.strip_prefix('-')?;
        let (rejected, messages) = counts.split_once("-of-")?;
        let (rejected, messages) = (rejected.parse().ok()?, messages.parse().ok()?);
        match RosterObject::parse(&format!("{stem}.done"))? {
            (name, RosterObject::Done) if name.released(rejected, messages) == key => Some(name),
            _ => None,
        }
    }

    /// That nothing is left to do for the window: its sum part is published, or it has none.
    #[must_use]
    pub fn done(&self) -> String {
        format!("{WINDOWS}/{self}.done")
    }
}

/// The object that says with which window our rosters of an aggregation begin, in the own bucket.
#[must_use]
pub fn chain(aggregation: &AggregationId) -> String {
    format!("{ROSTERS}/{aggregation}/chain")
}

/// What an object below `rosters/` or `windows/` is, by its name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RosterObject {
    /// A roster of this processor.
    Roster(Role),
    /// Sealed verdicts.
    Verdicts,
    /// What is agreed.
    Agreed,
    /// Sealed identifiers of counted packets.
    Counted,
    /// The sum part waits for an operator's release.
    Held,
    /// Nothing is left to do.
    Done,
}

impl RosterObject {
    /// Reads the name of an object; `None` for any that is none of these, evidence included.
    #[must_use]
    pub fn parse(key: &str) -> Option<(WindowName, Self)> {
        let (directory, rest) = key.split_once('/')?;
        let (aggregation, file) = rest.split_once('/')?;
        let (window, suffix) = file.split_once('.')?;
        let (start, end) = window.split_once('-')?;
        let time = |text| BatchTime::from_compact(text).ok();
        let name = WindowName {
            aggregation: aggregation.parse().ok()?,
            window: Window::new(time(start)?, time(end)?).ok()?,
        };
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

    /// The first key, in the listing of an aggregation below [`WindowName::DIRECTORY`] or [`WindowName::DONE_DIRECTORY`],
    /// of a window that starts at or after `start`.
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
        let window = Window::new("2023/11/14/22/00".parse().unwrap(), "2023/11/14/23/00".parse().unwrap()).unwrap();
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
            (name.roster(Role::Second), RosterObject::Roster(Role::Second)),
            (name.verdicts(), RosterObject::Verdicts),
            (name.agreed(), RosterObject::Agreed),
            (name.counted(), RosterObject::Counted),
            (name.done(), RosterObject::Done),
            (name.held(), RosterObject::Held),
        ] {
            assert_eq!(RosterObject::parse(&key), Some((name.clone(), what)), "{key}");
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
        assert_eq!(WindowName::from_batches(&name.batches()), Some(name.clone()));
        assert_eq!(WindowName::from_batches(&name.done()), None);
        assert_eq!(RosterObject::parse(&name.batches()), None);
        assert_eq!(WindowName::from_given_up(&name.given_up()), Some((name.clone(), false)));
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
