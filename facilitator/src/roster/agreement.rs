//! What two rosters agree on: pure, and the same on both sides, since both compute it from the same rosters.
//!
//! The rules are those of `docs/rosters.md`; each function says which it is.

use std::collections::{BTreeMap, BTreeSet};
use tallybox_model::id::{BatchId, PacketId};
use tallybox_model::role::Role;
use tallybox_model::roster::{
    AgreedWindow, ChainReach, Claim, DatedBatch, ExpiredBatch, LastWord, Listing, RosterTerms, SettledBatch,
    SeveralDates,
};
use tallybox_model::time::{BatchTime, Window, aligned_window};
use tallybox_service::fault;

use super::history::History;
use crate::ids::IdSet;

/// How many batches of each side a window reports as expired; the last one reports all.
const MOST_EXPIRED: usize = 2048;
/// How many identifiers a window reports as listed under several dates.
const MOST_SEVERAL: usize = 1024;
/// How many dates of an identifier are reported.
const MOST_DATES: usize = 16;

/// A roster, read and checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roster {
    /// The window.
    pub window: Window,
    /// Whose.
    pub writer: Role,
    /// How far the writer's chain goes.
    pub chain: ChainReach,
    /// The writer's rules.
    pub terms: RosterTerms,
    /// The entries.
    pub entries: BTreeMap<DatedBatch, Listing>,
}

impl Roster {
    /// The roster of a side whose chain starts later: it lists nothing.
    #[must_use]
    pub fn before_the_chain(&self, window: Window) -> Self {
        Self {
            window,
            entries: BTreeMap::new(),
            ..self.clone()
        }
    }
}

/// Why two rosters cannot be compared at all: a person has to look.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the sides' rules differ: {} and {}", shown(.0), shown(.1))]
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

/// How many windows after its own a batch is in this window (rule 7); `None` if it is of a later one.
#[must_use]
pub fn age(batch: BatchTime, window: Window, period_minutes: u32) -> Option<u32> {
    let own = aligned_window(batch, period_minutes)?;
    let minutes = (window.start().millis() - own.start().millis()) / 60_000;
    u32::try_from(minutes.div_euclid(i64::from(period_minutes))).ok()
}

/// For how many windows after its own it is remembered what became of a batch.
#[must_use]
pub fn memory(maximum_age: u32) -> u32 {
    maximum_age.max(RosterTerms::SMALLEST_AGE).saturating_mul(2)
}

/// What two rosters have in common, before packets are compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    window: Window,
    /// The batches that would be summed, in the order in which their packets count.
    pub batches: Vec<(DatedBatch, Claim)>,
    /// The terms that hold, of the first and of the second processor.
    pub terms: [RosterTerms; 2],
    /// Whether both chains have begun, which fixes the terms.
    both_begun: bool,
    excluded: BTreeSet<DatedBatch>,
    last_words: Vec<(DatedBatch, [Option<LastWord>; 2])>,
    several_dates: Vec<SeveralDates>,
    minimum: u64,
}

/// Compares the rosters of both processors for one window (rules 4 and 7). What the `last` window leaves open has no other.
///
/// # Errors
/// [`TermsDiffer`] if the first rosters of both sides do not have the same origin, period or horizon.
pub fn compare([first, second]: [&Roster; 2], history: &History, last: bool) -> Result<Draft, TermsDiffer> {
    let terms = terms_that_hold([first.terms, second.terms], history);
    if !terms[0].fits(&terms[1]) {
        return Err(TermsDiffer(terms[0], terms[1]));
    }
    let (window, period, origin) = (first.window, terms[0].period_minutes, terms[0].origin);
    let ages = terms.map(|terms| terms.maximum_age);
    let maximum_age = match fault::is_on("larger-age") {
        true => ages[0].max(ages[1]),
        false => ages[0].min(ages[1]),
    };
    let maximum_age = maximum_age.max(RosterTerms::SMALLEST_AGE);
    // Both sides remember at least as far back, so that both have the same answer.
    let remembered = |closed: Window| age(closed.start(), window, period).is_some_and(|age| age <= memory(maximum_age));
    let is_closed = |batch: &DatedBatch| {
        let closed = history.closed_in(batch);
        closed.is_some_and(remembered) && !fault::is_on("double-listing")
    };
    // No window with rosters can hold a batch of a time before them.
    let is_possible = |batch: &DatedBatch| batch.date >= origin && !is_closed(batch);
    let age = |batch: &DatedBatch| age(batch.date, window, period).filter(|_| is_possible(batch));
    let open = |batch: &DatedBatch| age(batch).filter(|age| *age <= maximum_age);
    let (mut equal, mut excluded) = (BTreeMap::new(), BTreeSet::new());
    for (batch, ours) in &first.entries {
        let (Some(_), Listing::Summable(ours)) = (open(batch), ours) else {
            continue;
        };
        match second.entries.get(batch) {
            Some(Listing::Summable(theirs)) if ours == theirs || alike(ours, theirs) => {
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
    // One that came too late for any window is told of in the first that hears of it, as long as both sides remember which
    // are closed. A side keeps no books of windows before its chain; in the first window of both, nothing is closed yet.
    let begin = first.chain.start.max(second.chain.start);
    let is_remembered = |age: &u32| window.start() == begin || (window.start() > begin && *age <= memory(maximum_age));
    let at_end = |batch: &DatedBatch| {
        let age = age(batch).filter(is_remembered);
        age.is_some_and(|age| last || age >= maximum_age)
    };
    // Each side has its own share of what a window can report, so that a long list leaves the other's alone. The rest is
    // listed again, and reported later.
    let most = if last { usize::MAX } else { MOST_EXPIRED };
    let share =
        |roster: &Roster| -> Vec<DatedBatch> { roster.entries.keys().copied().filter(at_end).take(most).collect() };
    let at_their_end: BTreeSet<DatedBatch> = share(first).into_iter().chain(share(second)).collect();
    let said = |batch| [last_word(first, batch), last_word(second, batch)];
    Ok(Draft {
        window,
        batches,
        terms,
        both_begun: window.start() >= begin || history.terms().is_some(),
        excluded,
        last_words: at_their_end.into_iter().map(|batch| (batch, said(batch))).collect(),
        several_dates,
        minimum: match fault::is_on("smaller-minimum") {
            true => terms[0].minimum.min(terms[1].minimum),
            false => terms[0].minimum.max(terms[1].minimum),
        },
    })
}

/// The terms that hold where these are stated (rule 6): those of the first window of both, with the minimums of now.
fn terms_that_hold(stated: [RosterTerms; 2], history: &History) -> [RosterTerms; 2] {
    let Some([first, second]) = history.terms().filter(|_| !fault::is_on("terms-as-stated")) else {
        return stated;
    };
    [first.with_minimum_of(&stated[0]), second.with_minimum_of(&stated[1])]
}

/// The identifiers that stand under several dates of which one was not reported before. Those that both sides list come
/// first: how many others there are, one side decides alone.
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
    let several = dates.into_iter().filter(|(id, (dates, _))| is_new(*id, dates));
    let (both, one): (Vec<_>, Vec<_>) = several.partition(|(_, (_, sides))| *sides == [true, true]);
    let first = both.into_iter().chain(one).take(MOST_SEVERAL);
    let mut several: Vec<SeveralDates> = first
        .map(|(batch, (dates, _))| SeveralDates {
            batch,
            dates: dates.into_iter().collect(),
        })
        .collect();
    several.sort_by_key(|several| several.batch);
    several
}

/// What only a known fault takes for the same.
fn alike(ours: &Claim, theirs: &Claim) -> bool {
    fault::is_on("equal-count") && ours.accepted == theirs.accepted
}

/// A batch is summed under one date, its earliest; the others are taken out and answered.
fn second_dates(equal: &mut BTreeMap<DatedBatch, Claim>) -> Vec<DatedBatch> {
    let mut seen = BTreeSet::new();
    let again: Vec<DatedBatch> = equal.keys().copied().filter(|batch| !seen.insert(batch.id)).collect();
    for batch in &again {
        equal.remove(batch);
    }
    again
}

/// The batches with the parameters of which most packets are accepted (rule 4); ties go to the smallest encoding.
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

fn last_word(roster: &Roster, batch: DatedBatch) -> Option<LastWord> {
    Some(match roster.entries.get(&batch)? {
        Listing::Summable(_) => LastWord::Summable,
        Listing::Open(reason) => LastWord::Open(*reason),
    })
}

/// The packets of a window's batches: which count, and which are counted before (rule 5).
#[derive(Debug)]
pub struct Count {
    before: IdSet,
    ids: IdSet,
    /// Packets of each batch that an earlier one counts, in the order in which batches were given.
    pub duplicates: Vec<Vec<PacketId>>,
    /// Packets that count.
    pub counted: Vec<PacketId>,
}

impl Count {
    /// Starts with the packets that the windows of the replay horizon count; only those that this window's batches hold
    /// matter.
    #[must_use]
    pub fn new(before: IdSet) -> Self {
        Self {
            before,
            ids: IdSet::default(),
            duplicates: Vec::new(),
            counted: Vec::new(),
        }
    }

    /// Takes the packets of the next batch.
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
    /// The agreed set: empty, with every batch open, if fewer packets than the minimum would count (rule 6).
    #[must_use]
    pub fn conclude(self, count: &Count) -> AgreedWindow {
        let counted = count.counted.len() as u64;
        let before = self.batches.iter().map(|(_, claim)| claim.accepted).sum();
        let enough = if fault::is_on("minimum-before-dedupe") {
            before
        } else {
            counted
        };
        let below = !self.batches.is_empty() && enough < self.minimum;
        let duplicates = count.duplicates.iter().map(|ids| ids.len() as u64);
        let settled = self.batches.into_iter().zip(duplicates);
        let settled = settled.map(|((batch, claim), duplicates)| SettledBatch {
            batch,
            claim,
            duplicates,
        });
        let batches: Vec<SettledBatch> = if below { Vec::new() } else { settled.collect() };
        let closed: BTreeSet<DatedBatch> = batches.iter().map(|settled| settled.batch).collect();
        let expired = self.last_words.into_iter();
        let expired = expired.filter(|(batch, _)| !closed.contains(batch) && !self.excluded.contains(batch));
        AgreedWindow {
            format: AgreedWindow::FORMAT,
            window: self.window,
            counted: if below { 0 } else { counted },
            minimum: self.minimum,
            below_minimum: below.then_some(counted),
            batches,
            expired: expired.map(|(batch, said)| ExpiredBatch { batch, said }).collect(),
            excluded: self.excluded.into_iter().collect(),
            several_dates: self.several_dates,
            terms: self.both_begun.then_some(self.terms),
        }
    }
}

#[cfg(test)]
mod tests;
