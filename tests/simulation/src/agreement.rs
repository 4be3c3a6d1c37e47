//! The audit of agreement: both processors agree on the same sets, every batch has exactly one
//! outcome, and it is summed as soon as both sides can sum it.

use std::collections::{BTreeMap, BTreeSet};

use tallybox_model::id::{AggregationId, BatchId};
use tallybox_model::path::BatchName;
use tallybox_model::role::Role;
use tallybox_model::roster::{AgreedWindow, DatedBatch, RosterObject, WindowName};
use tallybox_model::time::{BatchTime, Window, aligned_window};

use crate::bucket::StoredBucket;
use crate::evidence::{Batches, objects};
use crate::machine::Storage;
use crate::pool::Pool;
use crate::scenario::{PERIOD_MINUTES, Scenario};
use crate::schedule::{Millis, Schedule};
use crate::time::HOUR_MILLIS;
use crate::violations::Violations;

/// The time before the writing of a roster by which an object has to exist for the roster to
/// contain it. The margin covers stale listings and slow processors.
const ROSTER_MARGIN_MILLIS: Millis = 2 * HOUR_MILLIS;

/// The outcome of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchStatus {
    /// The batch was summed in this window.
    Summed(Window),
    /// The two sides accepted different packets of the batch, and excluded it in this window.
    Excluded(Window),
    /// The batch reached its maximum age in this window without being summed.
    Expired(Window),
}

impl BatchStatus {
    fn window(self) -> Window {
        match self {
            Self::Summed(window) | Self::Excluded(window) | Self::Expired(window) => window,
        }
    }
}

/// The records about windows in one processor's own bucket.
#[derive(Debug, Default)]
struct ProcessorState {
    rosters: BTreeSet<WindowName>,
    agreed: BTreeMap<WindowName, AgreedWindow>,
    done: BTreeSet<WindowName>,
    held: BTreeSet<WindowName>,
}

/// The result of the agreement of both processors.
#[derive(Debug, Default)]
pub struct AgreementAudit {
    /// The agreed sets of all windows, by aggregation and window.
    pub windows: BTreeMap<WindowName, AgreedWindow>,
    /// The outcome of each batch of windows with rosters.
    pub statuses: BTreeMap<BatchName, BatchStatus>,
    /// Windows of which a processor holds the sum part, because its peer has ruled out too many
    /// packets.
    pub held: BTreeSet<WindowName>,
    /// Aggregations of which the two sides have read different rosters, with the first such window.
    pub split: BTreeMap<AggregationId, Window>,
    /// Batches about which the two sides may legitimately disagree.
    pub doubtful: BTreeSet<BatchId>,
}

impl ProcessorState {
    async fn read(bucket: &StoredBucket, role: Role, problems: &mut Vec<String>) -> Self {
        let mut state = Self::default();
        for (key, bytes) in objects(bucket).await {
            let Some((name, what)) = RosterObject::parse(&key) else {
                continue;
            };
            match what {
                RosterObject::Roster(writer) if writer == role => drop(state.rosters.insert(name)),
                RosterObject::Done => drop(state.done.insert(name)),
                RosterObject::Held => drop(state.held.insert(name)),
                RosterObject::Agreed => match serde_json::from_slice(&bytes) {
                    Ok(agreed) => drop(state.agreed.insert(name, agreed)),
                    Err(error) => problems.push(format!("{role}: {key}: {error}")),
                },
                _ => {}
            }
        }
        state
    }
}

/// Checks all agreed sets, and returns them with the outcomes of batches.
pub async fn audit_agreement(
    scenario: &Scenario,
    storage: &Storage,
    schedule: &Schedule,
    (batches, violations): (&Batches, &Violations),
    problems: &mut Vec<String>,
) -> AgreementAudit {
    // Of a batch under two dates, each side accepts the date that it read first, so there may be no
    // date that both accept.
    let doubtful = violations.doubtful();
    let mut audit = AgreementAudit::default();
    let Some(from) = scenario.rosters_from() else {
        audit.doubtful = doubtful;
        return audit;
    };
    let mut states = Vec::new();
    for role in Role::ALL {
        states.push(ProcessorState::read(&storage.own[role.index()], role, problems).await);
    }
    let mut names: BTreeSet<&WindowName> = BTreeSet::new();
    for state in &states {
        names.extend(state.rosters.iter().chain(state.agreed.keys()));
    }
    // The agreement on the last windows may be incomplete when the run ends.
    let complete_until = scenario.end() - 3 * HOUR_MILLIS;
    let split = violations.split(storage);
    for (role, state) in Role::ALL.into_iter().zip(&states) {
        check_summed_once(&state.agreed, role, problems);
    }
    for name in names
        .into_iter()
        .filter(|name| name.window.end().millis() < complete_until)
    {
        // From this window on, the sides have read different rosters. The portal detects this from
        // the sum parts.
        if split
            .get(&name.aggregation)
            .is_some_and(|from| *from <= name.window)
        {
            schedule.count("windows-split-by-a-liar");
            continue;
        }
        match [&states[0], &states[1]].map(|state| state.agreed.get(name)) {
            [Some(first), Some(second)] if first == second => {
                audit.windows.insert(name.clone(), first.clone());
            }
            [Some(first), Some(second)] => problems.push(format!(
                "{name}: the sides have agreed on different sets: {} and {}",
                set(first),
                set(second)
            )),
            [None, None] => problems.push(format!(
                "{name}: stuck: a roster exists, but no side has agreed"
            )),
            [first, second] => {
                let which = if first.is_none() {
                    Role::First
                } else {
                    Role::Second
                };
                // A side whose first roster is of a later window lists nothing before it, and has
                // nothing to agree on.
                let later = states[which.index()]
                    .rosters
                    .range(name..)
                    .find(|later| later.aggregation == name.aggregation);
                let starts_later = later.is_some() && !states[which.index()].rosters.contains(name);
                let decides_any = first
                    .or(second)
                    .is_some_and(|agreed| agreed.settled().next().is_some());
                if !starts_later || decides_any {
                    problems.push(format!(
                        "{name}: stuck: the {which} processor has not agreed"
                    ));
                }
            }
        }
        for role in Role::ALL {
            let state = &states[role.index()];
            if state.held.contains(name) {
                schedule.count("windows-held");
                audit.held.insert(name.clone());
            } else if state.agreed.contains_key(name) && !state.done.contains(name) {
                problems.push(format!(
                    "{name}: stuck: the {role} processor has agreed, but is not done"
                ));
            }
        }
    }
    let mut unsplit = batches.clone();
    unsplit.retain(|batch, _| !split.contains_key(&batch.aggregation));
    audit.split.clone_from(&split);
    audit.determine_statuses(
        (scenario, storage),
        &unsplit,
        from,
        (
            violations,
            &unlisted(scenario, storage, violations, &states),
        ),
        problems,
    );
    let certain = |batch: &BatchName| {
        !doubtful.contains(&batch.id) && !violations.delayed(&batch.aggregation)
    };
    audit.check_promptness((scenario, storage), &unsplit, certain, problems);
    audit.doubtful = doubtful;
    audit.count_events(schedule);
    audit
}

impl AgreementAudit {
    /// Determines the outcome of every batch, and verifies that it has exactly one.
    fn determine_statuses(
        &mut self,
        (scenario, storage): (&Scenario, &Storage),
        batches: &Batches,
        from: BatchTime,
        (violations, unlisted): (&Violations, &BTreeSet<&BatchName>),
        problems: &mut Vec<String>,
    ) {
        let doubtful = &violations.doubtful();
        for (name, agreed) in &self.windows {
            let window = name.window;
            let summed = agreed
                .batches
                .iter()
                .map(|entry| (entry.batch, BatchStatus::Summed(window)));
            let excluded = agreed
                .excluded
                .iter()
                .map(|batch| (*batch, BatchStatus::Excluded(window)));
            let expired = agreed
                .expired
                .iter()
                .map(|expired| (expired.batch, BatchStatus::Expired(window)));
            for (batch, status) in summed.chain(excluded).chain(expired) {
                let batch = named(&name.aggregation, batch);
                if let Some(before) = self.statuses.insert(batch.clone(), status) {
                    problems.push(format!(
                        "batch {batch} has two outcomes: {before:?} and {status:?}"
                    ));
                }
                if batch.date < from {
                    problems.push(format!(
                        "batch {batch} is listed, but dates from before the first window with rosters"
                    ));
                }
            }
        }
        for batch in batches.keys().filter(|batch| batch.date >= from) {
            // A copy under another date shares the outcome of the original batch.
            let has_status = self.statuses.keys().any(|other| {
                other == batch || (doubtful.contains(&batch.id) && other.id == batch.id)
            });
            if !has_status && !unlisted.contains(batch) && !far_too_late(scenario, storage, batch) {
                problems.push(format!(
                    "batch {batch} is lost: it is neither summed nor excluded nor expired"
                ));
            }
        }
        for (batch, status) in &self.statuses {
            if !doubtful.contains(&batch.id) && matches!(status, BatchStatus::Excluded(_)) {
                problems.push(format!(
                    "batch {batch} is excluded, although no party tampered with it"
                ));
            }
            let is_genuine =
                batches.contains_key(batch) || self.split.contains_key(&batch.aggregation);
            if !is_genuine && matches!(status, BatchStatus::Summed(_)) {
                problems.push(format!(
                    "batch {batch} is summed, but is not a batch of the ingestor"
                ));
            }
            if !is_genuine && !violations.is_false_entry(batch) {
                problems.push(format!(
                    "batch {batch} has the outcome {status:?}, but no ingestor signed it"
                ));
            }
            let age = scenario.maximum_age[0].min(scenario.maximum_age[1]);
            if let BatchStatus::Expired(window) = status
                && scenario.off.is_none()
                && age_in(batch.date, *window).is_some_and(|found| found < age)
            {
                problems.push(format!(
                    "batch {batch} expired in {window}, before it reached the maximum age of {age} windows"
                ));
            }
        }
    }

    /// Verifies that a batch whose objects both sides had well before they wrote their rosters of a
    /// window is summed in that window at the latest, provided that all such batches together have
    /// enough packets.
    fn check_promptness(
        &self,
        (scenario, storage): (&Scenario, &Storage),
        batches: &Batches,
        certain: impl Fn(&BatchName) -> bool,
        problems: &mut Vec<String>,
    ) {
        let minimum = scenario.minimum[0].max(scenario.minimum[1]);
        for name in self.windows.keys() {
            let Some(limits) = roster_times(storage, name) else {
                continue;
            };
            let held = |batch: &&BatchName| {
                let status = self.statuses.get(*batch).map(|status| status.window());
                batch.aggregation == name.aggregation
                    && certain(batch)
                    && status.is_some_and(|status| status >= name.window)
                    && aligned_window(batch.date, PERIOD_MINUTES)
                        .is_some_and(|own| own <= name.window)
                    && is_held(scenario, storage, batch, limits)
            };
            let held: Vec<&BatchName> = batches.keys().filter(held).collect();
            let packets: BTreeSet<usize> = held
                .iter()
                .flat_map(|batch| &batches[*batch])
                .copied()
                .collect();
            let before: BTreeSet<usize> = self.counted_before(name, batches, |_| true);
            let counted = packets
                .difference(&before)
                .filter(|report| Pool::get().report(**report).counts);
            if (counted.count() as u64) < minimum {
                continue;
            }
            for batch in held {
                let good = batches[batch]
                    .iter()
                    .any(|report| Pool::get().report(*report).counts);
                if good && self.statuses.get(batch) != Some(&BatchStatus::Summed(name.window)) {
                    let status = self.statuses.get(batch);
                    problems.push(format!(
                        "batch {batch} could be summed in {}, but its outcome is {status:?}",
                        name.window
                    ));
                }
            }
        }
    }

    /// Returns the reports that the windows before this one count, from the batches for which
    /// `wanted` is true.
    pub fn counted_before(
        &self,
        name: &WindowName,
        batches: &Batches,
        wanted: impl Fn(&BatchName) -> bool,
    ) -> BTreeSet<usize> {
        let earlier = self.statuses.iter().filter(|(batch, status)| {
            let is_earlier = matches!(status, BatchStatus::Summed(window) if *window < name.window);
            is_earlier && batch.aggregation == name.aggregation && wanted(batch)
        });
        let reports = earlier
            .filter_map(|(batch, _)| batches.get(batch))
            .flatten()
            .copied();
        reports
            .filter(|report| Pool::get().report(*report).counts)
            .collect()
    }

    fn count_events(&self, schedule: &Schedule) {
        for status in self.statuses.values() {
            schedule.count(match status {
                BatchStatus::Summed(_) => "settled-summed",
                BatchStatus::Excluded(_) => "settled-excluded",
                BatchStatus::Expired(_) => "settled-expired",
            });
        }
        let later = self
            .statuses
            .iter()
            .filter(|(batch, status)| matches!(status, BatchStatus::Summed(window) if !window.contains(batch.date)));
        schedule.count_many("summed-later", later.count() as u64);
        for agreed in self.windows.values() {
            schedule.count("windows-agreed");
            if agreed.batches.is_empty() {
                schedule.count("windows-agreed-empty");
            }
            if agreed.below_minimum.is_some() {
                schedule.count("windows-below-minimum");
            }
            let duplicates = agreed.batches.iter().map(|batch| batch.duplicates).sum();
            schedule.count_many("duplicate-packets", duplicates);
        }
    }
}

/// Verifies that a processor never agrees to sum a batch twice, regardless of what its peer did.
fn check_summed_once(
    agreed: &BTreeMap<WindowName, AgreedWindow>,
    role: Role,
    problems: &mut Vec<String>,
) {
    let mut summed: BTreeSet<(&AggregationId, BatchId)> = BTreeSet::new();
    for (name, agreed) in agreed {
        for entry in &agreed.batches {
            if !summed.insert((&name.aggregation, entry.batch.id)) {
                problems.push(format!(
                    "the {role} processor has agreed to sum batch {} twice",
                    entry.batch
                ));
            }
        }
    }
}

/// Formats an agreed set in one line.
fn set(agreed: &AgreedWindow) -> String {
    let AgreedWindow {
        batches,
        excluded,
        expired,
        below_minimum,
        ..
    } = agreed;
    let summed = batches.iter().map(|entry| {
        let (accepted, duplicates) = (entry.claim.accepted, entry.duplicates);
        format!("{}: {accepted} less {duplicates}", entry.batch)
    });
    let excluded = excluded.iter().map(|batch| format!("{batch}: excluded"));
    let expired = expired
        .iter()
        .map(|expired| format!("{}: {:?}", expired.batch, expired.last_statuses));
    let all: Vec<String> = summed.chain(excluded).chain(expired).collect();
    format!("[{}], below minimum {below_minimum:?}", all.join(", "))
}

fn named(aggregation: &AggregationId, batch: DatedBatch) -> BatchName {
    BatchName {
        aggregation: aggregation.clone(),
        date: batch.date,
        id: batch.id,
    }
}

/// Returns the age of a batch in a window: the number of windows since its own.
fn age_in(date: BatchTime, window: Window) -> Option<u32> {
    let own = aligned_window(date, PERIOD_MINUTES)?;
    u32::try_from((window.start().millis() - own.start().millis()) / HOUR_MILLIS).ok()
}

/// Returns whether a batch arrived too late for any roster to list it. Rosters look back twice the
/// maximum age.
fn far_too_late(scenario: &Scenario, storage: &Storage, batch: &BatchName) -> bool {
    let age = i64::from(scenario.maximum_age[0].min(scenario.maximum_age[1]));
    let end = batch.date.millis() + 2 * age * HOUR_MILLIS;
    let arrived = storage
        .ingestion
        .iter()
        .filter_map(|bucket| bucket.made_at(&batch.ingestion().signature));
    arrived.min().is_none_or(|arrived| arrived > end)
}

/// Returns the copies of a dishonest ingestor that need not be listed in any roster. A copy that
/// only one side received may be deleted before that side is online again. A copy under a second
/// date is refused at intake; if that happens before the first roster, the mailbox may have deleted
/// the copy by the time of the roster.
fn unlisted<'a>(
    scenario: &Scenario,
    storage: &Storage,
    violations: &'a Violations,
    states: &[ProcessorState],
) -> BTreeSet<&'a BatchName> {
    let Some(retention) = scenario.retention else {
        return BTreeSet::new();
    };
    let begins = |role: Role, aggregation: &AggregationId| {
        let rosters = states[role.index()].rosters.iter();
        let own_rosters = rosters.filter(|name| name.aggregation == *aggregation);
        let times =
            own_rosters.filter_map(|name| storage.own[role.index()].made_at(&name.verdicts()));
        times.min().unwrap_or(Millis::MAX)
    };
    let gone = |batch: &BatchName| {
        Role::ALL.into_iter().all(|role| {
            let arrived = storage.ingestion[role.index()].made_at(&batch.ingestion().signature);
            arrived.is_none_or(|arrived| {
                arrived.saturating_add(retention) < begins(role, &batch.aggregation)
            })
        })
    };
    let copies = violations.copies.iter();
    let unlisted = copies.filter(|copy| {
        copy.sides != [true, true] || (copy.original.id == copy.to.id && gone(&copy.to))
    });
    unlisted.map(|copy| &copy.to).collect()
}

/// Returns, for each side, the time by which it must have had an object for its roster of this
/// window to contain it. The verdicts, from which a roster is made, may be fixed long before the
/// roster is written. `None` if one of the sides fixed no verdicts.
fn roster_times(storage: &Storage, name: &WindowName) -> Option<[Millis; 2]> {
    let time = |role: Role| {
        Some(storage.own[role.index()].made_at(&name.verdicts())? - ROSTER_MARGIN_MILLIS)
    };
    Some([time(Role::First)?, time(Role::Second)?])
}

/// Returns whether both sides had all objects that a verdict on the batch requires.
fn is_held(scenario: &Scenario, storage: &Storage, batch: &BatchName, limits: [Millis; 2]) -> bool {
    Role::ALL.into_iter().all(|role| {
        let (side, limit) = (role.index(), limits[role.index()]);
        let validation = batch.validation(role.peer());
        let prepared = storage.own[side].first_made(&format!("{batch}."), ".prepared");
        let made = |object: &String| storage.validation[side].made_at(object);
        let retention = scenario.retention.unwrap_or(Millis::MAX);
        let is_there =
            |at: Millis| at <= limit && limit + ROSTER_MARGIN_MILLIS < at.saturating_add(retention);
        // A mailbox may have reported that packets or header exist when they did not, and some
        // buckets do not store empty objects. So these two objects may be missing.
        prepared.is_some_and(|at| at <= limit)
            && made(&validation.signature).is_some_and(is_there)
            && [&validation.packets, &validation.header]
                .into_iter()
                .all(|object| made(object).is_none_or(is_there))
    })
}
