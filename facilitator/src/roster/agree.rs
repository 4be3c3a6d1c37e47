//! Computes the agreed set of a window from both rosters, and records it in the own bucket.

use super::agreement::{Count, Draft, Roster, compare};
use super::progress::Progress;
use super::report::report_terms;
use super::store::{RosterStore, VerdictFiles};
use super::summary::RosterSummary;
use super::validations::publish_validations_again;
use crate::error::Error;
use crate::ids::IdSet;
use tallybox_model::id::PacketId;
use tallybox_model::roster::AgreedWindow;
use tallybox_model::time::Window;

/// Agrees on a window with the peer's roster of it. All earlier windows are agreed on.
pub(super) async fn agree(
    store: &RosterStore<'_>,
    progress: &mut Progress,
    window: Window,
    theirs: &Roster,
    summary: &mut RosterSummary,
) -> Result<AgreedWindow, Error> {
    let ours = store.read_our_roster(window).await?;
    publish_validations_again(store, &ours, theirs).await?;
    let rosters = match store.processor.buckets.role.index() {
        0 => [&ours, theirs],
        _ => [theirs, &ours],
    };
    let is_last = progress.policy.is_last(window);
    let draft = compare(rosters, &progress.history, is_last).map_err(|source| Error::Terms {
        window: window.to_string(),
        source,
    })?;
    report_terms(&store.window(window), rosters, &draft, summary);
    let agreed = conclude(store, progress, window, draft).await?;
    progress.history.push(&agreed);
    progress.add_agreed(&agreed);
    Ok(agreed)
}

/// Counts the packets of a draft and records the result: first the packets that count, then the
/// agreed set, so that a recorded set always has its packets.
async fn conclude(
    store: &RosterStore<'_>,
    progress: &Progress,
    window: Window,
    draft: Draft,
) -> Result<AgreedWindow, Error> {
    let count = if draft.batches.is_empty() {
        Count::new(IdSet::default())
    } else {
        count(store, progress, window, &draft).await?
    };
    let agreed = draft.conclude(&count);
    if !agreed.batches.is_empty() {
        store.record_counted(window, count).await?;
    }
    store.record_agreed(&agreed).await?;
    Ok(agreed)
}

/// Determines which packets of a draft's batches count.
async fn count(
    store: &RosterStore<'_>,
    progress: &Progress,
    window: Window,
    draft: &Draft,
) -> Result<Count, Error> {
    let accepted = read_accepted(store, window, draft).await?;
    let mut wanted = IdSet::default();
    for id in accepted.iter().flatten() {
        wanted.insert(*id.as_bytes());
    }
    let mut before = IdSet::default();
    // Both processors have the same horizon, because a draft exists.
    let horizon = draft.terms[0].replay_horizon;
    for earlier in progress.counted_before(window, horizon) {
        for id in store.read_counted(earlier, &wanted).await? {
            before.insert(id);
        }
    }
    let mut count = Count::new(before);
    for ids in &accepted {
        count.batch(ids);
    }
    Ok(count)
}

/// Returns the accepted packets of each batch of a draft, in the draft's order.
async fn read_accepted(
    store: &RosterStore<'_>,
    window: Window,
    draft: &Draft,
) -> Result<Vec<Vec<PacketId>>, Error> {
    let mut files = VerdictFiles::open(store, window).await?;
    let mut accepted = Vec::with_capacity(draft.batches.len());
    for (batch, _) in &draft.batches {
        let (file, verdict) = files.find(*batch).await?;
        accepted.push(file.accepted(verdict).await?);
    }
    Ok(accepted)
}
