//! What a seed makes happen: how large the world is, which troubles it has, who reports what and when.

use std::collections::BTreeSet;
use std::fmt;

use tallybox_model::extensions::first_window;
use tallybox_model::role::Role;
use tallybox_model::time::{BatchTime, Window};

use crate::dice::Dice;
use crate::pool::{METRICS, Pool};
use crate::schedule::Millis;
use crate::time::{HOUR, MINUTE, clock};
use crate::trouble::Trouble;

/// When every run begins.
const START: &str = "2026/11/23/10/00";
/// Length of the windows, both of the ingestor and of the aggregations, in minutes.
pub const PERIOD: u32 = 60;
/// How long after a window's end it is closed, in minutes.
pub const GRACE: u32 = 20;
/// How long after a window's end its sum is made without the batches that one side cannot take in, in minutes.
pub const LEAVE_OUT_AFTER: u32 = 120;
/// The most entries of a roster that is read.
pub const ROSTER_ENTRIES: u64 = 512;
/// For how many windows a packet is remembered.
pub const HORIZON: u32 = 60;

/// What somebody who replays a seed takes away from it, to find out what matters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cuts {
    /// Troubles that do not happen.
    pub without: BTreeSet<Trouble>,
    /// At most so many windows of reports.
    pub windows: Option<usize>,
    /// At most so many aggregations.
    pub metrics: Option<usize>,
}

/// A slab that reaches the spool.
#[derive(Clone, Debug)]
pub struct Slab {
    /// When.
    pub at: Millis,
    /// The window in its name.
    pub window: BatchTime,
    /// The reports in it, by their numbers in the pool.
    pub reports: Vec<usize>,
}

/// When something happens to keys.
#[derive(Clone, Debug)]
pub struct Rotation {
    /// From when on clients seal to the new packet keys.
    pub clients: Millis,
    /// From when on each processor holds its new packet key.
    pub holds: [Millis; 2],
    /// From when on each processor signs with its new key.
    pub signs: [Millis; 2],
    /// From when on each processor seals with its new key.
    pub seals: [Millis; 2],
    /// From when on the ingestor signs with its new key.
    pub ingestor: Millis,
}

/// A world that is about to happen.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// What all follows from.
    pub seed: u64,
    /// What was taken away.
    pub cuts: Cuts,
    /// Its troubles.
    pub troubles: BTreeSet<Trouble>,
    /// How many windows have reports.
    pub windows: usize,
    /// How many aggregations.
    pub metrics: usize,
    /// What reaches the spool.
    pub slabs: Vec<Slab>,
    /// The smallest and the largest batch.
    pub batch_packets: (u64, u64),
    /// How many windows reports wait to be enough for a batch.
    pub carry: u32,
    /// Bytes of slabs for each partition.
    pub partition_bytes: u64,
    /// The fewest packets of a sum part, as each processor has it.
    pub minimum: [u64; 2],
    /// Above which share of packets that the peer rules out a sum part is held.
    pub maximum_rejected_share: f64,
    /// When keys change.
    pub rotation: Option<Rotation>,
    /// A processor whose packet key's file holds another key, from when, until when.
    pub wrong_key: Option<(Role, Millis, Millis)>,
    /// A processor that is switched off, from when, until when.
    pub down: Option<(Role, Millis, Millis)>,
    /// Whose operations are slow.
    pub slow: Option<Role>,
    /// From when on each processor says that it can do rosters.
    pub since: [Option<BatchTime>; 2],
    /// Who takes that back, and when.
    pub off: Option<(Role, Millis)>,
    /// In how many windows after its own a batch may be summed, as each processor has it.
    pub maximum_age: [u32; 2],
    /// How long mailboxes keep what is in them.
    pub retention: Option<Millis>,
}

impl Scenario {
    /// The scenario of a seed, less what is cut away.
    #[must_use]
    pub fn new(seed: u64, cuts: &Cuts) -> Self {
        let mut dice = Dice::new(seed, "scenario");
        let mut troubles = BTreeSet::new();
        // A quiet world now and then, a rough one more often.
        let chance = *dice.pick(&[0, 200, 400, 700]).unwrap_or(&400);
        for trouble in Trouble::all() {
            let mut own = trouble.has_own_dice().then(|| Dice::new(seed, &trouble.to_string()));
            let needs = trouble.needs();
            let chance = match needs {
                [] => chance * trouble.share() / 1000,
                _ if needs.iter().any(|needed| troubles.contains(needed)) => trouble.share(),
                _ => 0,
            };
            let happens = own.as_mut().unwrap_or(&mut dice).chance(chance);
            let all = [Some(trouble), trouble.brings()];
            if happens && all.iter().flatten().all(|trouble| !cuts.without.contains(trouble)) {
                troubles.extend(all.into_iter().flatten());
            }
        }
        let windows = dice.size(4, 7).min(cuts.windows.unwrap_or(usize::MAX));
        let metrics = dice.size(1, METRICS.len()).min(cuts.metrics.unwrap_or(usize::MAX));
        let low = dice.between(1, 3).unsigned_abs();
        let batch_packets = (low, low + dice.between(2, 4).unsigned_abs());
        let minimum = dice.between(1, 6).unsigned_abs();
        let other = if dice.chance(200) {
            dice.between(1, 6).unsigned_abs()
        } else {
            minimum
        };
        let mut scenario = Self {
            seed,
            cuts: cuts.clone(),
            windows,
            metrics,
            slabs: Vec::new(),
            batch_packets,
            carry: u32::try_from(dice.below(3)).unwrap_or(0),
            partition_bytes: 400 + dice.below(4000),
            minimum: [minimum, other],
            // Batches of a few packets lose half of them to one hostile report; nobody is there to release them.
            maximum_rejected_share: if troubles.contains(&Trouble::Choosing) {
                0.6
            } else {
                1.0
            },
            rotation: None,
            wrong_key: None,
            down: None,
            slow: None,
            since: [None; 2],
            off: None,
            maximum_age: [3; 2],
            retention: None,
            troubles,
        };
        scenario.rosters(&mut Dice::new(seed, "rosters"));
        scenario.rotation = scenario.rotation(&mut Dice::new(seed, "rotation"));
        scenario.wrong_key = scenario.wrong_key(&mut Dice::new(seed, "wrong-key"));
        scenario.slabs = scenario.slabs(&mut Dice::new(seed, "slabs"));
        scenario.down = scenario.down(&mut Dice::new(seed, "down"));
        let mut dice = Dice::new(seed, "slow");
        scenario.slow = Role::ALL
            .into_iter()
            .nth(dice.size(0, 1))
            .filter(|_| scenario.has(Trouble::SlowPeer));
        scenario
    }

    /// Whether it has this trouble.
    #[must_use]
    pub fn has(&self, trouble: Trouble) -> bool {
        self.troubles.contains(&trouble)
    }

    /// How old a window may be, by its start, to be caught up, in minutes.
    #[must_use]
    pub fn horizon_minutes(&self) -> u32 {
        if self.has(Trouble::ShortHorizon) {
            6 * 60
        } else {
            4 * 24 * 60
        }
    }

    /// Whether a window is one without rosters.
    #[must_use]
    pub fn is_without_rosters(&self, window: Window) -> bool {
        self.rosters_from().is_none_or(|from| window.end() <= from)
    }

    /// When it begins.
    #[must_use]
    pub fn start(&self) -> Millis {
        START.parse::<BatchTime>().map_or(0, BatchTime::millis)
    }

    /// When the last window with reports ends.
    #[must_use]
    pub fn last_window_ends(&self) -> Millis {
        self.start() + self.windows as i64 * HOUR
    }

    /// When everything that goes wrong stops.
    #[must_use]
    pub fn calm(&self) -> Millis {
        let down = self.down.map_or(0, |(_, _, until)| until);
        let wrong_key = self.wrong_key.map_or(0, |(_, _, until)| until);
        (self.last_window_ends() + 2 * HOUR).max(down).max(wrong_key)
    }

    /// When nobody starts anything any more: the last batch has had its last window, and some hours more.
    #[must_use]
    pub fn end(&self) -> Millis {
        let late = if self.has(Trouble::LateReports) { 3 } else { 1 };
        let copied = if self.has(Trouble::Copies) { 2 } else { 0 };
        let age = i64::from(self.maximum_age[0].max(self.maximum_age[1])) + 1;
        let last = self.last_window_ends() + (late + copied + i64::from(self.carry) + age) * HOUR;
        // Who was off for days has many windows to catch up.
        let missed = self.down.map_or(0, |(_, from, until)| until - from);
        last.max(self.calm() + missed / 3) + 5 * HOUR
    }

    /// From which window on both processors use rosters, if they do.
    #[must_use]
    pub fn rosters_from(&self) -> Option<BatchTime> {
        let since = self.since[0]?.max(self.since[1]?);
        first_window(since, PERIOD).map(|window| window.start())
    }

    fn rosters(&mut self, dice: &mut Dice) {
        let start = BatchTime::of_clock(self.start());
        let mut since = [start; 2];
        if self.has(Trouble::LateSwitch) {
            let later = |dice: &mut Dice| start.plus_minutes(dice.between(150, 300)).unwrap_or(start);
            since = [later(dice), later(dice)];
        }
        self.since = since.map(Some);
        if self.has(Trouble::NoExtension) {
            self.since[dice.size(0, 1)] = None;
        }
        let role = if dice.chance(500) { Role::First } else { Role::Second };
        let at = self.start() + dice.between(2 * HOUR, 6 * HOUR);
        // A processor that is down when the other says that it can, and up when it does not any more, never learns of it.
        self.off = (self.has(Trouble::ExtensionOff) && !self.has(Trouble::Down)).then_some((role, at));
        let age = u32::try_from(dice.between(2, 5)).unwrap_or(3);
        let other = if dice.chance(350) { age + 1 } else { age };
        self.maximum_age = [age, other];
        let repair = dice.between(2, 4);
        let longest = i64::from(age.max(other)) + repair + 1;
        self.retention = self.has(Trouble::Retention).then_some(longest * HOUR);
    }

    fn rotation(&self, dice: &mut Dice) -> Option<Rotation> {
        let within = |dice: &mut Dice| self.start() + dice.between(0, self.windows as i64 * HOUR);
        let clients = within(dice);
        // One of them may learn of a key late: its packets wait.
        let mut late = [-HOUR; 2];
        if dice.chance(500) {
            late[dice.size(0, 1)] = dice.between(0, 2 * HOUR);
        }
        let rotation = Rotation {
            clients,
            holds: late.map(|late| clients + late),
            signs: [within(dice), within(dice)],
            seals: [within(dice), within(dice)],
            ingestor: within(dice),
        };
        self.has(Trouble::Rotation).then_some(rotation)
    }

    fn wrong_key(&self, dice: &mut Dice) -> Option<(Role, Millis, Millis)> {
        let role = if dice.chance(500) { Role::First } else { Role::Second };
        let from = self.start() + dice.between(0, 2 * HOUR);
        let until = from + dice.between(HOUR, 3 * HOUR);
        // While keys change, a batch of both keys' packets loses those of one of them: nothing tells that from bad packets.
        (self.has(Trouble::WrongKey) && !self.has(Trouble::Rotation)).then_some((role, from, until))
    }

    fn down(&self, dice: &mut Dice) -> Option<(Role, Millis, Millis)> {
        let role = if dice.chance(500) { Role::First } else { Role::Second };
        let from = self.start() + dice.between(0, self.windows as i64 * HOUR);
        let long = if dice.chance(150) { 40 } else { 5 };
        let until = from + dice.between(HOUR, long * HOUR);
        self.has(Trouble::Down).then_some((role, from, until))
    }

    fn slabs(&self, dice: &mut Dice) -> Vec<Slab> {
        let mut slabs = Vec::new();
        let mut given: Vec<usize> = Vec::new();
        let mut fresh: Vec<Vec<usize>> = Vec::new();
        let mut hostile: Vec<Vec<usize>> = Vec::new();
        for metric in 0..self.metrics {
            for epoch in 0..2 {
                fresh.push(shuffled(Pool::get().numbers(metric, epoch, true), dice));
                hostile.push(shuffled(Pool::get().numbers(metric, epoch, false), dice));
            }
        }
        for window in 0..self.windows {
            let start = self.start() + window as i64 * HOUR;
            for _ in 0..dice.size(1, 3) {
                let begun = start + dice.between(0, HOUR - MINUTE);
                let mut reports = Vec::new();
                for metric in 0..self.metrics {
                    // Some clients still have the old configuration after a change of keys.
                    let changed = self.rotation.as_ref().is_some_and(|rotation| rotation.clients <= begun);
                    for _ in 0..dice.size(0, 4) {
                        let epoch = usize::from(changed && dice.chance(800));
                        let from = if dice.chance(150) && self.has(Trouble::Hostile) {
                            &mut hostile
                        } else {
                            &mut fresh
                        };
                        reports.extend(from[2 * metric + epoch].pop());
                    }
                }
                given.extend(&reports);
                let (again, times) = (dice.chance(400), dice.size(1, 3));
                let replays: Vec<usize> = (0..times).filter_map(|_| dice.pick(&given).copied()).collect();
                if again && self.has(Trouble::Replays) {
                    reports.extend(replays);
                }
                let (late, long) = (dice.chance(300), dice.between(0, 3 * HOUR));
                let late = if late && self.has(Trouble::LateReports) {
                    long
                } else {
                    2000
                };
                slabs.push(Slab {
                    at: begun + late,
                    window: BatchTime::of_clock(start),
                    reports,
                });
            }
        }
        slabs.retain(|slab| !slab.reports.is_empty());
        slabs
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let troubles: Vec<String> = self.troubles.iter().map(ToString::to_string).collect();
        write!(
            f,
            "{} windows, {} aggregations, batches of {} to {}, minimum {:?}, maximum age {:?}, {}; troubles: {}",
            self.windows,
            self.metrics,
            self.batch_packets.0,
            self.batch_packets.1,
            self.minimum,
            self.maximum_age,
            self.rosters_from()
                .map_or("no rosters".to_owned(), |from| format!("rosters from {from}")),
            troubles.join(" ")
        )?;
        if let Some((role, from, until)) = self.down {
            write!(f, "; {role} down {} to {}", clock(from), clock(until))?;
        }
        Ok(())
    }
}

fn shuffled(mut numbers: Vec<usize>, dice: &mut Dice) -> Vec<usize> {
    for place in (1..numbers.len()).rev() {
        numbers.swap(place, dice.size(0, place));
    }
    numbers
}
