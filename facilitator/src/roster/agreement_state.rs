//! The agreement state of an aggregation when a task begins: the first window with a roster, how
//! far both processors have agreed, and the results of earlier windows.

use super::agree::read_agreed;
use super::agreement::memory;
use super::first_window::find_first_window;
use super::history::History;
use super::peer;
use super::policy::RosterPolicy;
use super::store::listing::{WindowListing, list_window_objects};
use super::store::retry::retry_read;
use crate::buckets::Buckets;
use crate::error::Error;
use crate::processor::Processor;
use std::collections::BTreeSet;
use tallybox_model::id::AggregationId;
use tallybox_model::roster::{AgreedWindow, ChainReach, WindowName, chain};
use tallybox_model::time::{BatchTime, Window};

/// The agreement state of an aggregation.
pub(super) struct AgreementState {
    /// The rules in force: those of the configuration, with the terms that the first window fixed.
    pub(super) policy: RosterPolicy,
    /// Start of the first window with a roster of ours.
    pub(super) start: BatchTime,
    /// Start of the first window without an agreed set.
    pub(super) next: BatchTime,
    /// The roster objects in the own bucket, as far back as they are needed.
    pub(super) own: WindowListing,
    /// The roster objects in our mailbox.
    pub(super) mailbox: WindowListing,
    /// Windows for which this run found the peer's roster invalid. Such a roster may be large and
    /// is not read again.
    pub(super) refused: BTreeSet<Window>,
    /// The first window of the peer and how far it has agreed, as stated in its last roster that we
    /// have copied.
    pub(super) theirs: Option<ChainReach>,
    /// The results of earlier windows.
    pub(super) history: History,
}

/// Reads the agreement state of an aggregation. The first call records the window with which its
/// rosters start.
pub(super) async fn load(
    processor: &Processor,
    policy: &RosterPolicy,
    name: &WindowName,
) -> Result<AgreementState, Error> {
    let aggregation = &name.aggregation;
    let list_own = async |from| {
        retry_read(|| {
            list_window_objects(
                &processor.buckets,
                &*processor.buckets.own,
                aggregation,
                from,
            )
        })
        .await
    };
    let recent = policy.back(name.window, policy.horizon());
    let mut own = list_own(recent).await?;
    let mut mailbox = None;
    let start = match retry_read(|| find_start(&processor.buckets, aggregation)).await? {
        Some(start) => start,
        None => {
            let theirs = peer::mailbox(&processor.buckets, aggregation, recent).await?;
            let first = find_first_window(processor, policy, name, &theirs.theirs).await?;
            mailbox = Some(theirs);
            fix_start(&processor.buckets, aggregation, first.start()).await?
        }
    };
    if start < recent && (own.ours.is_empty() || own.agreed.is_empty()) {
        // No rosters for as long as the horizon: they continue where they ended, however long ago.
        own = list_own(start).await?;
    }
    let next = first_open(policy, &own, start);
    let mut last = last_agreed(&processor.buckets, policy, name, (start, next)).await?;
    let policy = &policy_in_force(&processor.buckets, policy, last.as_ref());
    let needed = policy.back_from(next, policy.horizon()).max(start);
    // The first open window may be far back, or the terms in force may have a longer horizon than
    // the configuration.
    if needed < recent {
        own = list_own(needed).await?;
    }
    // Sets behind a gap are computed again; see `first_open`.
    own.agreed.retain(|window| window.start() < next);
    let mailbox = match mailbox {
        Some(mailbox) => mailbox,
        None => peer::mailbox(&processor.buckets, aggregation, next).await?,
    };
    let remembered = policy.back_from(next, memory(policy.terms.maximum_age));
    let mut history = History::default();
    let before = policy
        .window_of(needed)
        .into_iter()
        .flat_map(|first| policy.windows_from(first));
    // All these windows are agreed on, whether the listing shows their sets or not.
    for window in before.take_while(|window| window.start() < next) {
        if window.start() < remembered && own.agreed.contains(&window) {
            continue;
        }
        let agreed = match last.take_if(|last| last.window == window) {
            Some(last) => last,
            None => {
                let earlier = with_window(name, window);
                retry_read(|| read_agreed(&processor.buckets, &earlier)).await?
            }
        };
        if window.start() >= remembered {
            history.push(&agreed);
        }
        own.agreed.insert(window);
        if !agreed.batches.is_empty() {
            own.counted.insert(window);
        }
    }
    Ok(AgreementState {
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

/// Returns the agreed set of the last window before the first open one, if there is such a window.
async fn last_agreed(
    buckets: &Buckets,
    policy: &RosterPolicy,
    name: &WindowName,
    (start, next): (BatchTime, BatchTime),
) -> Result<Option<AgreedWindow>, Error> {
    let before = next.plus_minutes(-1).filter(|before| *before >= start);
    match before.and_then(|before| policy.window_of(before)) {
        Some(last) => {
            let last = with_window(name, last);
            retry_read(|| read_agreed(buckets, &last)).await.map(Some)
        }
        None => Ok(None),
    }
}

/// Returns our rules with the terms that the last agreed set fixes for us. Later changes of the
/// configuration have no effect, except on the minimum: both processors compute with the same
/// terms, whatever one of them changes.
fn policy_in_force(
    buckets: &Buckets,
    policy: &RosterPolicy,
    last: Option<&AgreedWindow>,
) -> RosterPolicy {
    let fixed = last.and_then(|agreed| agreed.terms);
    let fixed = fixed.map(|terms| terms[buckets.role.index()].with_minimum_of(&policy.terms));
    RosterPolicy {
        terms: fixed.unwrap_or(policy.terms),
        ..*policy
    }
}

/// Returns the start of the first window without an agreed set. Windows are agreed on in order, but
/// the listing may be concurrent with another worker and may show a later set without an earlier
/// one. Sets behind such a gap are computed again, with the same result.
fn first_open(policy: &RosterPolicy, own: &WindowListing, start: BatchTime) -> BatchTime {
    let listed = own.ours.first().into_iter().chain(own.agreed.first()).min();
    let Some(first) = listed else { return start };
    let open = policy
        .windows_from(*first)
        .find(|window| !own.agreed.contains(window));
    open.map_or(start, |window| window.start().max(start))
}

/// Returns the first window with a roster of ours, if it is recorded.
pub(super) async fn find_start(
    buckets: &Buckets,
    aggregation: &AggregationId,
) -> Result<Option<BatchTime>, Error> {
    buckets.read_text(&chain(aggregation)).await
}

/// Records the first window. Returns the recorded one, which may come from an earlier run.
pub(super) async fn fix_start(
    buckets: &Buckets,
    aggregation: &AggregationId,
    start: BatchTime,
) -> Result<BatchTime, Error> {
    let before = buckets.fix_text(&chain(aggregation), &start).await?;
    Ok(before.unwrap_or(start))
}

/// Returns the name of another window of the same aggregation.
pub(super) fn with_window(name: &WindowName, window: Window) -> WindowName {
    WindowName {
        aggregation: name.aggregation.clone(),
        window,
    }
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

    /// Returns the windows of these hours.
    fn hours(hours: &[i64]) -> std::collections::BTreeSet<Window> {
        let at = |hour: &i64| {
            policy()
                .terms
                .origin
                .plus_minutes(60 * hour)
                .expect("a time")
        };
        hours
            .iter()
            .filter_map(|hour| policy().window_of(at(hour)))
            .collect()
    }

    /// The case: another worker agrees on several windows while the directory is listed.
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
            let own = WindowListing {
                ours: hours(&ours),
                agreed: hours(&agreed),
                ..WindowListing::default()
            };
            let start = policy().terms.origin.plus_minutes(120).expect("a time");
            let found = first_open(&policy(), &own, start);
            let expected = hours(&[open]).first().map(Window::start);
            assert_eq!(Some(found), expected, "{ours:?} {agreed:?}");
        }
    }
}
