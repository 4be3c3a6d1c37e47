//! Writes our rosters in the order of the windows, without gaps: each is recorded in the own
//! bucket, then copied into the peer's mailbox.

use super::gather::Gathering;
use super::progress::Progress;
use super::store::RosterStore;
use super::summary::RosterSummary;
use crate::error::Error;
use crate::progress::ProgressCallback;
use bytes::Bytes;
use tallybox_model::roster::ChainReach;
use tallybox_model::time::Window;

/// Records our roster of a window, and copies it into the mailbox.
pub(super) async fn write_ours(
    store: &RosterStore<'_>,
    progress: &mut Progress,
    window: Window,
    summary: &mut RosterSummary,
    callback: &ProgressCallback,
) -> Result<(), Error> {
    let gathering = Gathering {
        store,
        progress,
        window,
        callback,
    };
    let verdicts = gathering.verdicts(summary).await?;
    let reach = ChainReach {
        start: progress.start,
        agreed_until: progress.next,
    };
    let terms = &progress.policy.terms;
    let file = Bytes::from(store.encode(window, reach, terms, &verdicts.listed)?);
    let is_recorded = store.record_our_roster(window, &file).await?;
    let recorded = is_recorded.then_some(file);
    store.publish_our_roster(window, recorded).await?;
    progress.our_rosters.insert(window);
    summary.written.push(window);
    Ok(())
}

/// Copies those of our rosters into the mailbox again that the peer may lack, except those that
/// this run has written. An earlier run may have been interrupted before it published, and a
/// mailbox deletes objects that an offline peer does not fetch in time.
pub(super) async fn publish_again(
    store: &RosterStore<'_>,
    progress: &Progress,
    summary: &RosterSummary,
) -> Result<(), Error> {
    let since = progress.confirmed_until();
    let first = progress.our_rosters.first();
    let ours = match first.is_some_and(|first| first.start() <= since) {
        true => progress.our_rosters.clone(),
        // The listing so far does not reach back far enough.
        false => store.list_own(since).await?.our_rosters,
    };
    for window in ours {
        if window.start() >= since && !summary.written.contains(&window) {
            store.publish_our_roster(window, None).await?;
        }
    }
    Ok(())
}
