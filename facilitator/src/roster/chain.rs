//! Where an aggregation's rosters stand: what of which window is in our own bucket.

use super::policy::RosterPolicy;
use crate::error::Error;
use crate::processor::Processor;
use futures::TryStreamExt as _;
use std::collections::BTreeSet;
use tallybox_model::id::AggregationId;
use tallybox_model::roster::{RosterObject, WindowName, chain};
use tallybox_model::time::{BatchTime, Window};
use tallybox_transport::{Bucket, BucketError, ListRange, publish_bytes, read_all};

/// The longest text of a chain's start.
const TEXT_BYTES: u64 = 32;

/// What there is of each window, by the start of the windows.
#[derive(Clone, Debug, Default)]
pub(super) struct Standing {
    pub(super) ours: BTreeSet<Window>,
    pub(super) theirs: BTreeSet<Window>,
    pub(super) agreed: BTreeSet<Window>,
    pub(super) counted: BTreeSet<Window>,
}

/// Lists a bucket's roster objects of the windows from `start` on.
pub(super) async fn standing(
    processor: &Processor,
    bucket: &dyn Bucket,
    aggregation: &AggregationId,
    start: BatchTime,
) -> Result<Standing, Error> {
    let directory = format!("{}/{aggregation}", WindowName::DIRECTORY);
    let range = ListRange {
        start_at: Some(RosterObject::from(WindowName::DIRECTORY, aggregation, start)),
        end_before: None,
    };
    let mut entries = bucket.list(&directory, range).await?;
    let mut standing = Standing::default();
    while let Some(entry) = entries.try_next().await? {
        let Some((name, object)) = RosterObject::parse(&entry.key) else {
            continue;
        };
        let of_kind = match object {
            RosterObject::Roster(role) if role == processor.role => &mut standing.ours,
            RosterObject::Roster(_) => &mut standing.theirs,
            RosterObject::Agreed => &mut standing.agreed,
            RosterObject::Counted => &mut standing.counted,
            RosterObject::Verdicts | RosterObject::Done => continue,
        };
        of_kind.insert(name.window);
    }
    Ok(standing)
}

/// The first window of which we write a roster, if that is fixed.
pub(super) async fn find_start(processor: &Processor, aggregation: &AggregationId) -> Result<Option<BatchTime>, Error> {
    let object = chain(aggregation);
    match read_all(&*processor.buckets.own, &object, TEXT_BYTES).await {
        Err(BucketError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error.into()),
        Ok(text) => {
            let start = std::str::from_utf8(&text).ok().and_then(|text| text.parse().ok());
            let start = start.ok_or_else(|| Error::Internal(format!("{object} in the own bucket is no time")))?;
            Ok(Some(start))
        }
    }
}

/// Fixes the first window; the answer is the one that stands.
pub(super) async fn fix_start(
    processor: &Processor,
    aggregation: &AggregationId,
    start: BatchTime,
) -> Result<BatchTime, Error> {
    let object = chain(aggregation);
    match publish_bytes(&*processor.buckets.own, &object, start.to_string().into(), false).await {
        Ok(_) => Ok(start),
        Err(BucketError::Conflict { .. }) => {
            let fixed = find_start(processor, aggregation).await?;
            fixed.ok_or_else(|| Error::Internal(format!("{object} vanished")))
        }
        Err(error) => Err(error.into()),
    }
}

/// The windows from one on, in order.
pub(super) fn from(policy: &RosterPolicy, first: Window) -> impl Iterator<Item = Window> + use<> {
    let policy = *policy;
    std::iter::successors(Some(first), move |window| policy.window_of(window.end()))
}

/// The windows from the one that holds a time to another, both included, in order.
pub(super) fn windows(policy: &RosterPolicy, start: BatchTime, to: Window) -> impl Iterator<Item = Window> + use<> {
    let first = policy.window_of(start).into_iter();
    let policy = *policy;
    let all = first.flat_map(move |first| from(&policy, first));
    all.take_while(move |window| *window <= to)
}
