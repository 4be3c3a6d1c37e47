//! An aggregation's rosters as they stand when a task begins: from where on they are written, how far both sides have agreed,
//! and what the windows before are agreed on.

use super::agreement::memory;
use super::history::History;
use super::patience::patiently;
use super::peer;
use super::policy::RosterPolicy;
use super::settle::read_agreed;
use super::signed::{self, Signature};
use super::standing::{Standing, standing};
use crate::error::Error;
use crate::processor::Processor;
use futures::TryStreamExt as _;
use std::collections::BTreeSet;
use std::sync::Arc;
use tallybox_model::id::AggregationId;
use tallybox_model::path::{BatchName, window_range};
use tallybox_model::roster::{AgreedWindow, ChainReach, WindowName, chain};
use tallybox_model::time::{BatchTime, Window};
use tallybox_transport::{ListRange, SharedBucket};

/// How many names without a good signature are looked at for the first batch.
const MOST_UNSIGNED: u32 = 256;

/// An aggregation's rosters as they stand, and what is known of its windows.
pub(super) struct Chain {
    /// The rules by which its windows are agreed on: our configuration's, with the terms that were fixed.
    pub(super) policy: RosterPolicy,
    /// The first window of which we write a roster.
    pub(super) start: BatchTime,
    /// Start of the first window that is not agreed on.
    pub(super) next: BatchTime,
    /// What is in the own bucket, as far back as it matters.
    pub(super) own: Standing,
    /// What is in our mailbox.
    pub(super) mailbox: Standing,
    /// Windows of which this run found the peer's roster bad: it is not read again, since one may be large.
    pub(super) refused: BTreeSet<Window>,
    /// How far the peer's chain goes, as its last roster says that we have copied.
    pub(super) theirs: Option<ChainReach>,
    /// What the windows before are agreed on.
    pub(super) history: History,
}

/// Finds out how an aggregation's rosters stand; fixes where they start, the first time.
pub(super) async fn load(processor: &Processor, policy: &RosterPolicy, name: &WindowName) -> Result<Chain, Error> {
    let aggregation = &name.aggregation;
    let look = async |from| patiently!(standing(processor, &*processor.buckets.own, aggregation, from));
    let recent = policy.back(name.window, policy.horizon());
    let mut own = look(recent).await?;
    let mut mailbox = None;
    let start = match patiently!(find_start(processor, aggregation))? {
        Some(start) => start,
        None => {
            let theirs = peer::mailbox(processor, aggregation, recent).await?;
            let first = first(processor, policy, name, &theirs).await?;
            mailbox = Some(theirs);
            fix_start(processor, aggregation, first).await?
        }
    };
    if start < recent && (own.ours.is_empty() || own.agreed.is_empty()) {
        // Nothing for as long as the horizon: the chain goes on where it ended, however long ago.
        own = look(start).await?;
    }
    let next = first_open(policy, &own, start);
    let mut last = last_agreed(processor, policy, name, (start, next)).await?;
    let policy = &policy_that_holds(processor, policy, last.as_ref());
    let needed = back_from(policy, next, policy.horizon()).max(start);
    if needed < recent {
        own = look(needed).await?;
    }
    own.agreed.retain(|window| window.start() < next);
    let mailbox = match mailbox {
        Some(mailbox) => mailbox,
        None => peer::mailbox(processor, aggregation, next).await?,
    };
    let remembered = back_from(policy, next, memory(policy.terms.maximum_age));
    let mut history = History::default();
    let before = policy
        .window_of(needed)
        .into_iter()
        .flat_map(|first| from(policy, first));
    // All of them are agreed on, whether the listing has seen them or not.
    for window in before.take_while(|window| window.start() < next) {
        if window.start() < remembered && own.agreed.contains(&window) {
            continue;
        }
        let agreed = match last.take_if(|last| last.window == window) {
            Some(last) => last,
            None => patiently!(read_agreed(processor, &of(name, window)))?,
        };
        if window.start() >= remembered {
            history.push(&agreed);
        }
        own.agreed.insert(window);
        if !agreed.batches.is_empty() {
            own.counted.insert(window);
        }
    }
    Ok(Chain {
        refused: BTreeSet::new(),
        policy: *policy,
        start,
        next,
        own,
        mailbox,
        theirs: None,
        history,
    })
}

/// What is agreed on the last window before the first open one, if the chain has one.
async fn last_agreed(
    processor: &Processor,
    policy: &RosterPolicy,
    name: &WindowName,
    (start, next): (BatchTime, BatchTime),
) -> Result<Option<AgreedWindow>, Error> {
    let before = next.plus_minutes(-1).filter(|before| *before >= start);
    match before.and_then(|before| policy.window_of(before)) {
        Some(last) => patiently!(read_agreed(processor, &of(name, last))).map(Some),
        None => Ok(None),
    }
}

/// Our rules, with the terms that the last agreed window says were fixed for us. What the configuration says since then
/// about anything but the minimum does not hold: both sides compute with the same terms, whatever one of them changes.
fn policy_that_holds(processor: &Processor, policy: &RosterPolicy, last: Option<&AgreedWindow>) -> RosterPolicy {
    let fixed = last.and_then(|agreed| agreed.terms);
    let fixed = fixed.map(|terms| terms[processor.role.index()].with_minimum_of(&policy.terms));
    RosterPolicy {
        terms: fixed.unwrap_or(policy.terms),
        ..*policy
    }
}

/// The start of the window so many windows before the one that starts then.
fn back_from(policy: &RosterPolicy, start: BatchTime, windows: u32) -> BatchTime {
    let window = policy.window_of(start);
    window.map_or(start, |window| policy.back(window, windows))
}

/// Start of the first window that is not agreed on. They are agreed on in order; but a listing is made while another worker
/// agrees, and a directory may show a later window's set and not the one before. What is behind a gap is computed again: it
/// comes out the same.
fn first_open(policy: &RosterPolicy, own: &Standing, start: BatchTime) -> BatchTime {
    let listed = own.ours.first().into_iter().chain(own.agreed.first()).min();
    let Some(first) = listed else { return start };
    let open = from(policy, *first).find(|window| !own.agreed.contains(window));
    open.map_or(start, |window| window.start().max(start))
}

/// The first window that has a batch, or a roster of the peer's; at the latest the one that is asked for.
async fn first(
    processor: &Processor,
    policy: &RosterPolicy,
    name: &WindowName,
    mailbox: &Standing,
) -> Result<BatchTime, Error> {
    let mut first = name.window;
    if let Some(theirs) = mailbox.theirs.first() {
        first = first.min(*theirs);
    }
    // However long nobody knew whether there are rosters: a batch that waited for too long is told of, too.
    let origin = policy.terms.origin.min(name.window.start());
    let range = Window::new(origin, name.window.end()).map_err(|error| Error::Internal(error.to_string()))?;
    let (start, end) = window_range(&name.aggregation, &range);
    let range = ListRange {
        start_at: Some(start),
        end_before: Some(end),
    };
    // The mailbox may have deleted by now what we have taken in.
    let (ingestion, own) = (&processor.buckets.ingestion, &processor.buckets.own);
    let is_mailbox = |bucket: &SharedBucket| Arc::ptr_eq(bucket, ingestion);
    for (bucket, parse) in [
        (
            ingestion,
            BatchName::from_ingestion_signature as fn(&str) -> Option<BatchName>,
        ),
        (own, BatchName::from_prepared),
    ] {
        let mut entries = bucket.list(name.aggregation.as_str(), range.clone()).await?;
        let mut unsigned = 0;
        while let Some(entry) = entries.try_next().await? {
            let Some(batch) = parse(&entry.key) else {
                continue;
            };
            if is_mailbox(bucket) && signed::ingestion(processor, &batch).await? != Signature::Good {
                unsigned += 1;
                // Who fills the mailbox with names delays our first roster, and with it nothing that is signed.
                if unsigned >= MOST_UNSIGNED {
                    break;
                }
                continue;
            }
            first = policy.window_of(batch.date).map_or(first, |window| first.min(window));
            break;
        }
    }
    Ok(first.start())
}

/// The first window of which we write a roster, if that is fixed.
pub(super) async fn find_start(processor: &Processor, aggregation: &AggregationId) -> Result<Option<BatchTime>, Error> {
    processor.read_text(&chain(aggregation)).await
}

/// Fixes the first window; the answer is the one that stands.
pub(super) async fn fix_start(
    processor: &Processor,
    aggregation: &AggregationId,
    start: BatchTime,
) -> Result<BatchTime, Error> {
    let before = processor.fix_text(&chain(aggregation), &start).await?;
    Ok(before.unwrap_or(start))
}

/// The same aggregation's other window.
pub(super) fn of(name: &WindowName, window: Window) -> WindowName {
    WindowName {
        aggregation: name.aggregation.clone(),
        window,
    }
}

/// The windows from one on, in order.
pub(super) fn from(policy: &RosterPolicy, first: Window) -> impl Iterator<Item = Window> + use<> {
    let policy = *policy;
    std::iter::successors(Some(first), move |window| policy.window_of(window.end()))
}

/// The windows from the one that holds a time to another, both included, in order.
pub(super) fn windows(policy: &RosterPolicy, start: BatchTime, to: Window) -> impl Iterator<Item = Window> + use<> {
    let first = policy.window_of(start).into_iter();
    let policy = *policy;
    let all = first.flat_map(move |first| from(&policy, first));
    all.take_while(move |window| *window <= to)
}

#[cfg(test)]
#[allow(clippy::expect_used)]
mod tests {
    use super::*;
    use tallybox_model::roster::RosterTerms;

    fn policy() -> RosterPolicy {
        RosterPolicy {
            terms: RosterTerms {
                origin: "2026/01/31/00/00".parse().expect("a time"),
                period_minutes: 60,
                replay_horizon: 10,
                minimum: 1,
                maximum_age: 3,
            },
            grace_minutes: 0,
            until: None,
        }
    }

    /// The windows of these hours.
    fn hours(hours: &[i64]) -> std::collections::BTreeSet<Window> {
        let at = |hour: &i64| policy().terms.origin.plus_minutes(60 * hour).expect("a time");
        hours.iter().filter_map(|hour| policy().window_of(at(hour))).collect()
    }

    /// A listing of a directory while another worker agrees on several windows in a row.
    #[test]
    fn what_is_behind_a_gap_in_a_listing_is_not_agreed_on() {
        for (ours, agreed, open) in [
            (vec![], vec![], 2),
            (vec![2, 3], vec![], 2),
            (vec![2, 3, 4, 5], vec![2, 3], 4),
            (vec![2, 3, 4, 5], vec![2, 4], 3),
            (vec![2, 3, 4, 5], vec![3, 4], 2),
            (vec![3], vec![2, 3], 4),
        ] {
            let own = Standing {
                ours: hours(&ours),
                agreed: hours(&agreed),
                ..Standing::default()
            };
            let start = policy().terms.origin.plus_minutes(120).expect("a time");
            let found = first_open(&policy(), &own, start);
            let expected = hours(&[open]).first().map(Window::start);
            assert_eq!(Some(found), expected, "{ours:?} {agreed:?}");
        }
    }
}
