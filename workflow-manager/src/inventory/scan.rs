//! Scans the buckets: bounded listings of open and recent windows.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::TryStreamExt as _;
use tallybox_model::extensions::RosterUse;
use tallybox_model::id::{AggregationId, IdError};
use tallybox_model::path::{BatchName, BatchPart};
use tallybox_model::roster::{RosterObject, WindowName};
use tallybox_model::task::{TaskMarker, TaskName, WindowBatches, WindowKind};
use tallybox_model::time::{BatchTime, Window};
use tallybox_service::cause::chain;
use tallybox_transport::{BucketError, Created, ListRange, RecordFault, Records, SharedBucket};

use super::listing::each;
use super::{Aggregation, FailedScan, Inventory, Started, StartedAt, UnknownObjects};
use crate::error::Error;
use crate::policy::{Policy, Scope};

/// Largest record of a window's fixed batches that is read, in bytes.
const BATCHES_LIMIT: u64 = tallybox_model::task::TASK_SIZE_LIMIT as u64;
/// Largest marker that is read, in bytes.
const MARKER_LIMIT: u64 = 4096;

/// The buckets that are scanned.
#[derive(Clone, Debug)]
pub struct ManagerBuckets {
    /// The ingestion bucket, to which the ingestor writes.
    pub ingestion: SharedBucket,
    /// The processor's own bucket.
    pub own: SharedBucket,
    /// The mailbox to which the peer writes.
    pub peer_validation_in: SharedBucket,
    /// The keys that authenticate and verify the records in the processor's own bucket.
    pub records: Records,
}

impl ManagerBuckets {
    /// Writes a record to the own bucket, unless an object of this name exists.
    pub(crate) async fn put_record(
        &self,
        name: &str,
        payload: &[u8],
    ) -> Result<Created, BucketError> {
        self.records.put(&*self.own, name, payload).await
    }

    /// Reads a record of the own bucket with a payload of at most `limit` bytes; `None` if it does
    /// not exist.
    pub(crate) async fn read_record(
        &self,
        name: &str,
        limit: u64,
    ) -> Result<Option<Bytes>, BucketError> {
        self.records.read(&*self.own, name, limit).await
    }
}

/// A cache of immutable objects that were read. A long-running process keeps it between runs.
#[derive(Debug, Default)]
pub struct ScanCache {
    batches: Mutex<HashMap<WindowName, Arc<WindowBatches>>>,
    markers: Mutex<HashMap<String, StartedAt>>,
    logged: Mutex<HashSet<String>>,
}

/// Limit of entries of each kind.
const MAX_CACHED_ENTRIES: usize = 100_000;

impl ScanCache {
    /// Removes entries older than a time, and all markers if there are too many.
    pub(crate) fn prune_before(&self, time: BatchTime) {
        let mut batches = lock(&self.batches);
        batches.retain(|name, _| name.window.end() >= time);
        let mut markers = lock(&self.markers);
        if markers.len() > MAX_CACHED_ENTRIES {
            markers.clear();
        }
    }

    /// Returns whether this is the first occurrence of a message, and records it.
    pub(crate) fn log_once(&self, what: &str) -> bool {
        let mut logged = lock(&self.logged);
        if logged.len() > MAX_CACHED_ENTRIES {
            logged.clear();
        }
        logged.insert(what.to_owned())
    }
}

/// Limit of aggregations that exist only in the peer's mailbox. A peer could otherwise cause
/// unlimited listings.
const MAX_PEER_ONLY_AGGREGATIONS: usize = 256;
/// Limit of windows of an aggregation that are taken from the names of the peer's rosters.
const MAX_PEER_WINDOWS: usize = 1 << 16;

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
                inventory.failed.push(FailedScan {
                    aggregation,
                    problem: chain(&error),
                    unreachable: error.is_unreachable(),
                });
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
                Ok(_) => unknown_objects.add(&bucket.location(), &key),
                Err(IdError::Reserved(_)) => {}
                Err(_) => unknown_objects.add(&bucket.location(), &key),
            }
        }
    }
    Ok(found)
}

/// The scan of one aggregation.
struct Scanner<'a> {
    buckets: &'a ManagerBuckets,
    policy: &'a Policy,
    scope: Scope,
    rosters: RosterUse,
    now: BatchTime,
    cache: &'a ScanCache,
    aggregation: &'a AggregationId,
    found: Aggregation,
    unknown_objects: UnknownObjects,
}

impl Scanner<'_> {
    async fn run(&mut self) -> Result<(), BucketError> {
        let fixed = self.windows().await?;
        self.given_up().await?;
        if self.rosters.from.is_some() {
            self.rosters().await?;
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
        self.read_markers().await
    }

    /// Reads the marks of windows: which are done, held or released, and which have fixed batches.
    async fn windows(&mut self) -> Result<BTreeSet<Window>, BucketError> {
        let mut with_batches = BTreeSet::new();
        let directory = format!("{}/{}", WindowName::DONE_DIRECTORY, self.aggregation);
        let range = self.window_keys(WindowName::DONE_DIRECTORY);
        let (found, unknown_objects) = (&mut self.found, &mut self.unknown_objects);
        let location = self.buckets.own.location();
        each(&*self.buckets.own, &directory, range, |key| {
            if let Some((name, RosterObject::Done)) = RosterObject::parse(key) {
                found.windows.entry(name.window).or_default().done = true;
            } else if let Some((name, RosterObject::Held)) = RosterObject::parse(key) {
                found.windows.entry(name.window).or_default().held = true;
            } else if let Some(name) = WindowName::from_released(key) {
                found.windows.entry(name.window).or_default().released = true;
            } else if let Some(name) = WindowName::from_batches(key) {
                with_batches.insert(name.window);
            } else {
                unknown_objects.add(&location, key);
            }
        })
        .await?;
        Ok(with_batches)
    }

    /// Reads the marks of windows that were given up. Windows that have been done since are left
    /// out.
    async fn given_up(&mut self) -> Result<(), BucketError> {
        let directory = format!("{}/{}", WindowName::GIVEN_UP_DIRECTORY, self.aggregation);
        let own = &self.buckets.own;
        let mut entries = own.list(&directory, ListRange::default()).await?;
        let mut marks: BTreeMap<Window, bool> = BTreeMap::new();
        while let Some(entry) = entries.try_next().await? {
            if let Some((name, acknowledged)) = WindowName::from_given_up(&entry.key) {
                *marks.entry(name.window).or_default() |= acknowledged;
            }
        }
        let listed_from = self.window_times().0;
        for (window, acknowledged) in marks {
            let listed = self
                .found
                .windows
                .get(&window)
                .is_some_and(|state| state.done);
            let done = match acknowledged || listed || window.start() >= listed_from {
                true => listed,
                // The window is older than the listed range, so its mark is looked up by name.
                false => self.is_done(window).await?,
            };
            if !done {
                self.found.given_up.insert(window, acknowledged);
            }
        }
        Ok(())
    }

    async fn is_done(&self, window: Window) -> Result<bool, BucketError> {
        let mark = super::window_name(self.aggregation, window).done();
        match self.buckets.own.size(&mark).await {
            Ok(_) => Ok(true),
            Err(BucketError::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Reads the rosters of both sides and their agreement.
    async fn rosters(&mut self) -> Result<(), BucketError> {
        let directory = format!("{}/{}", WindowName::DIRECTORY, self.aggregation);
        let role = self.policy.role;
        let range = self.window_keys(WindowName::DIRECTORY);
        let found = &mut self.found;
        each(&*self.buckets.own, &directory, range.clone(), |key| {
            // Other names are evidence that the facilitator keeps.
            let Some((name, what)) = RosterObject::parse(key) else {
                return;
            };
            let window = found.windows.entry(name.window).or_default();
            match what {
                RosterObject::Roster(writer) if writer == role => window.our_roster = true,
                RosterObject::Roster(_) => window.peer_roster = true,
                RosterObject::Agreed => window.agreed = true,
                RosterObject::Verdicts
                | RosterObject::Counted
                | RosterObject::Held
                | RosterObject::Done => {}
            }
        })
        .await?;
        let (found, unknown_objects) = (&mut self.found, &mut self.unknown_objects);
        let bucket = &self.buckets.peer_validation_in;
        let location = bucket.location();
        each(
            &**bucket,
            &directory,
            range,
            |key| match RosterObject::parse(key) {
                Some((name, RosterObject::Roster(writer)))
                    if writer == role.peer()
                        && (found.windows.len() < MAX_PEER_WINDOWS
                            || found.windows.contains_key(&name.window)) =>
                {
                    found.windows.entry(name.window).or_default().peer_roster = true;
                }
                _ => unknown_objects.add(&location, key),
            },
        )
        .await
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
            let done = self
                .found
                .windows
                .get(&window)
                .is_some_and(|state| state.done);
            if !done && !self.found.given_up.contains_key(&window) {
                add(window.start(), window.end());
            }
        }
        add(recent, end);
        ranges
    }

    fn dates(&self, (from, until): (BatchTime, BatchTime)) -> (String, String) {
        let key = |time: BatchTime| format!("{}/{time}/", self.aggregation);
        (key(from), key(until))
    }

    async fn ingestion(&mut self, range: (BatchTime, BatchTime)) -> Result<(), BucketError> {
        let keys = self.dates(range);
        let bucket = &self.buckets.ingestion;
        // Cloud buckets store no empty objects. A batch without packets then consists of the header
        // and the signature, which is written last.
        let may_lack_packets = !bucket.stores_empty_objects();
        let location = bucket.location();
        let (found, unknown_objects) = (&mut self.found, &mut self.unknown_objects);
        each(&**bucket, self.aggregation.as_str(), keys, |key| {
            let Some((name, part)) = BatchName::ingestion_part(key) else {
                return unknown_objects.add(&location, key);
            };
            let batch = found.batches.entry((name.date, name.id)).or_default();
            batch.packets |= may_lack_packets;
            match part {
                BatchPart::Header => batch.header = true,
                BatchPart::Packets => batch.packets = true,
                BatchPart::Signature => batch.signature = true,
            }
        })
        .await
    }

    async fn validations(&mut self, range: (BatchTime, BatchTime)) -> Result<(), BucketError> {
        let keys = self.dates(range);
        let bucket = &self.buckets.peer_validation_in;
        let (location, peer) = (bucket.location(), self.policy.role.peer());
        let (found, unknown_objects) = (&mut self.found, &mut self.unknown_objects);
        each(
            &**bucket,
            self.aggregation.as_str(),
            keys,
            |key| match BatchName::validation_part(key, peer) {
                Some((name, BatchPart::Signature)) => {
                    found
                        .batches
                        .entry((name.date, name.id))
                        .or_default()
                        .validated = true;
                }
                Some(_) => {}
                None => unknown_objects.add(&location, key),
            },
        )
        .await
    }

    async fn prepared(&mut self, range: (BatchTime, BatchTime)) -> Result<(), BucketError> {
        let keys = self.dates(range);
        let found = &mut self.found;
        each(&*self.buckets.own, self.aggregation.as_str(), keys, |key| {
            if let Some(name) = BatchName::from_prepared(key) {
                found
                    .batches
                    .entry((name.date, name.id))
                    .or_default()
                    .prepared = true;
            }
        })
        .await
    }

    async fn intake_markers(
        &mut self,
        from: BatchTime,
        until: BatchTime,
    ) -> Result<(), BucketError> {
        let keys = TaskMarker::intakes(self.aggregation, from, until);
        let (aggregation, found) = (self.aggregation, &mut self.found);
        each(&*self.buckets.own, TaskMarker::DIRECTORY, keys, |key| {
            let Some(marker) = TaskMarker::parse(key) else {
                return;
            };
            let TaskName::Intake(name) = &marker.task else {
                return;
            };
            // A marker without a batch means nothing. The range may also contain markers of an
            // aggregation with a longer name.
            if name.aggregation == *aggregation
                && let Some(batch) = found.batches.get_mut(&(name.date, name.id))
            {
                batch.started = newer(batch.started, &marker, name.date);
            }
        })
        .await
    }

    async fn window_markers(&mut self, kind: WindowKind) -> Result<(), BucketError> {
        let (from, until) = self.window_times();
        let keys = TaskMarker::windows(kind, self.aggregation, from, until);
        let (aggregation, found) = (self.aggregation, &mut self.found);
        each(&*self.buckets.own, TaskMarker::DIRECTORY, keys, |key| {
            let Some(marker) = TaskMarker::parse(key) else {
                return;
            };
            let TaskName::Window(found_kind, name) = &marker.task else {
                return;
            };
            if *found_kind == kind && name.aggregation == *aggregation {
                let started = &mut found.windows.entry(name.window).or_default().started;
                let last = newer(started.get(&kind).copied(), &marker, name.window.end());
                started.extend(last.map(|last| (kind, last)));
            }
        })
        .await
    }

    /// Reads the fixed batches of windows that are open, or recent enough for a late batch.
    async fn read_fixed(&mut self, fixed: BTreeSet<Window>) -> Result<(), BucketError> {
        for window in fixed {
            let state = self.found.windows.entry(window).or_default();
            // Nothing is reported as late for this window any more.
            if state.done && window.end() < self.scope.batches.0 {
                continue;
            }
            let name = super::window_name(self.aggregation, window);
            let cached = lock(&self.cache.batches).get(&name).cloned();
            let batches = match cached {
                Some(batches) => batches,
                None => {
                    let batches = Arc::new(fixed_batches(self.buckets, &name).await?);
                    lock(&self.cache.batches).insert(name, Arc::clone(&batches));
                    batches
                }
            };
            state.fixed = Some((*batches).clone());
        }
        Ok(())
    }

    /// Reads the times of first markers where they matter: tasks without an outcome that may be due
    /// again.
    async fn read_markers(&mut self) -> Result<(), BucketError> {
        let mut wanted = Vec::new();
        for ((date, id), batch) in &self.found.batches {
            if let Some(Started {
                at: StartedAt::Since(at),
                ..
            }) = batch.started
                && batch.ready()
                && !batch.prepared
                && self.policy.restarts(at) <= self.now
            {
                wanted.push(TaskName::Intake(super::batch_name(
                    self.aggregation,
                    *date,
                    *id,
                )));
            }
        }
        for (window, state) in &self.found.windows {
            for (kind, started) in &state.started {
                if let StartedAt::Since(at) = started.at
                    && !state.done
                    && self.policy.restarts(at) <= self.now
                {
                    let name = super::window_name(self.aggregation, *window);
                    wanted.push(TaskName::Window(*kind, name));
                }
            }
        }
        for task in wanted {
            let at = self.marker_time(&task).await?;
            let started = match &task {
                TaskName::Intake(name) => self
                    .found
                    .batches
                    .get_mut(&(name.date, name.id))
                    .and_then(|batch| batch.started.as_mut()),
                TaskName::Window(kind, name) => self
                    .found
                    .windows
                    .get_mut(&name.window)
                    .and_then(|state| state.started.get_mut(kind)),
            };
            if let Some(started) = started {
                started.at = at;
            }
        }
        Ok(())
    }

    /// Returns when a task was first started, from the text of its first marker.
    async fn marker_time(&self, task: &TaskName) -> Result<StartedAt, BucketError> {
        let marker = TaskMarker {
            task: task.clone(),
            attempt: 1,
            at: None,
        };
        let name = marker.name();
        if let Some(at) = lock(&self.cache.markers).get(&name) {
            return Ok(*at);
        }
        let text = match self.buckets.read_record(&name, MARKER_LIMIT).await {
            Ok(text) => String::from_utf8_lossy(&text.unwrap_or_default()).into_owned(),
            // Markers of ENPA's workflow manager are not authenticated records. A record of ours
            // that does not verify is an error.
            Err(
                BucketError::TooLarge { .. }
                | BucketError::Unverified {
                    source: RecordFault::NoTrailer,
                    ..
                },
            ) => String::new(),
            Err(error) => return Err(error),
        };
        let at = TaskMarker::time_of(&text).map_or(StartedAt::Predecessor, StartedAt::Time);
        lock(&self.cache.markers).insert(name, at);
        Ok(at)
    }

    /// Returns the range of windows to read: those of the scope, those that have passed the
    /// horizon, and those of recent batches.
    fn window_times(&self) -> (BatchTime, BatchTime) {
        let (windows, batches) = (self.scope.windows, self.scope.batches);
        let from = windows.0.min(batches.0).min(self.scope.passed);
        let from = self
            .policy
            .window_of(from)
            .map_or(from, |window| window.start());
        (from, windows.1.max(batches.1))
    }

    fn window_keys(&self, directory: &str) -> (String, String) {
        let (from, until) = self.window_times();
        let key = |time| RosterObject::from(directory, self.aggregation, time);
        (key(from), key(until))
    }
}

/// Reads the batches that were fixed for a window.
pub(crate) async fn fixed_batches(
    buckets: &ManagerBuckets,
    name: &WindowName,
) -> Result<WindowBatches, BucketError> {
    let (own, key) = (&*buckets.own, name.batches());
    let Some(payload) = buckets.read_record(&key, BATCHES_LIMIT).await? else {
        let bucket = own.location();
        return Err(BucketError::NotFound { key, bucket });
    };
    WindowBatches::parse(&name.aggregation, &payload).map_err(|error| BucketError::Unavailable {
        key,
        bucket: own.location(),
        source: Box::new(error),
    })
}

/// Returns the later of a task's previous marker and another marker. A first marker was not written
/// before `earliest`.
fn newer(previous: Option<Started>, marker: &TaskMarker, earliest: BatchTime) -> Option<Started> {
    let at = marker
        .at
        .map_or(StartedAt::Since(earliest), StartedAt::Time);
    let found = Started {
        attempt: marker.attempt,
        at,
    };
    match previous {
        Some(previous) if rank(&previous) >= rank(&found) => Some(previous),
        _ => Some(found),
    }
}

fn rank(started: &Started) -> (u32, Option<BatchTime>) {
    match started.at {
        StartedAt::Time(at) => (started.attempt, Some(at)),
        StartedAt::Since(_) | StartedAt::Predecessor => (started.attempt, None),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
