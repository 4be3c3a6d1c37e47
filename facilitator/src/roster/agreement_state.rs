//! The agreement state of an aggregation when a task begins: the first window with a roster, how
//! far both processors have agreed, and the results of earlier windows.

use super::agreement::memory;
use super::first_window::find_first_window;
use super::history::History;
use super::policy::RosterPolicy;
use super::store::{RosterStore, WindowListing};
use crate::error::Error;
use std::collections::BTreeSet;
use tallybox_model::role::Role;
use tallybox_model::roster::{AgreedWindow, ChainReach};
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
    /// The rosters of the peer in our mailbox.
    pub(super) mailbox: BTreeSet<Window>,
    /// Windows for which this run found the peer's roster invalid. Such a roster may be large and
    /// is not read again.
    pub(super) refused: BTreeSet<Window>,
    /// The first window of the peer and how far it has agreed, as stated in its last roster that we
    /// have copied.
    pub(super) theirs: Option<ChainReach>,
    /// The results of earlier windows.
    pub(super) history: History,
}

impl AgreementState {
    fn new(policy: RosterPolicy, start: BatchTime, own: WindowListing) -> Self {
        let mut state = Self {
            policy,
            start,
            next: first_open(policy, &own, start),
            own: WindowListing::default(),
            mailbox: BTreeSet::new(),
            refused: BTreeSet::new(),
            theirs: None,
            history: History::default(),
        };
        state.set_listing(own);
        state
    }

    /// Replaces the windows by those of a listing that reaches further back. The first open window
    /// stays the same.
    fn set_listing(&mut self, own: WindowListing) {
        self.own = own;
        // Sets behind a gap are computed again.
        self.own.agreed.retain(|window| window.start() < self.next);
    }

    /// Adds a window that is agreed on.
    pub(super) fn add_agreed(&mut self, agreed: &AgreedWindow) {
        self.own.agreed.insert(agreed.window);
        if !agreed.batches.is_empty() {
            // Later windows of this run search these packets for repetitions, just as a later run
            // does.
            self.own.counted.insert(agreed.window);
        }
    }

    /// Returns the windows up to `last` of which our roster is missing.
    pub(super) fn windows_to_write(&self, last: Window) -> impl Iterator<Item = Window> + use<> {
        let written = self.own.our_rosters.last();
        let first = written.map_or(self.start, Window::end);
        self.policy.windows(first, last)
    }

    /// Returns the windows of which the peer's roster is in the mailbox only, and whose end is at
    /// most `latest`, in milliseconds. The peer chooses the names in the mailbox, so they may
    /// denote no window.
    pub(super) fn windows_to_adopt(&self, latest: i64) -> impl Iterator<Item = Window> {
        let missing = self.mailbox.difference(&self.own.peer_rosters);
        missing.copied().filter(move |window| {
            window.start() >= self.next
                && window.end().millis() <= latest
                && self.policy.check(*window).is_ok()
        })
    }

    /// Returns the time up to which the peer has our rosters. Windows that are not agreed on here
    /// will not be agreed on there for long.
    pub(super) fn confirmed_until(&self) -> BatchTime {
        let until = self.theirs.map_or(self.start, |reach| reach.agreed_until);
        until.clamp(self.start, self.next)
    }

    /// Returns the last `horizon` windows before this one as far as they count packets.
    pub(super) fn counted_before(
        &self,
        window: Window,
        horizon: u32,
    ) -> impl Iterator<Item = Window> {
        let horizon = self.policy.back(window, horizon)..window.start();
        let counted = self.own.counted.intersection(&self.own.agreed).copied();
        counted.filter(move |earlier| horizon.contains(&earlier.start()))
    }
}

/// Reads the state as far as the rosters up to `window` depend on it. The first call records the
/// window with which the rosters of the aggregation start.
pub(super) async fn load(
    store: &RosterStore<'_>,
    configured: RosterPolicy,
    window: Window,
) -> Result<AgreementState, Error> {
    let recent = configured.back(window, configured.horizon());
    let mut own = store.list_own(recent).await?;
    let mut mailbox = None;
    let start = match store.find_start().await? {
        Some(start) => start,
        None => {
            let rosters = store.list_mailbox(recent).await?;
            let first = find_first_window(store, &configured, window, &rosters).await?;
            mailbox = Some(rosters);
            store.record_start(first.start()).await?
        }
    };
    if start < recent && (own.our_rosters.is_empty() || own.agreed.is_empty()) {
        // No rosters for as long as the horizon: they continue where they ended, however long ago.
        own = store.list_own(start).await?;
    }
    let mut state = AgreementState::new(configured, start, own);
    let last = read_last_agreed(store, &state).await?;
    state.policy = policy_in_force(store.processor.buckets.role, configured, last.as_ref());
    let horizon = state.policy.horizon();
    let needed = state.policy.back_from(state.next, horizon).max(start);
    // The first open window may be far back, or the terms in force may have a longer horizon than
    // the configuration.
    if needed < recent {
        state.set_listing(store.list_own(needed).await?);
    }
    state.mailbox = match mailbox {
        Some(rosters) => rosters,
        None => store.list_mailbox(state.next).await?,
    };
    read_history(store, &mut state, needed, last).await?;
    Ok(state)
}

/// Returns the agreed set of the last window before the first open one, if there is such a window.
async fn read_last_agreed(
    store: &RosterStore<'_>,
    state: &AgreementState,
) -> Result<Option<AgreedWindow>, Error> {
    let before = state.next.plus_minutes(-1);
    let before = before.filter(|before| *before >= state.start);
    match before.and_then(|before| state.policy.window_of(before)) {
        Some(last) => store.read_agreed(last).await.map(Some),
        None => Ok(None),
    }
}

/// Returns our rules with the terms that the last agreed set fixes for us. Later changes of the
/// configuration have no effect, except on the minimum: both processors compute with the same
/// terms, whatever one of them changes.
fn policy_in_force(
    role: Role,
    configured: RosterPolicy,
    last: Option<&AgreedWindow>,
) -> RosterPolicy {
    match last.and_then(|agreed| agreed.terms) {
        Some(fixed) => RosterPolicy {
            terms: fixed[role.index()].with_minimum_of(&configured.terms),
            ..configured
        },
        None => configured,
    }
}

/// Reads the results of the agreed windows from `needed` on. `last` is the agreed set of the last
/// of them.
async fn read_history(
    store: &RosterStore<'_>,
    state: &mut AgreementState,
    needed: BatchTime,
    mut last: Option<AgreedWindow>,
) -> Result<(), Error> {
    let policy = state.policy;
    let next = state.next;
    let remembered = policy.back_from(next, memory(policy.terms.maximum_age));
    let first = policy.window_of(needed).into_iter();
    let before = first.flat_map(|first| policy.windows_from(first));
    // All these windows are agreed on, whether the listing shows their sets or not.
    for window in before.take_while(|window| window.start() < next) {
        if window.start() < remembered && state.own.agreed.contains(&window) {
            continue;
        }
        let agreed = match last.take_if(|last| last.window == window) {
            Some(last) => last,
            None => store.read_agreed(window).await?,
        };
        if window.start() >= remembered {
            state.history.push(&agreed);
        }
        state.add_agreed(&agreed);
    }
    Ok(())
}

/// Returns the start of the first window without an agreed set. Windows are agreed on in order, but
/// the listing may be concurrent with another worker and may show a later set without an earlier
/// one. Sets behind such a gap are computed again, with the same result.
fn first_open(policy: RosterPolicy, own: &WindowListing, start: BatchTime) -> BatchTime {
    let first = own
        .our_rosters
        .first()
        .into_iter()
        .chain(own.agreed.first());
    let Some(first) = first.min() else {
        return start;
    };
    let mut windows = policy.windows_from(*first);
    let open = windows.find(|window| !own.agreed.contains(window));
    open.map_or(start, |window| window.start().max(start))
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

    /// Returns the window that starts at this hour.
    fn hour(hour: i64) -> Window {
        let start = policy().terms.origin.plus_minutes(60 * hour);
        let window = policy().window_of(start.expect("a time"));
        window.expect("a window")
    }

    fn hours(hours: &[i64]) -> BTreeSet<Window> {
        hours.iter().copied().map(hour).collect()
    }

    /// Returns the state with a first window at hour 2.
    fn state(our_rosters: &[i64], agreed: &[i64]) -> AgreementState {
        let own = WindowListing {
            our_rosters: hours(our_rosters),
            agreed: hours(agreed),
            counted: hours(agreed),
            ..WindowListing::default()
        };
        AgreementState::new(policy(), hour(2).start(), own)
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
            let state = state(&ours, &agreed);
            assert_eq!(state.next, hour(open).start(), "{ours:?} {agreed:?}");
            let before = agreed.iter().copied().filter(|hour| *hour < open);
            let before: Vec<i64> = before.collect();
            assert_eq!(state.own.agreed, hours(&before), "{ours:?} {agreed:?}");
        }
    }

    #[test]
    fn rosters_continue_after_the_last_one() {
        let missing = |ours: &[i64]| -> BTreeSet<Window> {
            state(ours, &[]).windows_to_write(hour(5)).collect()
        };
        assert_eq!(missing(&[]), hours(&[2, 3, 4, 5]));
        assert_eq!(missing(&[2, 3]), hours(&[4, 5]));
        assert_eq!(missing(&[2, 3, 4, 5]), hours(&[]));
    }

    #[test]
    fn only_open_windows_that_have_ended_are_adopted_and_each_once() {
        let mut state = state(&[2, 3], &[2]);
        state.mailbox = hours(&[2, 3, 4, 5, 9]);
        let half = Window::new(hour(3).start(), hour(4).end()).expect("a window");
        state.mailbox.insert(half);
        state.own.peer_rosters = hours(&[4]);
        let adopted = state.windows_to_adopt(hour(6).end().millis());
        assert_eq!(adopted.collect::<BTreeSet<_>>(), hours(&[3, 5]));
    }

    #[test]
    fn the_peer_confirms_at_most_what_is_agreed_here() {
        let mut state = state(&[2, 3, 4, 5], &[2, 3]);
        assert_eq!(state.confirmed_until(), hour(2).start());
        for (agreed_until, confirmed) in [(1, 2), (3, 3), (5, 4)] {
            state.theirs = Some(ChainReach {
                start: hour(0).start(),
                agreed_until: hour(agreed_until).start(),
            });
            let confirmed = hour(confirmed).start();
            assert_eq!(state.confirmed_until(), confirmed, "{agreed_until}");
        }
    }

    #[test]
    fn packets_are_searched_in_the_agreed_windows_of_the_horizon() {
        let mut state = state(&[2, 3, 4, 5, 6], &[2, 3, 4, 5]);
        state.own.counted.insert(hour(6));
        state.own.counted.remove(&hour(4));
        let searched = state.counted_before(hour(6), 3);
        assert_eq!(searched.collect::<BTreeSet<_>>(), hours(&[3, 5]));
    }
}
