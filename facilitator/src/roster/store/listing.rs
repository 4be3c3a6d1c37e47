//! Lists the roster objects in a bucket.

use crate::buckets::Buckets;
use crate::error::Error;
use futures::TryStreamExt as _;
use futures::stream::BoxStream;
use std::collections::BTreeSet;
use tallybox_model::id::AggregationId;
use tallybox_model::path::window_range;
use tallybox_model::roster::{RosterObject, WindowName};
use tallybox_model::time::{BatchTime, Window};
use tallybox_transport::{Bucket, BucketError, Entry, ListRange};

/// The windows for which each kind of object exists.
#[derive(Clone, Debug, Default)]
pub(crate) struct WindowListing {
    pub(crate) ours: BTreeSet<Window>,
    pub(crate) theirs: BTreeSet<Window>,
    pub(crate) agreed: BTreeSet<Window>,
    pub(crate) counted: BTreeSet<Window>,
}

/// Lists a bucket's roster objects of the windows from `start` on.
pub(crate) async fn list_window_objects(
    buckets: &Buckets,
    bucket: &dyn Bucket,
    aggregation: &AggregationId,
    start: BatchTime,
) -> Result<WindowListing, Error> {
    let directory = format!("{}/{aggregation}", WindowName::DIRECTORY);
    let range = ListRange {
        start_at: Some(RosterObject::from(
            WindowName::DIRECTORY,
            aggregation,
            start,
        )),
        end_before: None,
    };
    let mut entries = bucket.list(&directory, range).await?;
    let mut listing = WindowListing::default();
    while let Some(entry) = entries.try_next().await? {
        let Some((name, object)) = RosterObject::parse(&entry.key) else {
            continue;
        };
        let windows = match object {
            RosterObject::Roster(role) if role == buckets.role => &mut listing.ours,
            RosterObject::Roster(_) => &mut listing.theirs,
            RosterObject::Agreed => &mut listing.agreed,
            RosterObject::Counted => &mut listing.counted,
            RosterObject::Verdicts | RosterObject::Held | RosterObject::Done => continue,
        };
        windows.insert(name.window);
    }
    Ok(listing)
}

/// Lists the objects in a bucket of batches dated within `dates`.
pub(crate) async fn list_batches(
    bucket: &dyn Bucket,
    name: &WindowName,
    dates: Window,
) -> Result<BoxStream<'static, Result<Entry, BucketError>>, BucketError> {
    let (start, end) = window_range(&name.aggregation, &dates);
    let range = ListRange {
        start_at: Some(start),
        end_before: Some(end),
    };
    bucket.list(name.aggregation.as_str(), range).await
}
