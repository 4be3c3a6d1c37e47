//! The progress of an aggregation's rosters: which objects exist for which windows, and how far
//! both processors have agreed.

use super::history::History;
use super::policy::RosterPolicy;
use super::store::WindowListing;
use std::collections::BTreeSet;
use tallybox_model::roster::{AgreedWindow, ChainReach};
use tallybox_model::time::{BatchTime, Window};

/// The progress of an aggregation's rosters. It is computed when a task begins; each step of the
/// task adds what it has done.
#[derive(Debug)]
pub(super) struct Progress {
    /// The rules in force: those of the configuration, with the terms that the first window fixed.
    pub(super) policy: RosterPolicy,
    /// Start of the first window with a roster of ours.
    pub(super) start: BatchTime,
    /// Start of the first window without an agreed set when the task began.
    pub(super) next: BatchTime,
    /// Windows with a recorded roster of ours.
    pub(super) our_rosters: BTreeSet<Window>,
    /// Windows of which the own bucket contains a copy of the peer's roster.
    pub(super) copied_rosters: BTreeSet<Window>,
    /// Windows of which our mailbox contained a roster of the peer.
    pub(super) mailbox_rosters: BTreeSet<Window>,
    /// Windows for which this run found the peer's roster invalid. Such a roster may be large and
    /// is not read again.
    pub(super) refused_rosters: BTreeSet<Window>,
    /// Windows with an agreed set, as far back as they are needed.
    pub(super) agreed: BTreeSet<Window>,
    /// Windows with a record of the packets that count.
    pub(super) counted: BTreeSet<Window>,
    /// The first window of the peer and how far it has agreed, as stated in its last roster that we
    /// have copied.
    pub(super) peer_reach: Option<ChainReach>,
    /// The results of earlier windows.
    pub(super) history: History,
}

impl Progress {
    /// Computes the progress from the recorded start and a listing of the own bucket.
    pub(super) fn new(policy: RosterPolicy, start: BatchTime, own: WindowListing) -> Self {
        let mut progress = Self {
            policy,
            start,
            next: first_open(policy, &own, start),
            our_rosters: BTreeSet::new(),
            copied_rosters: BTreeSet::new(),
            mailbox_rosters: BTreeSet::new(),
            refused_rosters: BTreeSet::new(),
            agreed: BTreeSet::new(),
            counted: BTreeSet::new(),
            peer_reach: None,
            history: History::default(),
        };
        progress.set_listing(own);
        progress
    }

    /// Replaces the windows by those of a listing that reaches further back. The first open window
    /// stays the same.
    pub(super) fn set_listing(&mut self, own: WindowListing) {
        self.our_rosters = own.our_rosters;
        self.copied_rosters = own.peer_rosters;
        self.agreed = own.agreed;
        self.counted = own.counted;
        // Sets behind a gap are computed again.
        self.agreed.retain(|window| window.start() < self.next);
    }

    /// Adds a window that is agreed on.
    pub(super) fn add_agreed(&mut self, agreed: &AgreedWindow) {
        self.agreed.insert(agreed.window);
        if !agreed.batches.is_empty() {
            // Later windows of this run search these packets for repetitions, just as a later run
            // does.
            self.counted.insert(agreed.window);
        }
    }

    /// Returns the windows up to `last` of which our roster is missing.
    pub(super) fn windows_to_write(&self, last: Window) -> impl Iterator<Item = Window> + use<> {
        let written = self.our_rosters.last();
        let first = written.map_or(self.start, Window::end);
        self.policy.windows(first, last)
    }

    /// Returns the windows of which the peer's roster is in the mailbox only, and whose end is at
    /// most `latest`, in milliseconds. The peer chooses the names in the mailbox, so they may
    /// denote no window.
    pub(super) fn windows_to_adopt(&self, latest: i64) -> impl Iterator<Item = Window> {
        let missing = self.mailbox_rosters.difference(&self.copied_rosters);
        missing.copied().filter(move |window| {
            window.start() >= self.next
                && window.end().millis() <= latest
                && self.policy.check(*window).is_ok()
        })
    }

    /// Returns the time up to which the peer has our rosters. Windows that are not agreed on here
    /// will not be agreed on there for long.
    pub(super) fn confirmed_until(&self) -> BatchTime {
        let until = self
            .peer_reach
            .map_or(self.start, |reach| reach.agreed_until);
        until.clamp(self.start, self.next)
    }

    /// Returns the last `horizon` windows before this one as far as they count packets.
    pub(super) fn counted_before(
        &self,
        window: Window,
        horizon: u32,
    ) -> impl Iterator<Item = Window> {
        let horizon = self.policy.back(window, horizon)..window.start();
        let counted = self.counted.intersection(&self.agreed).copied();
        counted.filter(move |earlier| horizon.contains(&earlier.start()))
    }
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

    /// Returns the progress with a first window at hour 2.
    fn progress(our_rosters: &[i64], agreed: &[i64]) -> Progress {
        let own = WindowListing {
            our_rosters: hours(our_rosters),
            agreed: hours(agreed),
            counted: hours(agreed),
            ..WindowListing::default()
        };
        Progress::new(policy(), hour(2).start(), own)
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
            let progress = progress(&ours, &agreed);
            assert_eq!(progress.next, hour(open).start(), "{ours:?} {agreed:?}");
            let before = agreed.iter().copied().filter(|hour| *hour < open);
            let before: Vec<i64> = before.collect();
            assert_eq!(progress.agreed, hours(&before), "{ours:?} {agreed:?}");
        }
    }

    #[test]
    fn rosters_continue_after_the_last_one() {
        let missing = |ours: &[i64]| -> BTreeSet<Window> {
            progress(ours, &[]).windows_to_write(hour(5)).collect()
        };
        assert_eq!(missing(&[]), hours(&[2, 3, 4, 5]));
        assert_eq!(missing(&[2, 3]), hours(&[4, 5]));
        assert_eq!(missing(&[2, 3, 4, 5]), hours(&[]));
    }

    #[test]
    fn only_open_windows_that_have_ended_are_adopted_and_each_once() {
        let mut progress = progress(&[2, 3], &[2]);
        progress.mailbox_rosters = hours(&[2, 3, 4, 5, 9]);
        let half = Window::new(hour(3).start(), hour(4).end()).expect("a window");
        progress.mailbox_rosters.insert(half);
        progress.copied_rosters = hours(&[4]);
        let adopted = progress.windows_to_adopt(hour(6).end().millis());
        assert_eq!(adopted.collect::<BTreeSet<_>>(), hours(&[3, 5]));
    }

    #[test]
    fn the_peer_confirms_at_most_what_is_agreed_here() {
        let mut progress = progress(&[2, 3, 4, 5], &[2, 3]);
        assert_eq!(progress.confirmed_until(), hour(2).start());
        for (agreed_until, confirmed) in [(1, 2), (3, 3), (5, 4)] {
            progress.peer_reach = Some(ChainReach {
                start: hour(0).start(),
                agreed_until: hour(agreed_until).start(),
            });
            let confirmed = hour(confirmed).start();
            assert_eq!(progress.confirmed_until(), confirmed, "{agreed_until}");
        }
    }

    #[test]
    fn packets_are_searched_in_the_agreed_windows_of_the_horizon() {
        let mut progress = progress(&[2, 3, 4, 5, 6], &[2, 3, 4, 5]);
        progress.counted.insert(hour(6));
        progress.counted.remove(&hour(4));
        let searched = progress.counted_before(hour(6), 3);
        assert_eq!(searched.collect::<BTreeSet<_>>(), hours(&[3, 5]));
    }
}
