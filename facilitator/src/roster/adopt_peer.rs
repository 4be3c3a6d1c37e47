//! Adopts the peer's rosters: the first valid roster of each window is copied into the own bucket,
//! and only the copy counts.

use super::agreement::Roster;
use super::progress::Progress;
use super::store::{CopyOutcome, RosterStore};
use super::summary::{Alarm, RosterSummary};
use crate::error::Error;
use std::collections::BTreeSet;
use tallybox_model::time::Window;

/// The greatest time by which a window may end after our present time if the peer's roster of it is
/// copied, in milliseconds. No honest clock is a day ahead of ours.
const MAX_AHEAD_MILLIS: i64 = 24 * 60 * 60_000;
/// The most rosters of the peer that a run copies in addition to those that it needs.
const MOST_COPIED_ROSTERS: usize = 1024;

/// Copies all of the peer's rosters that are in the mailbox, before ours are written. After a peer
/// has found our roster, it agrees on the window and does not put its own roster there again; and
/// the retention of the objects in the mailbox may end soon.
pub(super) async fn adopt_all(
    store: &RosterStore<'_>,
    progress: &mut Progress,
    summary: &mut RosterSummary,
) -> Result<(), Error> {
    let latest = store.processor.resources.clock.millis() + MAX_AHEAD_MILLIS;
    let windows = progress.windows_to_adopt(latest);
    let windows: Vec<Window> = windows.take(MOST_COPIED_ROSTERS).collect();
    for window in windows {
        adopt_peer(store, progress, window, summary).await?;
    }
    if let Some(last) = progress.copied_rosters.last() {
        progress.peer_reach = Some(store.read_copied_roster(*last).await?.chain);
    }
    Ok(())
}

/// Returns the peer's roster of a window, and copies it first if there is no copy; `None` if it
/// does not exist or is invalid. An invalid roster raises an alarm.
pub(super) async fn adopt_peer(
    store: &RosterStore<'_>,
    progress: &mut Progress,
    window: Window,
    summary: &mut RosterSummary,
) -> Result<Option<Roster>, Error> {
    if progress.copied_rosters.contains(&window) {
        return store.read_copied_roster(window).await.map(Some);
    }
    if !progress.mailbox_rosters.contains(&window) {
        return roster_before_peer_start(store, progress, window, summary).await;
    }
    if progress.refused_rosters.contains(&window) {
        return Ok(None);
    }
    match store.copy_peer_roster(window).await? {
        CopyOutcome::Copied => {}
        CopyOutcome::Missing => return Ok(None),
        CopyOutcome::Invalid(problem) => {
            let object = store.peer_object(window);
            summary.alarm(Alarm::BadRoster { object, problem });
            progress.refused_rosters.insert(window);
            return Ok(None);
        }
    }
    progress.copied_rosters.insert(window);
    store.read_copied_roster(window).await.map(Some)
}

/// Returns the empty roster for a window before the peer's first one; `None` as long as the peer
/// may still publish a roster of the window.
async fn roster_before_peer_start(
    store: &RosterStore<'_>,
    progress: &mut Progress,
    window: Window,
    summary: &mut RosterSummary,
) -> Result<Option<Roster>, Error> {
    // Any later roster of the peer states where its rosters start.
    let find_later = |windows: &BTreeSet<Window>| windows.range(window..).next().copied();
    let copied = find_later(&progress.copied_rosters);
    let Some(later) = copied.or_else(|| find_later(&progress.mailbox_rosters)) else {
        return Ok(None);
    };
    // This recursion ends after one step, because the roster of that window exists.
    let roster = Box::pin(adopt_peer(store, progress, later, summary)).await?;
    let roster = roster.filter(|roster| window.start() < roster.chain.start);
    Ok(roster.map(|roster| roster.empty_before_start(window)))
}
