//! The window that sums each batch: without rosters, a batch is claimed for one window before that
//! window's sum part is recorded, so that no other window can sum the batch again.
//!
//! With rosters the agreed sets contain this information. Both kinds of records are read in both
//! cases, so that a batch that was summed with rosters is not summed again without them, and vice
//! versa.

use crate::buckets::Buckets;
use crate::error::Error;
use futures::TryStreamExt as _;
use futures::future::try_join_all;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tallybox_model::id::AggregationId;
use tallybox_model::path::{BatchName, summed_range};
use tallybox_model::roster::WindowName;
use tallybox_model::time::Window;
use tallybox_transport::{BucketError, ListRange};

/// The largest size of a claim, in bytes.
const CLAIM_BYTES: u64 = 4 << 10;
/// The number of claims that are written in parallel.
const CONCURRENT_CLAIMS: usize = 8;

/// The content of `summed/{agg}/{DATE}/{id}` in the own bucket, an authenticated record in JSON:
/// the window that sums the batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Claim {
    window: Window,
}

/// Returns the claimed batches that are dated within `dates`, each with the window that sums it.
///
/// # Errors
/// An error of the own bucket.
pub(crate) async fn claimed(
    buckets: &Buckets,
    aggregation: &AggregationId,
    dates: Window,
) -> Result<BTreeMap<BatchName, Window>, Error> {
    let (directory, (start, end)) = summed_range(aggregation, &dates);
    let range = ListRange {
        start_at: Some(start),
        end_before: Some(end),
    };
    let entries = buckets.own.list(&directory, range).await?;
    let keys: Vec<String> = entries.map_ok(|entry| entry.key).try_collect().await?;
    let mut claimed = BTreeMap::new();
    for batch in keys.iter().filter_map(|key| BatchName::from_summed(key)) {
        let window = read(buckets, &batch).await?;
        claimed.insert(batch, window);
    }
    Ok(claimed)
}

async fn read(buckets: &Buckets, batch: &BatchName) -> Result<Window, Error> {
    let object = batch.summed();
    let missing = || Error::Internal(format!("{object} in the own bucket disappeared"));
    let text = buckets
        .read_record(&object, CLAIM_BYTES)
        .await?
        .ok_or_else(missing)?;
    let claim: Claim = serde_json::from_slice(&text).map_err(|error| {
        Error::Internal(format!("{object} in the own bucket is malformed: {error}"))
    })?;
    Ok(claim.window)
}

/// Claims batches for a window, except those that it has `claimed` already.
///
/// # Errors
/// [`Error::SummedBefore`] if another window claimed a batch in the meantime, or an error of the
/// own bucket.
pub(crate) async fn claim(
    buckets: &Buckets,
    name: &WindowName,
    batches: &[BatchName],
    claimed: &BTreeMap<BatchName, Window>,
) -> Result<(), Error> {
    let claim = Claim {
        window: name.window,
    };
    let text = serde_json::to_vec(&claim).map_err(|error| Error::Internal(error.to_string()))?;
    let open: Vec<&BatchName> = batches
        .iter()
        .filter(|batch| !claimed.contains_key(batch))
        .collect();
    for some in open.chunks(CONCURRENT_CLAIMS) {
        try_join_all(
            some.iter()
                .map(|batch| claim_batch(buckets, batch, name.window, &text)),
        )
        .await?;
    }
    Ok(())
}

async fn claim_batch(
    buckets: &Buckets,
    batch: &BatchName,
    window: Window,
    text: &[u8],
) -> Result<(), Error> {
    match buckets.create_record(&batch.summed(), text).await {
        Ok(_) => Ok(()),
        // Another run has claimed the batch. A claim for the same window has the same effect.
        Err(BucketError::Conflict { .. }) => {
            same_window(batch, read(buckets, batch).await?, window)
        }
        Err(error) => Err(error.into()),
    }
}

fn same_window(batch: &BatchName, then: Window, now: Window) -> Result<(), Error> {
    match then == now {
        true => Ok(()),
        false => Err(summed_before(batch, then, now)),
    }
}

pub(crate) fn summed_before(batch: &BatchName, then: Window, now: Window) -> Error {
    Error::SummedBefore {
        batch: batch.clone(),
        then,
        now,
    }
}
