//! The log of plans: which windows are due, and the slabs of each.

use std::collections::{BTreeMap, BTreeSet};

use futures::TryStreamExt;
use tallybox_model::digest::Digest;
use tallybox_model::marker::ENCODER_GENERATION;
use tallybox_model::spool::{Cut, Plan, PlannedSlab};
use tallybox_model::time::{BatchTime, Window, aligned_window, next_window};
use tallybox_transport::{Bucket, BucketError, ListRange};

use super::retry::RetryingBucket;
use crate::config::IngestionDate;
use crate::error::Error;
use crate::ingestor::{Ingestor, Locality};

/// Most bytes of a plan: enough for some hundred thousand slabs.
const PLAN_LIMIT: u64 = 64 << 20;
/// Most bytes of the origin object.
const ORIGIN_LIMIT: u64 = 1 << 10;

/// A plan with the digest of its object.
#[derive(Clone, Debug)]
pub(super) struct FixedPlan {
    pub(super) plan: Plan,
    pub(super) digest: Digest,
}

/// The plans and records of an instance's windows in the spool.
#[derive(Debug)]
pub(super) struct PlanLog<'i> {
    ingestor: &'i Ingestor,
    locality: &'i Locality,
    /// Existing plans by the start of their window.
    pub(super) plans: BTreeMap<BatchTime, FixedPlan>,
    /// Complete windows, with the id of the secret that sealed their record.
    pub(super) records: BTreeMap<BatchTime, String>,
    /// Slabs that no plan names, as of the last listing.
    unplanned: Option<Vec<(PlannedSlab, BatchTime)>>,
}

impl<'i> PlanLog<'i> {
    /// Reads all plans and the names of all records.
    pub(super) async fn read(
        ingestor: &'i Ingestor,
        locality: &'i Locality,
    ) -> Result<Self, Error> {
        let mut plan_log = Self {
            ingestor,
            locality,
            plans: BTreeMap::new(),
            records: BTreeMap::new(),
            unplanned: None,
        };
        let spool = RetryingBucket::spool(ingestor);
        for key in spool.keys(&locality.names.plans()).await? {
            if let Some(start) = locality.names.parse_plan(&key) {
                let plan = read_plan(spool, &key).await?;
                plan_log.plans.insert(start, plan);
            }
        }
        for key in spool.keys(&locality.names.records()).await? {
            plan_log.records.extend(locality.names.parse_record(&key));
        }
        Ok(plan_log)
    }

    /// Returns the plan of a window. A plan that the listing did not contain is read by its name:
    /// the listing may be older than the plan, and results that are derived from a plan must not
    /// depend on the listing's age.
    ///
    /// # Errors
    /// [`BucketError::NotFound`] if the window has no plan.
    pub(super) async fn plan(&self, start: BatchTime) -> Result<FixedPlan, Error> {
        match self.plans.get(&start) {
            Some(plan) => Ok(plan.clone()),
            None => {
                read_plan(
                    RetryingBucket::spool(self.ingestor),
                    &self.locality.names.plan(start),
                )
                .await
            }
        }
    }

    /// Creates the plan of the next window and returns whether it did. This requires that there is
    /// a slab to plan, and that the window is due and starts no later than `last`. All earlier
    /// windows have to be complete, so that the plan includes their carried slabs.
    ///
    /// Jobs that do this concurrently produce the same log: a plan is created only if absent, and a
    /// job that finds a plan adopts it.
    pub(super) async fn extend(&mut self, last: Option<BatchTime>) -> Result<bool, Error> {
        let Some(window) = self.next().await? else {
            return Ok(false);
        };
        if !self.is_due(&window) || last.is_some_and(|last| last < window.start()) {
            return Ok(false);
        }
        let mut unplanned = match self.unplanned.take() {
            Some(unplanned) => unplanned,
            None => self.unplanned_slabs().await?,
        };
        // Without a slab no plan is made. Otherwise a job whose clock is far ahead would plan
        // windows of the future, and the servers would have to assign slabs to windows after them.
        if unplanned.is_empty() {
            self.unplanned = Some(unplanned);
            return Ok(false);
        }
        let fixed = self.fix(self.draft(window, &unplanned)).await?;
        let named: BTreeSet<&PlannedSlab> = fixed.plan.slabs.iter().collect();
        unplanned.retain(|(slab, _)| !named.contains(slab));
        self.unplanned = Some(unplanned);
        let start = fixed.plan.window.start();
        self.plans.insert(start, fixed);
        self.find_record(start).await?;
        Ok(true)
    }

    /// Checks for the record of a window that was planned just now.
    ///
    /// A job that was suspended for days could create a plan that has been pruned in the meantime.
    /// The window's record still exists then, so that no report is batched a second time.
    async fn find_record(&mut self, start: BatchTime) -> Result<(), Error> {
        let names = &self.locality.names;
        let records = RetryingBucket::spool(self.ingestor)
            .keys(&names.records_near(start))
            .await?;
        let found = records.iter().filter_map(|key| names.parse_record(key));
        self.records
            .extend(found.filter(|(window, _)| *window == start));
        Ok(())
    }

    /// Returns the oldest window that has a plan but no record.
    pub(super) fn open(&self) -> Option<FixedPlan> {
        let mut open = self
            .plans
            .iter()
            .filter(|(start, _)| !self.records.contains_key(start));
        open.next().map(|(_, plan)| plan.clone())
    }

    /// Marks a window as complete. If reports were carried, the slabs have to be listed again.
    pub(super) fn close(&mut self, start: BatchTime, secret: String, carried: bool) {
        self.records.insert(start, secret);
        if carried {
            self.unplanned = None;
        }
    }

    /// Returns the windows whose reports may be replayed in the window of this plan, oldest first,
    /// each with the id of the secret that sealed its record.
    ///
    /// These are the windows that end later than `replay-windows` lengths of the plan's window
    /// before its start. The bound is a time and not a number of windows, since earlier windows may
    /// have been longer or shorter.
    pub(super) fn replayed(&self, plan: &Plan) -> Vec<(BatchTime, String)> {
        let start = plan.window.start();
        let horizon = i64::from(plan.replay_windows).saturating_mul(length(plan.window));
        let since = start.millis().saturating_sub(horizon);
        let mut end = start;
        let mut replayed = Vec::new();
        for (begin, secret) in self.records.range(..start).rev() {
            // Windows are adjacent: each ends where the next one begins.
            if end.millis() <= since {
                break;
            }
            replayed.push((*begin, secret.clone()));
            end = *begin;
        }
        replayed.reverse();
        replayed
    }

    fn is_due(&self, window: &Window) -> bool {
        let delay = i64::try_from(self.ingestor.batches.settle_secs).unwrap_or(i64::MAX / 2000);
        window.end().millis().saturating_add(delay * 1000) <= self.ingestor.clock.millis()
    }

    /// Returns the first window without a plan, or `None` if there has never been a slab.
    async fn next(&self) -> Result<Option<Window>, Error> {
        // The origin only matters until the first plan exists.
        if let Some((_, last)) = self.plans.last_key_value() {
            return self.following(last.plan.window).map(Some);
        }
        let key = self.locality.names.origin();
        let start = match RetryingBucket::spool(self.ingestor)
            .record(&key, ORIGIN_LIMIT)
            .await?
        {
            Some(bytes) => parse_origin(&key, &bytes)?,
            None => {
                let Some((_, first)) = self.unplanned_slabs().await?.into_iter().next() else {
                    return Ok(None);
                };
                self.fix_origin(first).await?
            }
        };
        self.window_at(start).map(Some)
    }

    /// Fixes the first window of the log: the window of the oldest slab. A job that loses the race
    /// adopts the existing origin.
    async fn fix_origin(&self, first: BatchTime) -> Result<BatchTime, Error> {
        let (spool, key) = (
            RetryingBucket::spool(self.ingestor),
            self.locality.names.origin(),
        );
        let start = self.window_at(first)?.start();
        match spool.create(&key, start.to_string().as_bytes()).await {
            Ok(_) => Ok(start),
            Err(BucketError::Conflict { .. }) => {
                let existing = spool.record(&key, ORIGIN_LIMIT).await?;
                parse_origin(&key, &existing.ok_or_else(|| spool.missing(&key))?)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn window_at(&self, time: BatchTime) -> Result<Window, Error> {
        let minutes = self.ingestor.batches.window_minutes;
        aligned_window(time, minutes)
            .ok_or_else(|| Error::Internal(format!("no window of {minutes} minutes at {time}")))
    }

    /// Returns the window after this one, aligned to the length that is configured now.
    fn following(&self, window: Window) -> Result<Window, Error> {
        let minutes = self.ingestor.batches.window_minutes;
        next_window(window, minutes)
            .ok_or_else(|| Error::Internal(format!("no window after {window}")))
    }

    /// Lists all slabs that no plan names, with the window in their name, oldest first.
    async fn unplanned_slabs(&self) -> Result<Vec<(PlannedSlab, BatchTime)>, Error> {
        let planned = self.plans.values().flat_map(|fixed| &fixed.plan.slabs);
        let planned: BTreeSet<&str> = planned.map(|slab| slab.key.as_str()).collect();
        let names = &self.locality.names;
        let mut unplanned = Vec::new();
        let mut entries = self
            .ingestor
            .spool
            .list(&names.slabs(), ListRange::default())
            .await?;
        while let Some(entry) = entries.try_next().await? {
            if let Some(slab) = names
                .parse_slab(&entry.key)
                .filter(|_| !planned.contains(entry.key.as_str()))
            {
                let (key, size) = (entry.key, entry.size);
                unplanned.push((PlannedSlab { key, size }, slab.window()));
            }
        }
        Ok(unplanned)
    }

    /// Drafts the plan of a window: the free slabs of this window and of earlier ones. A slab whose
    /// name is far ahead of the clock comes from a server with a wrong clock, and is included at
    /// once.
    fn draft(&self, window: Window, unplanned: &[(PlannedSlab, BatchTime)]) -> Plan {
        let Ingestor {
            batches,
            secrets,
            registry,
            clock,
            ..
        } = self.ingestor;
        let ahead =
            BatchTime::of_clock(clock.millis()).plus_minutes(2 * i64::from(batches.window_minutes));
        let is_included =
            |start: BatchTime| start < window.end() || ahead.is_some_and(|ahead| start > ahead);
        let slabs: Vec<_> = unplanned
            .iter()
            .filter(|(_, start)| is_included(*start))
            .map(|(slab, _)| slab.clone())
            .collect();
        let bytes: u64 = slabs.iter().map(|slab| slab.size).sum();
        let partitions = bytes.div_ceil(batches.partition_bytes);
        Plan {
            format: Plan::FORMAT,
            instance: self.locality.instance.clone(),
            window,
            date: match batches.ingestion_date {
                IngestionDate::Start => window.start(),
                IngestionDate::End => window.end(),
            },
            previous: self.plans.last_key_value().map(|(_, last)| last.digest),
            generation: ENCODER_GENERATION,
            // `config::check` ensures that there is a secret.
            secret: secrets
                .first()
                .map(tallybox_crypto::IngestorSecret::id)
                .unwrap_or_default(),
            registry_version: registry.current().version,
            partitions: u32::try_from(partitions).unwrap_or(u32::MAX),
            cut: Cut {
                max_packets: batches.max_packets,
                max_bytes: batches.max_bytes,
                min_packets: batches.min_packets,
                max_carry_windows: batches.max_carry_windows,
            },
            replay_windows: self.replay_windows(window),
            slabs,
        }
    }

    /// Returns for how many windows before this one replays have to be found: for as long as a
    /// report is admitted and may have been carried over. The unit is the length of this window,
    /// which may be shorter than that of earlier windows if the configuration has changed.
    fn replay_windows(&self, window: Window) -> u32 {
        let (acceptance, batches) = (&self.ingestor.acceptance, &self.ingestor.batches);
        let minutes = self.locality.replay_minutes(acceptance) + batches.settle_secs.div_ceil(60);
        let windows = minutes.div_ceil((length(window) / 60_000).unsigned_abs().max(1));
        u32::try_from(windows)
            .unwrap_or(u32::MAX)
            .saturating_add(batches.max_carry_windows + 2)
    }

    /// Creates the plan, or adopts the existing one.
    async fn fix(&self, plan: Plan) -> Result<FixedPlan, Error> {
        let (spool, key) = (
            RetryingBucket::spool(self.ingestor),
            self.locality.names.plan(plan.window.start()),
        );
        let bytes = plan
            .to_json()
            .map_err(|error| Error::Internal(format!("{key}: {error}")))?;
        let digest = Digest::sha256(&bytes);
        match spool.create(&key, &bytes).await {
            Ok(_) => Ok(FixedPlan { plan, digest }),
            Err(BucketError::Conflict { .. }) => read_plan(spool, &key).await,
            Err(error) => Err(error.into()),
        }
    }
}

/// Returns the length of a window in milliseconds.
fn length(window: Window) -> i64 {
    window.end().millis() - window.start().millis()
}

fn parse_origin(key: &str, bytes: &[u8]) -> Result<BatchTime, Error> {
    let text = String::from_utf8_lossy(bytes);
    text.parse().map_err(|error| Error::Damaged {
        object: key.to_owned(),
        problem: format!("{error}"),
    })
}

async fn read_plan(spool: RetryingBucket<'_>, key: &str) -> Result<FixedPlan, Error> {
    let bytes = spool.record(key, PLAN_LIMIT).await?;
    let bytes = bytes.ok_or_else(|| spool.missing(key))?;
    let plan = Plan::parse(&bytes).map_err(|problem| Error::Damaged {
        object: key.to_owned(),
        problem,
    })?;
    let digest = Digest::sha256(&bytes);
    Ok(FixedPlan { plan, digest })
}

/// Lists the names of all objects in a directory.
pub(super) async fn keys(bucket: &dyn Bucket, directory: &str) -> Result<Vec<String>, Error> {
    let entries = bucket.list(directory, ListRange::default()).await?;
    Ok(entries.map_ok(|entry| entry.key).try_collect().await?)
}
