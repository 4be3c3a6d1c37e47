//! Lists the roster objects in a bucket.

use super::{RosterStore, retry_read};
use crate::error::Error;
use futures::TryStreamExt as _;
use futures::stream::BoxStream;
use std::collections::BTreeSet;
use tallybox_model::path::window_range;
use tallybox_model::roster::{RosterObject, WindowName};
use tallybox_model::time::{BatchTime, Window};
use tallybox_transport::{Bucket, BucketError, Entry, ListRange};

/// The windows for which each kind of object exists in a bucket.
#[derive(Clone, Debug, Default)]
pub(crate) struct WindowListing {
    pub(crate) our_rosters: BTreeSet<Window>,
    pub(crate) peer_rosters: BTreeSet<Window>,
    pub(crate) agreed: BTreeSet<Window>,
    pub(crate) counted: BTreeSet<Window>,
}

impl RosterStore<'_> {
    /// Lists the objects in the own bucket of the windows from `start` on.
    pub(crate) async fn list_own(&self, start: BatchTime) -> Result<WindowListing, Error> {
        retry_read(|| self.list(&*self.processor.buckets.own, start)).await
    }

    /// Returns the windows from `start` on for which our mailbox contains a roster of the peer.
    pub(crate) async fn list_mailbox(&self, start: BatchTime) -> Result<BTreeSet<Window>, Error> {
        let mailbox = &*self.processor.buckets.peer_validation_in;
        Ok(self.list(mailbox, start).await?.peer_rosters)
    }

    /// Lists the objects in a bucket of batches dated within `dates`.
    pub(crate) async fn list_batches(
        &self,
        bucket: &dyn Bucket,
        dates: Window,
    ) -> Result<BoxStream<'static, Result<Entry, BucketError>>, BucketError> {
        let (start, end) = window_range(self.aggregation, &dates);
        let range = ListRange {
            start_at: Some(start),
            end_before: Some(end),
        };
        bucket.list(self.aggregation.as_str(), range).await
    }

    async fn list(&self, bucket: &dyn Bucket, start: BatchTime) -> Result<WindowListing, Error> {
        let directory = format!("{}/{}", WindowName::DIRECTORY, self.aggregation);
        let first = RosterObject::from(WindowName::DIRECTORY, self.aggregation, start);
        let range = ListRange {
            start_at: Some(first),
            end_before: None,
        };
        let mut entries = bucket.list(&directory, range).await?;
        let mut listing = WindowListing::default();
        while let Some(entry) = entries.try_next().await? {
            let Some((name, object)) = RosterObject::parse(&entry.key) else {
                continue;
            };
            let is_ours = |role| role == self.processor.buckets.role;
            let windows = match object {
                RosterObject::Roster(role) if is_ours(role) => &mut listing.our_rosters,
                RosterObject::Roster(_) => &mut listing.peer_rosters,
                RosterObject::Agreed => &mut listing.agreed,
                RosterObject::Counted => &mut listing.counted,
                RosterObject::Verdicts | RosterObject::Held | RosterObject::Done => continue,
            };
            windows.insert(name.window);
        }
        Ok(listing)
    }
}
