//! What earlier runs have left of a batch. The search is skipped where they cannot have left
//! anything.
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

use super::published::PublishedValidation;
use super::stored::find_prepared;
use crate::buckets::Buckets;
use crate::error::Error;
use crate::prepared::PreparedReader;
use crate::processor::Processor;
use crate::resources::Resources;
use tallybox_model::path::{self, BatchName};
use tallybox_model::time::BatchTime;
use tallybox_transport::Published;

/// The time for which nothing is deleted from the own bucket, in minutes.
const YOUNG_BATCH_MINUTES: i64 = 24 * 60;

/// What earlier runs of this processor have left of a batch.
pub(super) enum PriorRun {
    /// Nothing.
    None,
    /// The prepared batch, which fixes all results.
    Prepared(Box<PreparedReader>),
    /// A validation batch in the peer's mailbox; the prepared batch was lost.
    Published(PublishedValidation),
}

impl PriorRun {
    /// Searches the own bucket, then the peer's mailbox.
    pub(super) async fn find(processor: &Processor, name: &BatchName) -> Result<Self, Error> {
        if let Some(prepared) = find_prepared(processor, name).await? {
            return Ok(Self::Prepared(Box::new(prepared)));
        }
        let published = PublishedValidation::find(processor, name).await?;
        Ok(published.map_or(Self::None, Self::Published))
    }
}

/// Returns whether an earlier run may have left something of this batch although the batch's date
/// is not recorded.
pub(super) async fn may_be_unrecorded(
    buckets: &Buckets,
    resources: &Resources,
    name: &BatchName,
) -> Result<bool, Error> {
    let now = BatchTime::of_clock(resources.clock.millis());
    let is_young = now
        .plus_minutes(-YOUNG_BATCH_MINUTES)
        .is_none_or(|day_ago| name.date >= day_ago);
    if !is_young || name.date > now {
        return Ok(true);
    }
    // Dates have a resolution of one minute: a batch of the minute in which the bucket was first
    // used may have been published before the loss of an earlier bucket.
    Ok(name.date <= read_bucket_created(buckets, resources, now).await?)
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
