//! Checks that no batch is summed both with rosters and without.

use super::store::RosterStore;
use crate::error::Error;
use crate::sum::{claimed, summed_before};
use std::collections::{BTreeMap, BTreeSet};
use tallybox_model::path::BatchName;
use tallybox_model::roster::{AgreedWindow, DatedBatch};
use tallybox_model::time::Window;

/// The longest window of rosters, in minutes.
const LONGEST_WINDOW_MINUTES: i64 = 31 * 24 * 60;

/// Returns the batches dated within `dates` that are in agreed sets, each with the window that sums
/// it.
///
/// A batch is agreed on in its own window or a later one, so the sets of all windows from this one
/// on are read. For a window before or after the time of rosters, there are few such sets or none.
///
/// # Errors
/// An error of the own bucket.
pub(crate) async fn agreed_in(
    store: &RosterStore<'_>,
    dates: Window,
) -> Result<BTreeMap<BatchName, Window>, Error> {
    let start = dates.start();
    // An earlier window of rosters may contain the start of this one.
    let from = start.plus_minutes(-LONGEST_WINDOW_MINUTES).unwrap_or(start);
    let listing = store.list_own(from).await?;
    let mut batches = BTreeMap::new();
    for window in listing.agreed {
        if window.end() <= start {
            continue;
        }
        for agreed_batch in store.read_agreed(window).await?.batches {
            batches.insert(store.batch(agreed_batch.batch), window);
        }
    }
    Ok(batches)
}

/// Checks that no batch of an agreed set has been summed without rosters.
///
/// # Errors
/// [`Error::SummedBefore`], or an error of the own bucket.
pub(super) async fn check_agreed(
    store: &RosterStore<'_>,
    agreed: &AgreedWindow,
) -> Result<(), Error> {
    let dates = agreed
        .batches
        .iter()
        .map(|agreed_batch| agreed_batch.batch.date);
    let Some((first, last)) = dates.clone().min().zip(dates.max()) else {
        return Ok(());
    };
    // A window is half-open, so its end is one minute after the last date.
    let after = last.plus_minutes(1).unwrap_or(last);
    let Ok(dates) = Window::new(first, after) else {
        return Ok(());
    };
    let claimed = claimed(&store.processor.buckets, store.aggregation, dates).await?;
    for agreed_batch in &agreed.batches {
        let batch = store.batch(agreed_batch.batch);
        if let Some(then) = claimed.get(&batch) {
            return Err(summed_before(&batch, *then, agreed.window));
        }
    }
    Ok(())
}

/// Returns the batches dated within `dates` that are summed without rosters. Our rosters do not
/// list them.
///
/// # Errors
/// An error of the own bucket.
pub(super) async fn without_rosters(
    store: &RosterStore<'_>,
    dates: Window,
) -> Result<BTreeSet<DatedBatch>, Error> {
    let claimed = claimed(&store.processor.buckets, store.aggregation, dates).await?;
    for (batch, window) in &claimed {
        tracing::warn!(%batch, summed_in = %window, "batch is already summed without rosters, so our roster does not list it");
    }
    Ok(claimed.keys().map(DatedBatch::from_batch).collect())
}
