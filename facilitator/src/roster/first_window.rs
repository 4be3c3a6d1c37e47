//! Finds the first window for which this processor writes a roster of an aggregation.

use super::policy::RosterPolicy;
use super::signed::{self, Signature};
use super::store::RosterStore;
use crate::error::Error;
use futures::TryStreamExt as _;
use std::collections::BTreeSet;
use tallybox_model::path::BatchName;
use tallybox_model::time::Window;

/// The most objects without a valid signature that are read in the search for the first batch.
const MOST_UNSIGNED_OBJECTS: u32 = 256;

/// Returns the first window with a batch or with a roster of the peer in the mailbox, at the latest
/// the requested window.
pub(super) async fn find_first_window(
    store: &RosterStore<'_>,
    policy: &RosterPolicy,
    requested: Window,
    mailbox: &BTreeSet<Window>,
) -> Result<Window, Error> {
    // The search starts at the origin, so that batches that have waited too long are reported, too.
    let origin = policy.terms.origin.min(requested.start());
    let dates =
        Window::new(origin, requested.end()).map_err(|error| Error::Internal(error.to_string()))?;
    let ingested = find_first_signed(store, dates).await?;
    // The mailbox may already have deleted batches that we have processed.
    let prepared = find_first_prepared(store, dates).await?;
    let batches = ingested.into_iter().chain(prepared);
    let windows = batches.filter_map(|batch| policy.window_of(batch.date));
    let first = windows.chain(mailbox.first().copied()).min();
    Ok(first.map_or(requested, |first| first.min(requested)))
}

/// Returns the first batch in the mailbox with a valid signature.
async fn find_first_signed(
    store: &RosterStore<'_>,
    dates: Window,
) -> Result<Option<BatchName>, Error> {
    let mailbox = &*store.processor.buckets.ingestion;
    let mut entries = store.list_batches(mailbox, dates).await?;
    let mut unsigned = 0;
    // A party that fills the mailbox with unsigned names only delays our first roster; signed
    // batches are not affected.
    while unsigned < MOST_UNSIGNED_OBJECTS
        && let Some(entry) = entries.try_next().await?
    {
        let Some(batch) = BatchName::from_ingestion_signature(&entry.key) else {
            continue;
        };
        if signed::ingestion(store, &batch).await? == Signature::Good {
            return Ok(Some(batch));
        }
        unsigned += 1;
    }
    Ok(None)
}

/// Returns the first prepared batch in the own bucket.
async fn find_first_prepared(
    store: &RosterStore<'_>,
    dates: Window,
) -> Result<Option<BatchName>, Error> {
    let own = &*store.processor.buckets.own;
    let mut entries = store.list_batches(own, dates).await?;
    while let Some(entry) = entries.try_next().await? {
        if let Some(batch) = BatchName::from_prepared(&entry.key) {
            return Ok(Some(batch));
        }
    }
    Ok(None)
}
