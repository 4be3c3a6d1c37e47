//! Finds out whether an earlier run may have left objects of a batch, and skips the search where it
//! cannot.
//!
//! Before this processor publishes anything of a batch, it records its results in the own bucket,
//! and before those the date at which it first saw the batch. So if that date is new, no older
//! object of this processor exists, and the two requests for older objects (a prepared batch, a
//! published validation batch) are skipped.
//!
//! There is one exception: the date is also new if the own bucket was lost. Batches that this
//! processor published before the loss are still in the peer's mailbox and have to be found. A
//! batch that is younger than the own bucket cannot have been published before the loss. So the
//! requests are skipped only for batches that are younger than the own bucket, and only for batches
//! of the last day, since no retention rule deletes objects that are younger than a day.

use crate::buckets::Buckets;
use crate::error::Error;
use crate::resources::Resources;
use tallybox_model::path::{self, BatchName};
use tallybox_model::time::BatchTime;
use tallybox_transport::Published;

/// The time for which nothing is deleted from the own bucket, in minutes.
const YOUNG_BATCH_MINUTES: i64 = 24 * 60;

/// The possible results of earlier runs for a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum PriorRun {
    /// No object, unless the record of the batch's date exists.
    None,
    /// Any object; earlier results have to be searched.
    Possible,
}

/// Returns what an earlier run may have left of this batch.
pub(super) async fn prior_run(
    buckets: &Buckets,
    resources: &Resources,
    name: &BatchName,
) -> Result<PriorRun, Error> {
    let now = BatchTime::of_clock(resources.clock.millis());
    let is_young = now
        .plus_minutes(-YOUNG_BATCH_MINUTES)
        .is_none_or(|day_ago| name.date >= day_ago);
    // Dates have a resolution of one minute: a batch of the minute in which the bucket was first
    // used may have been published before the loss of an earlier bucket.
    if !is_young
        || name.date > now
        || name.date <= read_bucket_created(buckets, &resources, now).await?
    {
        return Ok(PriorRun::Possible);
    }
    Ok(PriorRun::None)
}

/// Returns the time at which the own bucket was first used. The record is read once per process.
async fn read_bucket_created(
    buckets: &Buckets,
    resources: &Resources,
    now: BatchTime,
) -> Result<BatchTime, Error> {
    let read = async || {
        let before = buckets
            .fix_text(&path::bucket_created(&buckets.instance), &now)
            .await?;
        Ok(before.unwrap_or(now))
    };
    resources
        .cache
        .bucket_created
        .get_or_try_init(read)
        .await
        .copied()
}

/// Binds the batch to its date: the first date is recorded, and a batch with any other date is a
/// copy. Returns [`Published::New`] if this run is the first to see the batch.
pub(super) async fn fix_date(buckets: &Buckets, name: &BatchName) -> Result<Published, Error> {
    match buckets.fix_text(&name.first_seen(), &name.date).await? {
        None => Ok(Published::New),
        Some(first) if first == name.date => Ok(Published::Same),
        Some(first) => Err(Error::Copied {
            batch: name.clone(),
            first: first.to_string(),
        }),
    }
}
