//! What our own bucket knows of earlier intakes of a batch, and when it need not be asked.
//!
//! Everything that we publish of a batch is fixed in our own bucket before, and before that the date at which the batch
//! was first seen. So where that record is new, nothing of ours can be older, and the two looks for it (a prepared batch,
//! a published validation) are left out. The record could be new only because the own bucket was lost: then what we
//! published in its earlier life is still with the peer, and has to be found. No batch that is younger than the own
//! bucket can have been published in an earlier life of it, so those looks are left out for such batches only, and only
//! for batches of the last day: nobody's retention deletes what is younger.

use crate::error::Error;
use crate::processor::Processor;
use tallybox_model::path::{BatchName, birth};
use tallybox_model::time::BatchTime;
use tallybox_transport::Published;

/// For how long nothing is deleted from the own bucket, in minutes.
const YOUNG: i64 = 24 * 60;

/// What an earlier run may have left of a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Record {
    /// Nothing that the record of its date does not announce.
    New,
    /// Anything: it has to be looked for.
    Possible,
}

/// What an earlier run may have left of this batch.
pub(super) async fn expected(processor: &Processor, name: &BatchName) -> Result<Record, Error> {
    let now = BatchTime::of_clock(processor.clock.millis());
    let young = now.plus_minutes(-YOUNG).is_none_or(|day_ago| name.date >= day_ago);
    // Dates are minutes: what was published in the minute of the birth may be of an earlier life.
    if !young || name.date > now || name.date <= born(processor, now).await? {
        return Ok(Record::Possible);
    }
    Ok(Record::New)
}

/// The time at which the own bucket was first used; looked at once a process.
async fn born(processor: &Processor, now: BatchTime) -> Result<BatchTime, Error> {
    let reading = async || {
        let before = processor.fix_text(&birth(&processor.instance), &now).await?;
        Ok(before.unwrap_or(now))
    };
    processor.cache.birth.get_or_try_init(reading).await.copied()
}

/// Binds the batch to its date: the first one seen stands, any other is a copy. The answer says whether this run is the
/// first to see it.
pub(super) async fn first_seen(processor: &Processor, name: &BatchName) -> Result<Published, Error> {
    match processor.fix_text(&name.first_seen(), &name.date).await? {
        None => Ok(Published::New),
        Some(first) if first == name.date => Ok(Published::Same),
        Some(first) => Err(Error::Copied {
            batch: name.clone(),
            first: first.to_string(),
        }),
    }
}
