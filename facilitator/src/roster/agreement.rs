//! The agreement of two rosters, as pure functions. Both processors compute it from the same
//! rosters, so both get the same result.
//!
//! The rules are those of `docs/rosters.md`; the documentation of each function names its rule.

use std::collections::{BTreeMap, BTreeSet};
use tallybox_model::id::{BatchId, PacketId};
use tallybox_model::role::Role;
use tallybox_model::roster::{
    AgreedBatch, AgreedWindow, ChainReach, Claim, DatedBatch, ExpiredBatch, Listing, ListingStatus,
    RosterTerms, SeveralDates, TermsDiffer,
};
use tallybox_model::time::{BatchTime, Window, aligned_window};

use super::history::History;
use crate::ids::IdSet;

/// The most batches of each processor that a window reports as expired. The last window with
/// rosters reports all.
const MOST_EXPIRED_BATCHES: usize = 2048;
/// The most identifiers that a window reports as listed under several dates.
const MOST_SEVERAL_DATES: usize = 1024;
/// The most dates of an identifier that are reported.
const MOST_DATES: usize = 16;

/// A roster whose signature and content have been verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roster {
    /// The window.
    pub window: Window,
    /// The processor that wrote the roster.
    pub writer: Role,
    /// The first window with a roster of the writer, and how far the writer has agreed.
    pub chain: ChainReach,
    /// The writer's rules.
    pub terms: RosterTerms,
    /// The entries.
    pub entries: BTreeMap<DatedBatch, Listing>,
}

impl Roster {
    /// Returns the roster of a processor for a window before its first one: an empty list.
    #[must_use]
    pub fn empty_before_start(&self, window: Window) -> Self {
        Self {
            window,
            entries: BTreeMap::new(),
            ..self.clone()
        }
    }
}

/// Returns how many windows after its own a batch is in this window (rule 7); `None` if the batch
/// belongs to a later window.
#[must_use]
pub fn age(batch: BatchTime, window: Window, period_minutes: u32) -> Option<u32> {
    let own = aligned_window(batch, period_minutes)?;
    let minutes = (window.start().millis() - own.start().millis()) / 60_000;
    u32::try_from(minutes.div_euclid(i64::from(period_minutes))).ok()
}

/// Returns for how many windows after its own the outcome of a batch is stored.
#[must_use]
pub fn memory(maximum_age: u32) -> u32 {
    maximum_age.max(RosterTerms::SMALLEST_AGE).saturating_mul(2)
}

/// The common entries of two rosters, before packets are compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    window: Window,
    /// The batches to be summed, in the order in which their packets count.
    pub batches: Vec<(DatedBatch, Claim)>,
    /// The terms in force, of the first and of the second processor.
    pub terms: [RosterTerms; 2],
    /// True if both processors have written their first roster, which fixes the terms.
    both_begun: bool,
    excluded: BTreeSet<DatedBatch>,
    last_statuses: Vec<(DatedBatch, [Option<ListingStatus>; 2])>,
    several_dates: Vec<SeveralDates>,
    minimum: u64,
}

/// Compares the rosters of both processors for one window (rules 4 and 7). In the `last` window,
/// all open batches expire.
///
/// # Errors
/// [`TermsDiffer`] if the first rosters of the two processors do not have the same origin, period
/// or horizon.
pub fn compare(
    [first, second]: [&Roster; 2],
    history: &History,
    last: bool,
) -> Result<Draft, TermsDiffer> {
    let terms = terms_that_hold([first.terms, second.terms], history);
    if !terms[0].fits(&terms[1]) {
        return Err(TermsDiffer(terms[0], terms[1]));
    }
    let (window, period, origin) = (first.window, terms[0].period_minutes, terms[0].origin);
    let ages = terms.map(|terms| terms.maximum_age);
    let maximum_age = ages[0].min(ages[1]).max(RosterTerms::SMALLEST_AGE);
    // Both processors store at least this many windows, so that both get the same answer.
    let remembered = |closed: Window| {
        age(closed.start(), window, period).is_some_and(|age| age <= memory(maximum_age))
    };
    let is_closed = |batch: &DatedBatch| history.closed_in(batch).is_some_and(remembered);
    // No window with rosters can contain a batch that is dated before the first one.
    let is_possible = |batch: &DatedBatch| batch.date >= origin && !is_closed(batch);
    let age = |batch: &DatedBatch| age(batch.date, window, period).filter(|_| is_possible(batch));
    let open = |batch: &DatedBatch| age(batch).filter(|age| *age <= maximum_age);
    let (mut equal, mut excluded) = (BTreeMap::new(), BTreeSet::new());
    for (batch, ours) in &first.entries {
        let (Some(_), Listing::Summable(ours)) = (open(batch), ours) else {
            continue;
        };
        match second.entries.get(batch) {
            Some(Listing::Summable(theirs)) if ours == theirs => {
                drop(equal.insert(*batch, ours.clone()))
            }
            Some(Listing::Summable(_)) => drop(excluded.insert(*batch)),
            Some(Listing::Open(_)) | None => {}
        }
    }
    excluded.extend(second_dates(&mut equal));
    let batches = largest_group(equal);
    let is_reported = |batch: &DatedBatch| history.reported_in(batch).is_some_and(remembered);
    let several_dates = several_dates([first, second], is_possible, is_reported);
    // A batch that came too late for any window is reported in the first window that lists it, as
    // long as both processors know which batches are closed. A processor has no records of windows
    // before its first roster; in the first window of both, no batch is closed yet.
    let begin = first.chain.start.max(second.chain.start);
    let is_remembered = |age: &u32| {
        window.start() == begin || (window.start() > begin && *age <= memory(maximum_age))
    };
    let at_end = |batch: &DatedBatch| {
        let age = age(batch).filter(is_remembered);
        age.is_some_and(|age| last || age >= maximum_age)
    };
    // Each processor has its own quota in the report of a window, so that a long list of one does
    // not displace the other's. The remaining batches are listed again, and reported later.
    let most = if last {
        usize::MAX
    } else {
        MOST_EXPIRED_BATCHES
    };
    let share = |roster: &Roster| -> Vec<DatedBatch> {
        roster
            .entries
            .keys()
            .copied()
            .filter(at_end)
            .take(most)
            .collect()
    };
    let at_their_end: BTreeSet<DatedBatch> =
        share(first).into_iter().chain(share(second)).collect();
    let statuses = |batch| [listing_status(first, batch), listing_status(second, batch)];
    Ok(Draft {
        window,
        batches,
        terms,
        both_begun: window.start() >= begin || history.terms().is_some(),
        excluded,
        last_statuses: at_their_end
            .into_iter()
            .map(|batch| (batch, statuses(batch)))
            .collect(),
        several_dates,
        minimum: terms[0].minimum.max(terms[1].minimum),
    })
}

/// Returns the terms in force (rule 6): those of the first window of both processors, with the
/// minimums that the rosters state now.
fn terms_that_hold(stated: [RosterTerms; 2], history: &History) -> [RosterTerms; 2] {
    let Some([first, second]) = history.terms() else {
        return stated;
    };
    [
        first.with_minimum_of(&stated[0]),
        second.with_minimum_of(&stated[1]),
    ]
}

/// Returns the identifiers that are listed under several dates, of which at least one was not
/// reported before. Identifiers that both processors list come first, because one processor alone
/// determines the number of the others.
fn several_dates(
    rosters: [&Roster; 2],
    is_possible: impl Fn(&DatedBatch) -> bool,
    is_reported: impl Fn(&DatedBatch) -> bool,
) -> Vec<SeveralDates> {
    let mut dates: BTreeMap<BatchId, (BTreeSet<BatchTime>, [bool; 2])> = BTreeMap::new();
    for (side, roster) in rosters.into_iter().enumerate() {
        for batch in roster.entries.keys().filter(|batch| is_possible(batch)) {
            let (dates, sides) = dates.entry(batch.id).or_default();
            sides[side] = true;
            if dates.len() < MOST_DATES {
                dates.insert(batch.date);
            }
        }
    }
    let is_new = |id: BatchId, dates: &BTreeSet<BatchTime>| {
        let mut dated = dates.iter().map(|date| DatedBatch { date: *date, id });
        dates.len() > 1 && !dated.all(|batch| is_reported(&batch))
    };
    let several = dates
        .into_iter()
        .filter(|(id, (dates, _))| is_new(*id, dates));
    let (both, one_side): (Vec<_>, Vec<_>) =
        several.partition(|(_, (_, sides))| *sides == [true, true]);
    let first = both.into_iter().chain(one_side).take(MOST_SEVERAL_DATES);
    let mut several: Vec<SeveralDates> = first
        .map(|(batch, (dates, _))| SeveralDates {
            batch,
            dates: dates.into_iter().collect(),
        })
        .collect();
    several.sort_by_key(|several| several.batch);
    several
}

/// Removes every batch that is listed under a second date, and returns the removed ones. A batch is
/// summed under its earliest date only.
fn second_dates(equal: &mut BTreeMap<DatedBatch, Claim>) -> Vec<DatedBatch> {
    let mut ids = BTreeSet::new();
    let repeated: Vec<DatedBatch> = equal
        .keys()
        .copied()
        .filter(|batch| !ids.insert(batch.id))
        .collect();
    for batch in &repeated {
        equal.remove(batch);
    }
    repeated
}

/// Returns the batches with the parameters under which most packets are accepted (rule 4). In a
/// tie, the smallest encoding of the parameters decides.
fn largest_group(batches: BTreeMap<DatedBatch, Claim>) -> Vec<(DatedBatch, Claim)> {
    let mut groups: BTreeMap<Vec<u8>, Vec<(DatedBatch, Claim)>> = BTreeMap::new();
    for (batch, claim) in batches {
        groups
            .entry(claim.parameters.encode())
            .or_default()
            .push((batch, claim));
    }
    let accepted = |group: &[(DatedBatch, Claim)]| -> u64 {
        let sum = group
            .iter()
            .try_fold(0_u64, |sum, (_, claim)| sum.checked_add(claim.accepted));
        sum.unwrap_or(u64::MAX)
    };
    let mut largest = (0, Vec::new());
    for group in groups.into_values() {
        let packets = accepted(&group);
        if largest.1.is_empty() || packets > largest.0 {
            largest = (packets, group);
        }
    }
    largest.1
}

fn listing_status(roster: &Roster, batch: DatedBatch) -> Option<ListingStatus> {
    Some(match roster.entries.get(&batch)? {
        Listing::Summable(_) => ListingStatus::Summable,
        Listing::Open(reason) => ListingStatus::Open(*reason),
    })
}

/// The packets of a window's batches: those that count, and those that count in an earlier batch
/// (rule 5).
#[derive(Debug)]
pub struct Count {
    before: IdSet,
    ids: IdSet,
    /// For each batch, in the order of the calls, the packets that count in an earlier batch.
    pub duplicates: Vec<Vec<PacketId>>,
    /// Packets that count.
    pub counted: Vec<PacketId>,
}

impl Count {
    /// Starts with the packets that count in the windows of the replay horizon. Only packets that
    /// are also in this window's batches are needed.
    #[must_use]
    pub fn new(before: IdSet) -> Self {
        Self {
            before,
            ids: IdSet::default(),
            duplicates: Vec::new(),
            counted: Vec::new(),
        }
    }

    /// Adds the packets of the next batch.
    pub fn batch(&mut self, accepted: &[PacketId]) {
        let mut duplicates = Vec::new();
        for id in accepted {
            if self.before.contains(*id.as_bytes()) || !self.ids.insert(*id.as_bytes()) {
                duplicates.push(*id);
            } else {
                self.counted.push(*id);
            }
        }
        self.duplicates.push(duplicates);
    }
}

impl Draft {
    /// Returns the agreed set. If fewer packets than the minimum would count, the set is empty and
    /// every batch stays open (rule 6).
    #[must_use]
    pub fn conclude(self, count: &Count) -> AgreedWindow {
        let counted = count.counted.len() as u64;
        let below = !self.batches.is_empty() && counted < self.minimum;
        let duplicates = count.duplicates.iter().map(|ids| ids.len() as u64);
        let agreed = self.batches.into_iter().zip(duplicates);
        let agreed = agreed.map(|((batch, claim), duplicates)| AgreedBatch {
            batch,
            claim,
            duplicates,
        });
        let batches: Vec<AgreedBatch> = if below { Vec::new() } else { agreed.collect() };
        let closed: BTreeSet<DatedBatch> = batches.iter().map(|agreed| agreed.batch).collect();
        let expired = self.last_statuses.into_iter();
        let expired =
            expired.filter(|(batch, _)| !closed.contains(batch) && !self.excluded.contains(batch));
        AgreedWindow {
            format: AgreedWindow::FORMAT,
            window: self.window,
            counted: if below { 0 } else { counted },
            minimum: self.minimum,
            below_minimum: below.then_some(counted),
            batches,
            expired: expired
                .map(|(batch, last_statuses)| ExpiredBatch {
                    batch,
                    last_statuses,
                })
                .collect(),
            excluded: self.excluded.into_iter().collect(),
            several_dates: self.several_dates,
            terms: self.both_begun.then_some(self.terms),
        }
    }
}

#[cfg(test)]
mod tests;
