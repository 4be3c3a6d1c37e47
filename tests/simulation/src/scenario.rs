//! The parameters of a run, which follow from the seed: its size, its faults, and the reports with
//! their times.

use std::collections::BTreeSet;
use std::fmt;

use tallybox_model::extensions::first_window;
use tallybox_model::role::Role;
use tallybox_model::time::{BatchTime, Window};

use crate::dice::Dice;
use crate::pool::{METRICS, Pool};
use crate::schedule::Millis;
use crate::time::{HOUR_MILLIS, MINUTE_MILLIS, clock};
use crate::trouble::Trouble;

/// The virtual time at which every run starts.
const START_DATE: &str = "2026/11/23/10/00";
/// The length of all windows, of the ingestor and of the aggregations, in minutes.
pub const PERIOD_MINUTES: u32 = 60;
/// The grace period between the end of a window and its roster, in minutes.
pub const GRACE_MINUTES: u32 = 20;
/// The time after a window's end, in minutes, at which it is summed without the batches that one
/// side cannot take in.
pub const LEAVE_OUT_AFTER_MINUTES: u32 = 120;
/// The maximum number of entries of a roster that a processor reads.
pub const MAX_ROSTER_ENTRIES: u64 = 512;
/// The replay horizon, in windows.
pub const REPLAY_HORIZON_WINDOWS: u32 = 60;

/// The changes of a run. A person who repeats a failing seed, or the shrinking, uses them to
/// find out which parts of the run matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cuts {
    /// Faults that do not happen.
    pub without: BTreeSet<Trouble>,
    /// Faults that happen in any case.
    pub with: BTreeSet<Trouble>,
    /// The maximum number of windows with reports.
    pub windows: Option<usize>,
    /// The maximum number of aggregations.
    pub metrics: Option<usize>,
}

/// A slab of accepted reports.
#[derive(Clone, Debug)]
pub struct Slab {
    /// The time at which the slab is written to the spool.
    pub at: Millis,
    /// The window in its name.
    pub window: BatchTime,
    /// The reports in it, by their numbers in the pool.
    pub reports: Vec<usize>,
}

/// The times at which each party starts to use its second key.
#[derive(Clone, Debug)]
pub struct Rotation {
    /// The time from which clients seal to the new packet keys.
    pub clients: Millis,
    /// The time from which each processor has its new packet keys.
    pub holds: [Millis; 2],
    /// The time from which each processor signs with its new key.
    pub signs: [Millis; 2],
    /// The time from which each processor seals with its new key.
    pub seals: [Millis; 2],
    /// The time from which the ingestor signs with its new key.
    pub ingestor: Millis,
}

/// The parameters of one run.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The seed, from which everything else follows.
    pub seed: u64,
    /// The reductions that were applied.
    pub cuts: Cuts,
    /// The faults of the run.
    pub troubles: BTreeSet<Trouble>,
    /// The number of windows with reports.
    pub windows: usize,
    /// The number of aggregations.
    pub metrics: usize,
    /// The slabs that are written to the spool.
    pub slabs: Vec<Slab>,
    /// The minimum and the maximum number of packets of a batch.
    pub batch_packets: (u64, u64),
    /// The number of windows for which reports that are too few for a batch are carried over.
    pub carry: u32,
    /// The bytes of slabs per partition of the ingestor's batch job.
    pub partition_bytes: u64,
    /// The minimum number of accepted packets of a sum part, as each processor configures it.
    pub minimum: [u64; 2],
    /// The fraction of packets ruled out by the peer above which a sum part is held.
    pub maximum_rejected_share: f64,
    /// The times of the key rotation, if there is one.
    pub rotation: Option<Rotation>,
    /// A processor whose packet key file contains another key, with the start and the end of that
    /// period.
    pub wrong_key: Option<(Role, Millis, Millis)>,
    /// A processor that is offline, with the start and the end of that period.
    pub down: Option<(Role, Millis, Millis)>,
    /// The processor whose operations are slow.
    pub slow: Option<Role>,
    /// The time from which each processor announces that it supports rosters.
    pub since: [Option<BatchTime>; 2],
    /// The processor that withdraws its announcement, and the time at which it does.
    pub off: Option<(Role, Millis)>,
    /// The maximum age of a batch as each processor configures it: the number of windows after its
    /// own in which the batch may be summed.
    pub maximum_age: [u32; 2],
    /// The age at which mailboxes delete objects.
    pub retention: Option<Millis>,
}

impl Scenario {
    /// Derives the scenario of a seed, and applies the reductions.
    #[must_use]
    pub fn new(seed: u64, cuts: &Cuts) -> Self {
        let mut dice = Dice::new(seed, "scenario");
        let mut troubles = BTreeSet::new();
        // One run in four has no faults; the others have few or many.
        let chance = *dice.pick(&[0, 200, 400, 700]).unwrap_or(&400);
        for trouble in Trouble::all() {
            let mut own = trouble
                .has_own_dice()
                .then(|| Dice::new(seed, &trouble.to_string()));
            let needs = trouble.needs();
            let chance = match needs {
                [] => chance * trouble.share() / 1000,
                _ if needs.iter().any(|needed| troubles.contains(needed)) => trouble.share(),
                _ => 0,
            };
            // The draw is made in any case, because the later ones depend on it.
            let happens =
                own.as_mut().unwrap_or(&mut dice).chance(chance) || cuts.with.contains(&trouble);
            let all = [Some(trouble), trouble.brings()];
            if happens
                && all
                    .iter()
                    .flatten()
                    .all(|trouble| !cuts.without.contains(trouble))
            {
                troubles.extend(all.into_iter().flatten());
            }
        }
        let windows = dice.size(4, 7).min(cuts.windows.unwrap_or(usize::MAX));
        let metrics = dice
            .size(1, METRICS.len())
            .min(cuts.metrics.unwrap_or(usize::MAX));
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
            // In a batch of a few packets, one hostile report can be half of the packets. No
            // operator releases held sum parts in a run, so the limit is high.
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

    /// Returns whether the run has this fault.
    #[must_use]
    pub fn has(&self, trouble: Trouble) -> bool {
        self.troubles.contains(&trouble)
    }

    /// Returns the scheduling horizon in minutes: the age of a window, from its start, up to which
    /// a workflow manager still completes it.
    #[must_use]
    pub fn horizon_minutes(&self) -> u32 {
        if self.has(Trouble::ShortHorizon) {
            6 * 60
        } else {
            4 * 24 * 60
        }
    }

    /// Returns whether a window ends before the first window with rosters starts.
    #[must_use]
    pub fn is_without_rosters(&self, window: Window) -> bool {
        self.rosters_from().is_none_or(|from| window.end() <= from)
    }

    /// Returns the start of the run.
    #[must_use]
    pub fn start(&self) -> Millis {
        START_DATE.parse::<BatchTime>().map_or(0, BatchTime::millis)
    }

    /// Returns the end of the last window with reports.
    #[must_use]
    pub fn last_window_ends(&self) -> Millis {
        self.start() + self.windows as i64 * HOUR_MILLIS
    }

    /// Returns the time at which the faults stop.
    #[must_use]
    pub fn faults_end(&self) -> Millis {
        let down = self.down.map_or(0, |(_, _, until)| until);
        let wrong_key = self.wrong_key.map_or(0, |(_, _, until)| until);
        (self.last_window_ends() + 2 * HOUR_MILLIS)
            .max(down)
            .max(wrong_key)
    }

    /// Returns the time from which no process starts a step: some hours after the last window that
    /// can contain the last batch.
    #[must_use]
    pub fn end(&self) -> Millis {
        let late = if self.has(Trouble::LateReports) { 3 } else { 1 };
        let copied = if self.has(Trouble::Copies) { 2 } else { 0 };
        let age = i64::from(self.maximum_age[0].max(self.maximum_age[1])) + 1;
        let last =
            self.last_window_ends() + (late + copied + i64::from(self.carry) + age) * HOUR_MILLIS;
        // A processor that was offline for days has many windows to complete.
        let missed = self.down.map_or(0, |(_, from, until)| until - from);
        last.max(self.faults_end() + missed / 3) + 5 * HOUR_MILLIS
    }

    /// Returns the start of the first window for which both processors use rosters, if they do.
    #[must_use]
    pub fn rosters_from(&self) -> Option<BatchTime> {
        let since = self.since[0]?.max(self.since[1]?);
        first_window(since, PERIOD_MINUTES).map(|window| window.start())
    }

    fn rosters(&mut self, dice: &mut Dice) {
        let start = BatchTime::of_clock(self.start());
        let mut since = [start; 2];
        if self.has(Trouble::LateSwitch) {
            let later =
                |dice: &mut Dice| start.plus_minutes(dice.between(150, 300)).unwrap_or(start);
            since = [later(dice), later(dice)];
        }
        self.since = since.map(Some);
        if self.has(Trouble::NoExtension) {
            self.since[dice.size(0, 1)] = None;
        }
        let role = if dice.chance(500) {
            Role::First
        } else {
            Role::Second
        };
        let at = self.start() + dice.between(2 * HOUR_MILLIS, 6 * HOUR_MILLIS);
        // A processor that is offline during the other's announcement would never learn of it, so a
        // run does not have both faults.
        self.off =
            (self.has(Trouble::ExtensionOff) && !self.has(Trouble::Down)).then_some((role, at));
        let age = u32::try_from(dice.between(2, 5)).unwrap_or(3);
        let other = if dice.chance(350) { age + 1 } else { age };
        self.maximum_age = [age, other];
        let repair = dice.between(2, 4);
        let longest = i64::from(age.max(other)) + repair + 1;
        self.retention = self
            .has(Trouble::Retention)
            .then_some(longest * HOUR_MILLIS);
    }

    fn rotation(&self, dice: &mut Dice) -> Option<Rotation> {
        let within =
            |dice: &mut Dice| self.start() + dice.between(0, self.windows as i64 * HOUR_MILLIS);
        let clients = within(dice);
        // One processor may receive its new key late; the packets sealed to that key wait.
        let mut late = [-HOUR_MILLIS; 2];
        if dice.chance(500) {
            late[dice.size(0, 1)] = dice.between(0, 2 * HOUR_MILLIS);
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
        let role = if dice.chance(500) {
            Role::First
        } else {
            Role::Second
        };
        let from = self.start() + dice.between(0, 2 * HOUR_MILLIS);
        let until = from + dice.between(HOUR_MILLIS, 3 * HOUR_MILLIS);
        // During a rotation, a batch may contain packets sealed to both keys, and lose those of
        // only one key. This cannot be distinguished from invalid packets, so a run does not have
        // both faults.
        (self.has(Trouble::WrongKey) && !self.has(Trouble::Rotation)).then_some((role, from, until))
    }

    fn down(&self, dice: &mut Dice) -> Option<(Role, Millis, Millis)> {
        let role = if dice.chance(500) {
            Role::First
        } else {
            Role::Second
        };
        let from = self.start() + dice.between(0, self.windows as i64 * HOUR_MILLIS);
        let long = if dice.chance(150) { 40 } else { 5 };
        let until = from + dice.between(HOUR_MILLIS, long * HOUR_MILLIS);
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
            let start = self.start() + window as i64 * HOUR_MILLIS;
            for _ in 0..dice.size(1, 3) {
                let begun = start + dice.between(0, HOUR_MILLIS - MINUTE_MILLIS);
                let mut reports = Vec::new();
                for metric in 0..self.metrics {
                    // Some clients still use the old configuration after the key rotation.
                    let changed = self
                        .rotation
                        .as_ref()
                        .is_some_and(|rotation| rotation.clients <= begun);
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
                let (repeats, times) = (dice.chance(400), dice.size(1, 3));
                let replays: Vec<usize> = (0..times)
                    .filter_map(|_| dice.pick(&given).copied())
                    .collect();
                if repeats && self.has(Trouble::Replays) {
                    reports.extend(replays);
                }
                let (late, long) = (dice.chance(300), dice.between(0, 3 * HOUR_MILLIS));
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
            "{} windows, {} aggregations, batches of {} to {}, minimum {:?}, maximum age {:?}, {}; faults: {}",
            self.windows,
            self.metrics,
            self.batch_packets.0,
            self.batch_packets.1,
            self.minimum,
            self.maximum_age,
            self.rosters_from()
                .map_or("no rosters".to_owned(), |from| format!(
                    "rosters from {from}"
                )),
            troubles.join(" ")
        )?;
        if let Some((role, from, until)) = self.down {
            write!(f, "; {role} offline {} to {}", clock(from), clock(until))?;
        }
        Ok(())
    }
}

fn shuffled(mut numbers: Vec<usize>, dice: &mut Dice) -> Vec<usize> {
    for index in (1..numbers.len()).rev() {
        numbers.swap(index, dice.size(0, index));
    }
    numbers
}
