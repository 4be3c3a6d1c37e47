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
use crate::machine::Places;
use crate::pool::Pool;
use crate::scenario::{PERIOD, Scenario};
use crate::schedule::{Millis, Schedule};
use crate::time::HOUR;
use crate::violations::Violations;

/// The time before the writing of a roster by which an object has to exist for the roster to
/// contain it. The margin covers stale listings and slow processors.
const MARGIN: Millis = 2 * HOUR;

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
    async fn read(shelf: &StoredBucket, role: Role, problems: &mut Vec<String>) -> Self {
        let mut books = Self::default();
        for (key, bytes) in objects(shelf).await {
            let Some((name, what)) = RosterObject::parse(&key) else {
                continue;
            };
            match what {
                RosterObject::Roster(writer) if writer == role => drop(books.rosters.insert(name)),
                RosterObject::Done => drop(books.done.insert(name)),
                RosterObject::Held => drop(books.held.insert(name)),
                RosterObject::Agreed => match serde_json::from_slice(&bytes) {
                    Ok(agreed) => drop(books.agreed.insert(name, agreed)),
                    Err(error) => problems.push(format!("{role}: {key}: {error}")),
                },
                _ => {}
            }
        }
        books
    }
}

/// Checks all agreed sets, and returns them with the outcomes of batches.
pub async fn audit_agreement(
    scenario: &Scenario,
    places: &Places,
    schedule: &Schedule,
    (batches, lies): (&Batches, &Violations),
    problems: &mut Vec<String>,
) -> AgreementAudit {
    // Of a batch under two dates, each side accepts the date that it read first, so there may be no
    // date that both accept.
    let doubtful = lies.doubtful();
    let mut audit = AgreementAudit::default();
    let Some(from) = scenario.rosters_from() else {
        audit.doubtful = doubtful;
        return audit;
    };
    let mut books = Vec::new();
    for role in Role::ALL {
        books.push(ProcessorState::read(&places.own[role.index()], role, problems).await);
    }
    let mut names: BTreeSet<&WindowName> = BTreeSet::new();
    for books in &books {
        names.extend(books.rosters.iter().chain(books.agreed.keys()));
    }
    // The agreement on the last windows may be incomplete when the run ends.
    let settled = scenario.end() - 3 * HOUR;
    let split = lies.split(places);
    for (role, books) in Role::ALL.into_iter().zip(&books) {
        once(&books.agreed, role, problems);
    }
    for name in names
        .into_iter()
        .filter(|name| name.window.end().millis() < settled)
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
        match [&books[0], &books[1]].map(|books| books.agreed.get(name)) {
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
                let later = books[which.index()]
                    .rosters
                    .range(name..)
                    .find(|later| later.aggregation == name.aggregation);
                let starts_later = later.is_some() && !books[which.index()].rosters.contains(name);
                let settles = first
                    .or(second)
                    .is_some_and(|agreed| agreed.settled().next().is_some());
                if !starts_later || settles {
                    problems.push(format!(
                        "{name}: stuck: the {which} processor has not agreed"
                    ));
                }
            }
        }
        for role in Role::ALL {
            let books = &books[role.index()];
            if books.held.contains(name) {
                schedule.count("windows-held");
                audit.held.insert(name.clone());
            } else if books.agreed.contains_key(name) && !books.done.contains(name) {
                problems.push(format!(
                    "{name}: stuck: the {role} processor has agreed, but is not done"
                ));
            }
        }
    }
    let mut known = batches.clone();
    known.retain(|batch, _| !split.contains_key(&batch.aggregation));
    audit.split.clone_from(&split);
    audit.fates(
        (scenario, places),
        &known,
        from,
        (lies, &unseen(scenario, places, lies, &books)),
        problems,
    );
    let certain =
        |batch: &BatchName| !doubtful.contains(&batch.id) && !lies.delayed(&batch.aggregation);
    audit.promptness((scenario, places), &known, certain, problems);
    audit.doubtful = doubtful;
    audit.tell(schedule);
    audit
}

impl AgreementAudit {
    /// Determines the outcome of every batch, and verifies that it has exactly one.
    fn fates(
        &mut self,
        (scenario, places): (&Scenario, &Places),
        batches: &Batches,
        from: BatchTime,
        (lies, unseen): (&Violations, &BTreeSet<&BatchName>),
        problems: &mut Vec<String>,
    ) {
        let doubtful = &lies.doubtful();
        for (name, agreed) in &self.windows {
            let window = name.window;
            let summed = agreed
                .batches
                .iter()
                .map(|settled| (settled.batch, BatchStatus::Summed(window)));
            let excluded = agreed
                .excluded
                .iter()
                .map(|batch| (*batch, BatchStatus::Excluded(window)));
            let expired = agreed
                .expired
                .iter()
                .map(|expired| (expired.batch, BatchStatus::Expired(window)));
            for (batch, fate) in summed.chain(excluded).chain(expired) {
                let batch = named(&name.aggregation, batch);
                if let Some(before) = self.statuses.insert(batch.clone(), fate) {
                    problems.push(format!(
                        "batch {batch} has two outcomes: {before:?} and {fate:?}"
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
            let has_fate = self.statuses.keys().any(|known| {
                known == batch || (doubtful.contains(&batch.id) && known.id == batch.id)
            });
            if !has_fate && !unseen.contains(batch) && !far_too_late(scenario, places, batch) {
                problems.push(format!(
                    "batch {batch} is lost: it is neither summed nor excluded nor expired"
                ));
            }
        }
        for (batch, fate) in &self.statuses {
            if !doubtful.contains(&batch.id) && matches!(fate, BatchStatus::Excluded(_)) {
                problems.push(format!(
                    "batch {batch} is excluded, although no party tampered with it"
                ));
            }
            let known = batches.contains_key(batch) || self.split.contains_key(&batch.aggregation);
            if !known && matches!(fate, BatchStatus::Summed(_)) {
                problems.push(format!(
                    "batch {batch} is summed, but is not a batch of the ingestor"
                ));
            }
            if !known && !lies.is_false_entry(batch) {
                problems.push(format!(
                    "batch {batch} has the outcome {fate:?}, but no ingestor signed it"
                ));
            }
            let age = scenario.maximum_age[0].min(scenario.maximum_age[1]);
            if let BatchStatus::Expired(window) = fate
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
    fn promptness(
        &self,
        (scenario, places): (&Scenario, &Places),
        batches: &Batches,
        certain: impl Fn(&BatchName) -> bool,
        problems: &mut Vec<String>,
    ) {
        let minimum = scenario.minimum[0].max(scenario.minimum[1]);
        for name in self.windows.keys() {
            let Some(limits) = roster_times(places, name) else {
                continue;
            };
            let held = |batch: &&BatchName| {
                let fate = self.statuses.get(*batch).map(|fate| fate.window());
                batch.aggregation == name.aggregation
                    && certain(batch)
                    && fate.is_some_and(|fate| fate >= name.window)
                    && aligned_window(batch.date, PERIOD).is_some_and(|own| own <= name.window)
                    && is_held(scenario, places, batch, limits)
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
                    let fate = self.statuses.get(batch);
                    problems.push(format!(
                        "batch {batch} could be summed in {}, but its outcome is {fate:?}",
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
        let earlier = self.statuses.iter().filter(|(batch, fate)| {
            let is_earlier = matches!(fate, BatchStatus::Summed(window) if *window < name.window);
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

    fn tell(&self, schedule: &Schedule) {
        for fate in self.statuses.values() {
            schedule.count(match fate {
                BatchStatus::Summed(_) => "settled-summed",
                BatchStatus::Excluded(_) => "settled-excluded",
                BatchStatus::Expired(_) => "settled-expired",
            });
        }
        let later = self
            .statuses
            .iter()
            .filter(|(batch, fate)| matches!(fate, BatchStatus::Summed(window) if !window.contains(batch.date)));
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
fn once(agreed: &BTreeMap<WindowName, AgreedWindow>, role: Role, problems: &mut Vec<String>) {
    let mut seen: BTreeSet<(&AggregationId, BatchId)> = BTreeSet::new();
    for (name, agreed) in agreed {
        for settled in &agreed.batches {
            if !seen.insert((&name.aggregation, settled.batch.id)) {
                problems.push(format!(
                    "the {role} processor has agreed to sum batch {} twice",
                    settled.batch
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
    let summed = batches.iter().map(|settled| {
        let (accepted, duplicates) = (settled.claim.accepted, settled.duplicates);
        format!("{}: {accepted} less {duplicates}", settled.batch)
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
    let own = aligned_window(date, PERIOD)?;
    u32::try_from((window.start().millis() - own.start().millis()) / HOUR).ok()
}

/// Returns whether a batch arrived too late for any roster to list it. Rosters look back twice the
/// maximum age.
fn far_too_late(scenario: &Scenario, places: &Places, batch: &BatchName) -> bool {
    let age = i64::from(scenario.maximum_age[0].min(scenario.maximum_age[1]));
    let end = batch.date.millis() + 2 * age * HOUR;
    let came = places
        .ingestion
        .iter()
        .filter_map(|shelf| shelf.made_at(&batch.ingestion().signature));
    came.min().is_none_or(|came| came > end)
}

/// Returns the copies of a dishonest ingestor that need not be listed in any roster. A copy that
/// only one side received may be deleted before that side is online again. A copy under a second
/// date is refused at intake; if that happens before the first roster, the mailbox may have deleted
/// the copy by the time of the roster.
fn unseen<'a>(
    scenario: &Scenario,
    places: &Places,
    lies: &'a Violations,
    books: &[ProcessorState],
) -> BTreeSet<&'a BatchName> {
    let Some(kept) = scenario.retention else {
        return BTreeSet::new();
    };
    let begins = |role: Role, aggregation: &AggregationId| {
        let rosters = books[role.index()].rosters.iter();
        let of_it = rosters.filter(|name| name.aggregation == *aggregation);
        let times = of_it.filter_map(|name| places.own[role.index()].made_at(&name.verdicts()));
        times.min().unwrap_or(Millis::MAX)
    };
    let gone = |batch: &BatchName| {
        Role::ALL.into_iter().all(|role| {
            let came = places.ingestion[role.index()].made_at(&batch.ingestion().signature);
            came.is_none_or(|came| came.saturating_add(kept) < begins(role, &batch.aggregation))
        })
    };
    let copies = lies.copies.iter();
    let unseen = copies
        .filter(|copy| copy.sides != [true, true] || (copy.of.id == copy.to.id && gone(&copy.to)));
    unseen.map(|copy| &copy.to).collect()
}

/// Returns, for each side, the time by which it must have had an object for its roster of this
/// window to contain it. The verdicts, from which a roster is made, may be fixed long before the
/// roster is written. `None` if one of the sides fixed no verdicts.
fn roster_times(places: &Places, name: &WindowName) -> Option<[Millis; 2]> {
    let time = |role: Role| Some(places.own[role.index()].made_at(&name.verdicts())? - MARGIN);
    Some([time(Role::First)?, time(Role::Second)?])
}

/// Returns whether both sides had all objects that a verdict on the batch requires.
fn is_held(scenario: &Scenario, places: &Places, batch: &BatchName, limits: [Millis; 2]) -> bool {
    Role::ALL.into_iter().all(|role| {
        let (side, limit) = (role.index(), limits[role.index()]);
        let validation = batch.validation(role.peer());
        let prepared = places.own[side].first_made(&format!("{batch}."), ".prepared");
        let made = |object: &String| places.validation[side].made_at(object);
        let kept = scenario.retention.unwrap_or(Millis::MAX);
        let is_there = |at: Millis| at <= limit && limit + MARGIN < at.saturating_add(kept);
        // A mailbox may have reported that packets or header exist when they did not, and some
        // buckets do not store empty objects. So these two objects may be missing.
        prepared.is_some_and(|at| at <= limit)
            && made(&validation.signature).is_some_and(is_there)
            && [&validation.packets, &validation.header]
                .into_iter()
                .all(|object| made(object).is_none_or(is_there))
    })
}
