//! Audit: reads the stored state of all roles, adds the sum parts, and compares each sum with the
//! posted reports.

use std::collections::BTreeMap;

use tallybox_estimate::Mechanism;
use tallybox_model::id::{AggregationId, BatchId, PacketId};
use tallybox_model::path::BatchName;
use tallybox_model::role::Role;
use tallybox_model::roster::{AgreedWindow, DatedBatch, RosterObject, WindowName};
use tallybox_model::time::{BatchTime, Window};
use tallybox_transport::{ListRange, Records as OwnRecords, SharedBucket};

use super::discrepancy::{Discrepancies, Discrepancy};
use super::posted_reports::SharedPostedReports;
use super::window::{Summed, WindowParts};
use crate::always::{MAX_AGE_WINDOWS, PERIOD_MINUTES};
use crate::error::Error;
use crate::layout::{BucketKind, INSTANCE};
use crate::portal::Parts;
use crate::serve::stored_state::{MAX_OBJECT_BYTES, keys, read_packets};
use crate::serve::window::SummedWindow;
use crate::world::World;

/// How far back an audit scans, in windows: longer than a batch can wait to be summed.
const LOOK_BACK_WINDOWS: i64 = MAX_AGE_WINDOWS as i64 + 6;

/// An ingestion batch.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) name: BatchName,
    pub(super) packets: Vec<PacketId>,
    /// Number of packets that other clients posted.
    pub(super) foreign: u64,
    /// The window in whose sum the batch is.
    pub(super) summed: Option<Window>,
    /// True if both sides have agreed never to sum it.
    pub(super) given_up: bool,
}

/// The audit's state: sums so far, batches, windows, discrepancies.
pub(crate) struct Audit {
    pub(super) posted_reports: SharedPostedReports,
    pub(super) metrics: BTreeMap<AggregationId, Mechanism>,
    pub(crate) parts: Parts,
    pub(super) ingestion: [SharedBucket; 2],
    own: [SharedBucket; 2],
    /// Keys that verify the records in the processors' own buckets.
    records: [OwnRecords; 2],
    pub(super) batches: BTreeMap<BatchId, Batch>,
    pub(super) windows: BTreeMap<(Window, AggregationId), WindowParts>,
    /// The discrepancies found so far.
    pub(crate) discrepancies: Discrepancies,
}

impl Audit {
    /// Creates an audit of these metrics, with the noise of each.
    pub(crate) fn new(
        world: &World,
        metrics: BTreeMap<AggregationId, Mechanism>,
        posted_reports: SharedPostedReports,
    ) -> Result<Self, Error> {
        let bucket = |kind| Role::ALL.map(|role| world.layout.bucket(kind, role));
        Ok(Self {
            posted_reports,
            metrics,
            parts: Parts::open(world)?,
            ingestion: bucket(BucketKind::Ingestion),
            own: bucket(BucketKind::Own),
            records: [
                world.keys.processors[0].records()?,
                world.keys.processors[1].records()?,
            ],
            batches: BTreeMap::new(),
            windows: BTreeMap::new(),
            discrepancies: Discrepancies::default(),
        })
    }

    /// Scans all buckets for new objects. Returns the windows whose sum parts were added.
    pub(crate) async fn check_windows(
        &mut self,
        now: BatchTime,
    ) -> Result<Vec<SummedWindow>, Error> {
        let from = now
            .plus_minutes(-LOOK_BACK_WINDOWS * i64::from(PERIOD_MINUTES))
            .unwrap_or(now);
        let metrics: Vec<AggregationId> = self.metrics.keys().cloned().collect();
        for metric in &metrics {
            // Sum parts are listed first: the batches that they name are then certain to be in the
            // later listings.
            let parts = self.list_sum_parts(metric, from).await?;
            self.read_batches(metric, from).await?;
            self.read_agreed(metric, from).await?;
            for (window, role) in parts {
                self.windows
                    .entry((window, metric.clone()))
                    .or_default()
                    .parts[role.index()] = true;
            }
        }
        let ready = self.windows.iter().filter(|(_, state)| {
            state.parts == [true; 2] && state.summed.is_none() && !state.reported
        });
        let ready: Vec<(Window, AggregationId)> = ready.map(|(name, _)| name.clone()).collect();
        let mut added = Vec::new();
        for (window, metric) in ready {
            added.extend(self.add(window, &metric).await?);
        }
        self.posted_reports.lock().flush();
        Ok(added)
    }

    async fn list_sum_parts(
        &self,
        metric: &AggregationId,
        from: BatchTime,
    ) -> Result<Vec<(Window, Role)>, Error> {
        let directory = format!("{INSTANCE}/{metric}");
        let mut found = Vec::new();
        for role in Role::ALL {
            let range = ListRange {
                start_at: Some(format!("{directory}/{}", from.compact())),
                end_before: None,
            };
            let suffix = format!(".sum_{}.sig", role.index());
            for key in keys(&*self.parts.mailboxes[role.index()], &directory, range).await? {
                let name = key
                    .rsplit('/')
                    .next()
                    .and_then(|name| name.strip_suffix(&suffix));
                found.extend(name.and_then(window).map(|window| (window, role)));
            }
        }
        Ok(found)
    }

    async fn read_batches(&mut self, metric: &AggregationId, from: BatchTime) -> Result<(), Error> {
        let range = ListRange {
            start_at: Some(format!("{metric}/{from}/")),
            end_before: None,
        };
        let mailbox = SharedBucket::clone(&self.ingestion[0]);
        for key in keys(&*mailbox, metric.as_str(), range).await? {
            let Some(name) = BatchName::from_ingestion_signature(&key) else {
                continue;
            };
            if self.batches.contains_key(&name.id) {
                continue;
            }
            let packets = read_packets(&*mailbox, &name).await?;
            let mut posted_reports = self.posted_reports.lock();
            let foreign = packets
                .iter()
                .filter(|packet| posted_reports.batched(**packet, name.id))
                .count() as u64;
            drop(posted_reports);
            let batch = Batch {
                packets,
                foreign,
                summed: None,
                given_up: false,
                name,
            };
            self.batches.insert(batch.name.id, batch);
        }
        Ok(())
    }

    async fn read_agreed(&mut self, metric: &AggregationId, from: BatchTime) -> Result<(), Error> {
        let directory = format!("{}/{metric}", WindowName::DIRECTORY);
        for role in Role::ALL {
            let own = SharedBucket::clone(&self.own[role.index()]);
            let range = ListRange {
                start_at: Some(RosterObject::from(WindowName::DIRECTORY, metric, from)),
                end_before: None,
            };
            for key in keys(&*own, &directory, range).await? {
                let Some((name, RosterObject::Agreed)) = RosterObject::parse(&key) else {
                    continue;
                };
                let window_id = (name.window, metric.clone());
                if self
                    .windows
                    .get(&window_id)
                    .is_some_and(|state| state.agreed[role.index()].is_some())
                {
                    continue;
                }
                let Some(text) = self.records[role.index()]
                    .read(&*own, &key, MAX_OBJECT_BYTES)
                    .await?
                else {
                    continue;
                };
                let agreed: AgreedWindow = serde_json::from_slice(&text)
                    .map_err(|error| Error::Internal(format!("{key}: {error}")))?;
                self.windows.entry(window_id.clone()).or_default().agreed[role.index()] =
                    Some(agreed);
                self.compare(&window_id);
            }
        }
        Ok(())
    }

    /// Compares the two sides' records of what they agreed on in a window.
    fn compare(&mut self, window_id: &(Window, AggregationId)) {
        let Some(state) = self.windows.get_mut(window_id) else {
            return;
        };
        let [Some(first), Some(second)] = &state.agreed else {
            return;
        };
        if first != second && !state.reported {
            state.reported = true;
            let sentence = format!(
                "{} {}: the two sides agreed on different sets of batches",
                window_id.1, window_id.0
            );
            self.discrepancies.note(Discrepancy::Unsummable, sentence);
            return;
        }
        let given_up: Vec<DatedBatch> = first
            .excluded
            .iter()
            .copied()
            .chain(first.expired.iter().map(|expired| expired.batch))
            .collect();
        for batch in given_up {
            if let Some(batch) = self.batches.get_mut(&batch.id) {
                batch.given_up = true;
            }
        }
    }

    /// Adds both sum parts of a window, and compares the sum with the posted reports.
    async fn add(
        &mut self,
        window: Window,
        metric: &AggregationId,
    ) -> Result<Option<SummedWindow>, Error> {
        let window_id = (window, metric.clone());
        let total = match self.parts.total(metric, window).await {
            Ok(total) => total,
            // Two valid sum parts that contradict each other are a finding, not a failure of the
            // audit.
            Err(Error::Check(problem)) => {
                self.discrepancies.note(
                    Discrepancy::Unsummable,
                    format!("{metric} {window}: {problem}"),
                );
                self.windows.entry(window_id).or_default().reported = true;
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        if total
            .batches
            .iter()
            .any(|id| !self.batches.contains_key(id))
        {
            // The batch may have been written after the listing. The next scan tries again; the
            // final audit reports it.
            return Ok(None);
        }
        let counted = self.compare_sum(window, metric, &total);
        let state = self.windows.entry(window_id).or_default();
        state.summed = Some(Summed {
            counted: total.accepted,
        });
        let mechanism = self.metrics.get(metric).copied();
        let summed = SummedWindow::from_total(metric, window, total, mechanism, counted);
        Ok(Some(summed))
    }
}

/// Parses `YYYYMMDDHHMM-YYYYMMDDHHMM`.
fn window(name: &str) -> Option<Window> {
    let (start, end) = name.split_once('-')?;
    Window::new(
        BatchTime::from_compact(start).ok()?,
        BatchTime::from_compact(end).ok()?,
    )
    .ok()
}
