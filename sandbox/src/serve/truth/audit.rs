//! Audit: reads the stored state of all roles, adds the sum parts, and compares each sum with the
//! posted reports.

use std::collections::{BTreeMap, BTreeSet};

use tallybox_client::RandomisedResponse;
use tallybox_client::traffic::Tally;
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
use crate::portal::{Parts, Total};
use crate::serve::stored_state::{MAX_OBJECT_BYTES, keys, read_packets};
use crate::serve::window::SummedWindow;
use crate::world::World;

/// How far back an audit scans, in windows: longer than a batch can wait to be summed.
const LOOK_BACK_WINDOWS: i64 = MAX_AGE_WINDOWS as i64 + 6;

/// An ingestion batch.
#[derive(Debug)]
struct Batch {
    name: BatchName,
    packets: Vec<PacketId>,
    /// Number of packets that other clients posted.
    foreign: u64,
    /// The window in whose sum the batch is.
    summed: Option<Window>,
    /// True if both sides have agreed never to sum it.
    given_up: bool,
}

/// The audit's state: sums so far, batches, windows, discrepancies.
pub(crate) struct Audit {
    posted_reports: SharedPostedReports,
    metrics: BTreeMap<AggregationId, RandomisedResponse>,
    pub(crate) parts: Parts,
    ingestion: [SharedBucket; 2],
    own: [SharedBucket; 2],
    /// Keys that verify the records in the processors' own buckets.
    records: [OwnRecords; 2],
    batches: BTreeMap<BatchId, Batch>,
    windows: BTreeMap<(Window, AggregationId), WindowParts>,
    /// The discrepancies found so far.
    pub(crate) discrepancies: Discrepancies,
}

/// The state of a window at the portal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct AtPortal {
    /// Number of metrics of which a roster or a sum part exists.
    pub(crate) metrics: usize,
    /// Number of metrics with nothing left to do.
    pub(crate) over: usize,
    /// Number of packets in their sums.
    pub(crate) counted: u64,
}

/// Acknowledged reports that are in no sum, by cause.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Left {
    /// Reports in no batch.
    pub(super) unbatched: u64,
    /// Reports in a batch that both sides have excluded or let expire.
    pub(super) given_up: u64,
    /// Reports in a batch that waits because its window had too few packets.
    pub(super) below_minimum: u64,
    /// Reports in a batch that is not decided.
    pub(super) open: u64,
    /// Packets of other clients in batches that are not decided, whether or not they are valid.
    pub(super) foreign_open: u64,
}

impl Audit {
    /// Creates an audit of these metrics, with the noise of each.
    pub(crate) fn new(
        world: &World,
        metrics: BTreeMap<AggregationId, RandomisedResponse>,
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
        let noise = self.metrics.get(metric).copied();
        let summed = SummedWindow::from_total(metric, window, total, noise, counted);
        Ok(Some(summed))
    }

    /// Compares a sum with the posted reports. Returns the answers of the reports in it, and the
    /// number of other clients' reports.
    fn compare_sum(
        &mut self,
        window: Window,
        metric: &AggregationId,
        total: &Total,
    ) -> (Tally, u64) {
        let discrepancies = &mut self.discrepancies;
        let mut posted_reports = self.posted_reports.lock();
        let mut truth = Tally::new(total.sums.len());
        let mut counted = BTreeSet::new();
        let mut foreign = 0_u64;
        for id in &total.batches {
            let Some(batch) = self.batches.get_mut(id) else {
                continue;
            };
            if let Some(before) = batch.summed.replace(window) {
                discrepancies.note(
                    Discrepancy::Double,
                    format!("batch {} is summed in {before} and in {window}", batch.name),
                );
            }
            for packet in &batch.packets {
                let (number, valid) = (
                    posted_reports.find_report(*packet),
                    !total.invalid.contains(packet),
                );
                match (number, valid) {
                    (None, true) => {
                        foreign += u64::from(counted.insert(*packet));
                        posted_reports.count_foreign(*packet);
                    }
                    (None, false) => {}
                    (Some(number), false) => {
                        if posted_reports.entries[number].honest {
                            let sentence =
                                format!("{metric} {window}: honest report {number} is not counted");
                            discrepancies.note(Discrepancy::Lost, sentence);
                        }
                    }
                    (Some(number), true) => {
                        if !counted.insert(*packet) {
                            continue;
                        }
                        if let Some(before) = posted_reports.count(number, window) {
                            let sentence =
                                format!("report {number} is counted in {before} and in {window}");
                            discrepancies.note(Discrepancy::Double, sentence);
                        }
                        let report = &posted_reports.entries[number];
                        if !report.honest {
                            discrepancies.note(
                                Discrepancy::Wrong,
                                format!("{metric} {window}: hostile report {number} is counted"),
                            );
                        }
                        truth.add_answer(&report.answer);
                    }
                }
            }
        }
        let right = |(sum, truth): (&u64, &u64)| (*truth..=*truth + foreign).contains(sum);
        if total.accepted != counted.len() as u64
            || !total.sums.iter().zip(&truth.noisy_counts).all(right)
        {
            let (accepted, sums) = (total.accepted, &total.sums);
            discrepancies.note(
                Discrepancy::Wrong,
                format!(
                    "{metric} {window}: {} reports add to {:?}, the sum parts hold {accepted} and {sums:?}",
                    counted.len(),
                    truth.noisy_counts
                ),
            );
        }
        (truth, foreign)
    }

    /// Returns the state of a window at the portal.
    pub(crate) fn at_portal(&self, window: Window) -> AtPortal {
        let mut at = AtPortal::default();
        for metric in self.metrics.keys() {
            let Some(state) = self.windows.get(&(window, metric.clone())) else {
                continue;
            };
            at.metrics += 1;
            at.over += usize::from(state.is_over());
            at.counted += state.summed.map_or(0, |summed| summed.counted);
        }
        at
    }

    /// Returns the number of summed windows, over all metrics.
    pub(crate) fn summed(&self) -> u64 {
        self.windows
            .values()
            .filter(|state| state.summed.is_some())
            .count() as u64
    }

    /// Returns the number of batches of a window and the number of packets in them.
    pub(crate) fn ingested(&self, window: Window) -> (u64, u64) {
        let in_window = self
            .batches
            .values()
            .filter(|batch| window.contains(batch.name.date));
        in_window.fold((0, 0), |(batches, packets), batch| {
            (batches + 1, packets + batch.packets.len() as u64)
        })
    }

    /// Returns the number of packets in these batches.
    pub(crate) fn packets_in(&self, batches: &[BatchId]) -> u64 {
        let found = batches.iter().filter_map(|id| self.batches.get(id));
        found.map(|batch| batch.packets.len() as u64).sum()
    }

    /// Returns the number of acknowledged reports and windows that are not settled. The result is 0
    /// once every report is counted or its absence is explained.
    pub(crate) fn unsettled(&self) -> u64 {
        let left = self.left();
        let waiting = self
            .windows
            .values()
            .filter(|state| state.parts != [false; 2] && state.summed.is_none());
        left.unbatched + left.open + left.foreign_open + waiting.count() as u64
    }

    pub(super) fn left(&self) -> Left {
        let below: BTreeMap<&AggregationId, Window> = self
            .windows
            .iter()
            .filter(|(_, state)| state.is_below_minimum())
            .map(|((window, metric), _)| (metric, *window))
            .collect();
        let is_below = |batch: &Batch| {
            let window = below.get(&batch.name.aggregation);
            window.is_some_and(|window| batch.name.date < window.end())
        };
        let mut left = Left::default();
        let open = |batch: &&Batch| batch.summed.is_none() && !batch.given_up && !is_below(batch);
        left.foreign_open = self
            .batches
            .values()
            .filter(open)
            .map(|batch| batch.foreign)
            .sum();
        let posted_reports = self.posted_reports.lock();
        for number in posted_reports.compare_sums().missing {
            let batch = posted_reports.entries[number].batch;
            let batch = batch.and_then(|id| self.batches.get(&id));
            let count = match batch {
                None => &mut left.unbatched,
                Some(batch) if batch.given_up => &mut left.given_up,
                Some(batch) if is_below(batch) => &mut left.below_minimum,
                Some(_) => &mut left.open,
            };
            *count += 1;
        }
        left
    }

    /// Makes the final checks: every window that was agreed on or has a sum part has both, and both
    /// mailboxes hold the same batches. `dropped` is the number of reports that the ingestor's
    /// records declare as dropped.
    pub(super) async fn close(&mut self, dropped: u64) -> Result<Left, Error> {
        let mut left = self.left();
        for ((window, metric), state) in &self.windows {
            let agreed = state.agreed.iter().any(|agreed| {
                agreed
                    .as_ref()
                    .is_some_and(|agreed| !agreed.batches.is_empty())
            });
            let anything = agreed || state.parts != [false; 2];
            if anything && state.summed.is_none() && !state.reported {
                let sentence = match state.parts {
                    [true, true] => "both sum parts exist, but name a batch that does not",
                    [false, false] => "both sides agreed on it, but no sum part exists",
                    _ => "only one sum part exists",
                };
                self.discrepancies.note(
                    Discrepancy::Unsummable,
                    format!("{metric} {window}: {sentence}"),
                );
            }
        }
        for batch in self.batches.values() {
            let second = read_packets(&*self.ingestion[1], &batch.name).await;
            if second.is_err() || second.is_ok_and(|second| second != batch.packets) {
                let sentence = format!(
                    "the second processor's mailbox lacks the batch or holds another one: {}",
                    batch.name
                );
                self.discrepancies.note(Discrepancy::Lost, sentence);
            }
        }
        if left.unbatched > dropped {
            for _ in dropped..left.unbatched {
                self.discrepancies
                    .note(Discrepancy::Lost, "an acknowledged report is in no batch");
            }
        }
        left.unbatched = left.unbatched.min(dropped);
        for _ in 0..left.open {
            self.discrepancies.note(
                Discrepancy::Lost,
                "an acknowledged report is in a batch that is not summed",
            );
        }
        for _ in 0..left.foreign_open {
            let sentence = "a report of another client is in a batch that is not summed";
            self.discrepancies.note(Discrepancy::Lost, sentence);
        }
        Ok(left)
    }

    /// Makes the final check of the spool: every report in it is accounted for. `waiting` is the
    /// number of reports of all clients in the spool that are in no batch.
    pub(crate) fn close_spool(&mut self, waiting: u64) {
        for _ in self.left().unbatched..waiting {
            let sentence = "a report of another client is in the spool and in no batch";
            self.discrepancies.note(Discrepancy::Lost, sentence);
        }
    }

    pub(super) fn posted_reports(&self) -> &SharedPostedReports {
        &self.posted_reports
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
