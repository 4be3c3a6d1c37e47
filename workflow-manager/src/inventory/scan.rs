//! Scans the buckets: bounded listings of open and recent windows.

use std::collections::{BTreeMap, BTreeSet};

use tallybox_model::cause::chain;
use tallybox_model::extensions::RosterUse;
use tallybox_model::id::{AggregationId, IdError};
use tallybox_model::path::BatchName;
use tallybox_model::roster::WindowName;
use tallybox_model::task::WindowKind;
use tallybox_model::time::{BatchTime, Window};
use tallybox_transport::{Bucket, BucketError, SharedBucket};

use super::{
    Aggregation, BatchState, Inventory, ManagerBuckets, ScanCache, UnknownObjects, WindowState,
};
use crate::error::Error;
use crate::failure::FailedStart;
use crate::policy::{Policy, Scope};

/// Limit of aggregations that exist only in the peer's mailbox. A peer could otherwise cause
/// unlimited listings.
const MAX_PEER_ONLY_AGGREGATIONS: usize = 256;

/// Scans the buckets. An aggregation that cannot be scanned is left out, with its reason. The scan
/// fails only if the list of aggregations cannot be read.
///
/// # Errors
/// [`Error::Bucket`].
pub async fn scan(
    buckets: &ManagerBuckets,
    policy: &Policy,
    scope: Scope,
    rosters: RosterUse,
    now: BatchTime,
    cache: &ScanCache,
) -> Result<Inventory, Error> {
    let mut inventory = Inventory {
        scope,
        rosters,
        aggregations: BTreeMap::new(),
        unknown_objects: UnknownObjects::default(),
        failed: Vec::new(),
    };
    cache.prune_before(scope.windows.0.min(scope.batches.0));
    for aggregation in aggregations(buckets, &rosters, &mut inventory.unknown_objects).await? {
        let mut scanner = Scanner {
            buckets,
            policy,
            scope,
            rosters,
            now,
            cache,
            aggregation: &aggregation,
            found: Aggregation::default(),
            unknown_objects: UnknownObjects::default(),
        };
        let result = scanner.run().await;
        let Scanner {
            found,
            unknown_objects,
            ..
        } = scanner;
        match result {
            Ok(()) => {
                inventory.unknown_objects.merge(unknown_objects);
                inventory.aggregations.insert(aggregation, found);
            }
            Err(error) => {
                let error = Error::from(error);
                tracing::error!(aggregation_id = %aggregation, error = chain(&error), "cannot scan an aggregation");
                let failed = FailedStart::from_error(aggregation.as_str(), &error);
                inventory.failed.push(failed);
            }
        }
    }
    Ok(inventory)
}

/// Returns the aggregations with a directory in the ingestion bucket, with windows that were
/// given up, or with rosters on either side.
async fn aggregations(
    buckets: &ManagerBuckets,
    rosters: &RosterUse,
    unknown_objects: &mut UnknownObjects,
) -> Result<BTreeSet<AggregationId>, BucketError> {
    let mut found = BTreeSet::new();
    let directories: &[(&SharedBucket, &str)] = &[
        (&buckets.ingestion, ""),
        (&buckets.own, WindowName::GIVEN_UP_DIRECTORY),
        (&buckets.own, WindowName::DIRECTORY),
        (&buckets.peer_validation_in, WindowName::DIRECTORY),
    ];
    // Without rosters, only the first two directories can name an aggregation.
    let count = if rosters.from.is_some() {
        directories.len()
    } else {
        2
    };
    for (index, (bucket, directory)) in directories[..count].iter().enumerate() {
        // The peer's mailbox is the last directory. Names that occur only there are not work from
        // our ingestor, so their number is limited.
        let most = match index + 1 == directories.len() {
            true => found.len() + MAX_PEER_ONLY_AGGREGATIONS,
            false => usize::MAX,
        };
        for key in bucket.list_directories(directory).await? {
            let name = key.rsplit_once('/').map_or(key.as_str(), |(_, name)| name);
            match name.parse() {
                Ok(aggregation) if found.len() < most || found.contains(&aggregation) => {
                    found.insert(aggregation);
                }
                Err(IdError::Reserved(_)) => {}
                Ok(_) | Err(_) => unknown_objects.add(&bucket.location(), &key),
            }
        }
    }
    Ok(found)
}

/// The scan of one aggregation.
pub(super) struct Scanner<'a> {
    pub(super) buckets: &'a ManagerBuckets,
    pub(super) policy: &'a Policy,
    pub(super) scope: Scope,
    pub(super) rosters: RosterUse,
    pub(super) now: BatchTime,
    pub(super) cache: &'a ScanCache,
    pub(super) aggregation: &'a AggregationId,
    pub(super) found: Aggregation,
    pub(super) unknown_objects: UnknownObjects,
}

impl Scanner<'_> {
    async fn run(&mut self) -> Result<(), BucketError> {
        let fixed = self.windows().await?;
        self.given_up().await?;
        if self.rosters.from.is_some() {
            self.our_rosters().await?;
            self.peer_rosters().await?;
        }
        // The ranges depend on the windows that are done or given up, read above.
        let ranges = self.ranges();
        for range in &ranges {
            self.ingestion(*range).await?;
            self.validations(*range).await?;
            self.prepared(*range).await?;
        }
        if let (Some(first), Some(last)) = (ranges.first(), ranges.last()) {
            self.intake_markers(first.0, last.1).await?;
        }
        for kind in WindowKind::ALL {
            if kind == WindowKind::Aggregate || self.rosters.from.is_some() {
                self.window_markers(kind).await?;
            }
        }
        self.read_fixed(fixed).await?;
        self.read_marker_times().await
    }

    /// Returns the date ranges to scan: all recent dates, and older dates of windows that are not
    /// done.
    fn ranges(&self) -> Vec<(BatchTime, BatchTime)> {
        let mut ranges: Vec<(BatchTime, BatchTime)> = Vec::new();
        // Adjacent ranges are merged, so that fewer listings are needed.
        let mut add = |from: BatchTime, until: BatchTime| match ranges.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(until),
            _ if from < until => ranges.push((from, until)),
            _ => {}
        };
        let (recent, end) = self.scope.batches;
        let oldest = self.scope.passed.min(self.scope.windows.0);
        for window in self.policy.windows(oldest, recent) {
            if !self.is_listed_as_done(window) && !self.found.given_up.contains_key(&window) {
                add(window.start(), window.end());
            }
        }
        add(recent, end);
        ranges
    }

    pub(super) fn is_listed_as_done(&self, window: Window) -> bool {
        let state = self.found.windows.get(&window);
        state.is_some_and(|state| state.done)
    }

    /// Returns the state of a window, to be completed.
    pub(super) fn window(&mut self, window: Window) -> &mut WindowState {
        self.found.windows.entry(window).or_default()
    }

    /// Returns the state of a batch, to be completed.
    pub(super) fn batch(&mut self, name: &BatchName) -> &mut BatchState {
        self.found.batches.entry((name.date, name.id)).or_default()
    }

    pub(super) fn ignore(&mut self, bucket: &dyn Bucket, key: &str) {
        self.unknown_objects.add(&bucket.location(), key);
    }
}
