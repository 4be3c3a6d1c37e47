//! A window, from its plan to its record. Everything in between is a pure function of the plan.
//! Any number of runs and jobs, concurrent, sequential or interrupted, therefore produce the same
//! bytes.

use std::collections::BTreeSet;
use std::sync::Arc;

use tallybox_crypto::IngestorSecret;
use tallybox_model::id::BatchId;
use tallybox_model::marker::ENCODER_GENERATION;
use tallybox_model::spool::BatchList;
use tallybox_model::time::BatchTime;
use tallybox_transport::{BucketError, publish_bytes};

use super::build::{Builder, BuiltBatch};
use super::cut::{CutBatch, Cutting, cut};
use super::index::{Index, blocking};
use super::plan_log::FixedPlan;
use super::publish::{BOTH_SIDES, fix, publish, read_list};
use super::record::{OpenRecord, WindowBatch, WindowRecord, seal};
use super::redeliver::create_note;
use super::replay::{ReplayCounts, Replays};
use super::retry::retry;
use super::summary::WindowSummary;
use super::{Job, points};
use crate::error::Error;

/// Most bytes of the object that marks a partition as written.
const MARK_LIMIT: u64 = 64;
/// Most bytes of a record: enough for some ten million reports.
const RECORD_LIMIT: u64 = 1 << 30;

/// A window that is being batched.
pub(super) struct WindowJob<'j> {
    job: &'j Job<'j>,
    plan: FixedPlan,
    secret: IngestorSecret,
    index: Arc<Index>,
    cutting: Arc<Cutting>,
    replays: ReplayCounts,
    /// Number of reports under packet keys of another number of bins.
    other_bins: u64,
    /// The evaluation point of each group, or `None` if its keys belong to another number of bins.
    points: Vec<Option<i64>>,
}

/// The state of a window after a run.
#[derive(Debug)]
pub(super) enum Done {
    /// The window is complete: everything is written, and so is the record.
    Complete(Box<WindowRecord>),
    /// Other jobs have not finished writing these partitions.
    Waiting(Vec<u32>),
}

impl<'j> WindowJob<'j> {
    /// Reads the slabs of the plan and finds the reports that are new. `records` lists the complete
    /// windows whose reports may be replayed, oldest first, with the id of the secret that sealed
    /// each record.
    pub(super) async fn read(
        job: &'j Job<'j>,
        plan: FixedPlan,
        records: &[(BatchTime, String)],
    ) -> Result<Self, Error> {
        let window = plan.plan.window.start();
        let secret = find_secret(job, window, &plan.plan.secret)?;
        let index = Arc::new(Index::read(job.spool(), &plan.plan, &secret).await?);
        let within = Arc::clone(&index);
        let mut replays = blocking(move || Ok(Replays::within(&within.entries))).await?;
        for (window, secret_id) in records {
            let record = open_record(job, *window, secret_id).await?;
            replays = blocking(move || {
                record.mark(&mut replays);
                Ok(replays)
            })
            .await?;
        }
        let points = compute_points(job, &index).await?;
        let (planned, cut_index, group_points) =
            (plan.plan.clone(), Arc::clone(&index), points.clone());
        let (cutting, replays, other_bins) = blocking(move || {
            let (mut is_new, counts) = replays.finish();
            let other_bins = exclude(&mut is_new, &cut_index, &group_points);
            Ok((cut(&planned, &cut_index, &is_new), counts, other_bins))
        })
        .await?;
        Ok(Self {
            job,
            plan,
            secret,
            index,
            cutting: Arc::new(cutting),
            replays,
            other_bins,
            points,
        })
    }

    /// Writes this job's partitions that are not yet written. If all partitions are written then,
    /// completes the window.
    pub(super) async fn write(self) -> Result<Done, Error> {
        let builder = Arc::new(self.builder());
        let mut missing = self.missing().await?;
        // Concurrent jobs start at different partitions.
        let offset = self.job.options.partition_seed as usize % missing.len().max(1);
        missing.rotate_left(offset);
        for partition in missing
            .into_iter()
            .filter(|partition| self.job.has_partition(*partition))
        {
            self.write_partition(&builder, partition).await?;
        }
        let missing = self.missing().await?;
        if !missing.is_empty() {
            return Ok(Done::Waiting(missing));
        }
        self.finish(&builder)
            .await
            .map(|record| Done::Complete(Box::new(record)))
    }

    fn builder(&self) -> Builder {
        Builder {
            plan: self.plan.clone(),
            secret: self.secret.clone(),
            index: Arc::clone(&self.index),
            // A group without a point has no batch, so the default is never written.
            points: self
                .points
                .iter()
                .map(|point| point.unwrap_or_default())
                .collect(),
        }
    }

    /// Returns the partitions that are not marked as written.
    async fn missing(&self) -> Result<Vec<u32>, Error> {
        let (names, start) = (&self.job.locality.names, self.plan.plan.window.start());
        let spool = self.job.spool();
        let marks = spool.keys(&names.written(start)).await?;
        let mut missing = Vec::new();
        for partition in 0..self.plan.plan.partitions {
            let mark = names.partition_written(start, partition);
            // Marks are read and verified, not only listed: a forged mark would lose up to a
            // million reports.
            let marked_plan = match marks.contains(&mark) {
                true => spool.record(&mark, MARK_LIMIT).await?,
                false => None,
            };
            match marked_plan {
                None => missing.push(partition),
                Some(plan) if plan == self.plan.digest.to_hex().as_bytes() => {}
                Some(_) => {
                    return Err(Error::Damaged {
                        object: mark,
                        problem: "it belongs to another plan".to_owned(),
                    });
                }
            }
        }
        Ok(missing)
    }

    async fn write_partition(&self, builder: &Arc<Builder>, partition: u32) -> Result<(), Error> {
        let (ingestor, names) = (self.job.ingestor, &self.job.locality.names);
        let start = self.plan.plan.window.start();
        let batches: Vec<CutBatch> = self.partition_batches(partition).cloned().collect();
        let built = builder.build(self.job.spool(), &batches).await?;
        let listed = built.iter().zip(&batches).map(|(built, batch)| {
            let group = &self.index.groups[batch.group as usize];
            built.listed(group.key_ids.clone())
        });
        let list = BatchList {
            format: BatchList::FORMAT,
            plan: self.plan.digest,
            partition,
            generation: ENCODER_GENERATION,
            batches: listed.collect(),
        };
        // The list is fixed before the first object is published: a later run then has to write the
        // same bytes.
        fix(ingestor, &names.list(start, partition), &list).await?;
        let written = publish(ingestor, self.job.locality, &built, BOTH_SIDES).await?;
        create_note(self.job, (start, partition), &written).await?;
        for batch in &built {
            self.job.progress(batch.packets);
        }
        let mark = names.partition_written(start, partition);
        let spool = self.job.spool();
        spool
            .create(&mark, self.plan.digest.to_hex().as_bytes())
            .await?;
        Ok(())
    }

    /// Builds a partition's batches with these ids again, or all of them if `ids` is empty. Checks
    /// that they equal the fixed ones.
    pub(super) async fn rebuild(
        &self,
        partition: u32,
        ids: &BTreeSet<BatchId>,
    ) -> Result<Vec<BuiltBatch>, Error> {
        let builder = Arc::new(self.builder());
        let wanted = |batch: &&CutBatch| ids.is_empty() || ids.contains(&builder.batch_id(batch));
        let batches: Vec<CutBatch> = self
            .partition_batches(partition)
            .filter(wanted)
            .cloned()
            .collect();
        if batches.is_empty() {
            return Ok(Vec::new());
        }
        let object = self
            .job
            .locality
            .names
            .list(self.plan.plan.window.start(), partition);
        let list = read_list(self.job.ingestor, &object).await?;
        let built = builder.build(self.job.spool(), &batches).await?;
        for (built, batch) in built.iter().zip(&batches) {
            let group = &self.index.groups[batch.group as usize];
            if list.batches.contains(&built.listed(group.key_ids.clone())) {
                continue;
            }
            if list.generation != ENCODER_GENERATION {
                let (ours, theirs) = (ENCODER_GENERATION, list.generation);
                return Err(Error::Generation {
                    object,
                    ours,
                    theirs,
                });
            }
            let problem = format!(
                "batch {} is rebuilt with other bytes than those recorded here",
                built.name
            );
            return Err(Error::Damaged { object, problem });
        }
        Ok(built)
    }

    fn partition_batches(&self, partition: u32) -> impl Iterator<Item = &CutBatch> {
        self.cutting
            .batches
            .iter()
            .filter(move |batch| batch.partition == partition)
    }

    /// Writes the slab of carried reports, then the record.
    async fn finish(&self, builder: &Arc<Builder>) -> Result<WindowRecord, Error> {
        let Job { locality, .. } = self.job;
        let window = self.plan.plan.window;
        if !self.cutting.carried.is_empty() {
            let start = window.start();
            let object = locality
                .names
                .slab(&tallybox_model::spool::SlabName::Carried { window: start });
            let slab = builder
                .carried(self.job.spool(), &object, &self.cutting.carried)
                .await?;
            self.job.spool().create(&object, &slab).await?;
        }
        let record = self.record(builder)?;
        let object = locality
            .names
            .record(window.start(), &self.plan.plan.secret);
        let (instance, secret) = (locality.instance.clone(), self.secret.clone());
        let (index, cutting) = (Arc::clone(&self.index), Arc::clone(&self.cutting));
        let (record, bytes) = blocking(move || {
            let bytes = seal(&record, &instance, &secret, &index, &cutting)?;
            Ok((record, bytes))
        })
        .await?;
        // The bytes are sealed under the object's name already, so they are not wrapped in a
        // record.
        let (spool, bytes) = (self.job.spool(), bytes::Bytes::from(bytes));
        retry(spool.tries, || {
            publish_bytes(spool.bucket, &object, bytes.clone(), false)
        })
        .await?;
        Ok(record)
    }

    fn record(&self, builder: &Builder) -> Result<WindowRecord, Error> {
        let batches = self.cutting.batches.iter();
        let batches = batches
            .map(|batch| builder.window_batch(batch))
            .collect::<Result<Vec<WindowBatch>, _>>()?;
        let summary = WindowSummary {
            window: self.plan.plan.window,
            reports: self.index.entries.len() as u64,
            batched: batches.iter().map(|batch| batch.packets).sum(),
            replays: self.replays,
            carried: self.cutting.carried.len() as u64,
            dropped: self.cutting.dropped,
            other_bins: self.other_bins,
            batches,
        };
        let plan = self.plan.digest;
        Ok(WindowRecord { plan, summary })
    }
}

/// Returns the evaluation point of each group, in order.
async fn compute_points(job: &Job<'_>, index: &Index) -> Result<Vec<Option<i64>>, Error> {
    let mut points = Vec::new();
    for group in &index.groups {
        let point = points::point(job.ingestor, job.locality, group).await?;
        if point.is_none() {
            tracing::error!(
                instance = job.locality.instance.as_str(),
                metric = group.parameters.name,
                bins = group.parameters.bins,
                first_key = group.key_ids[0],
                second_key = group.key_ids[1],
                "reports dropped: their packet keys belong to another number of bins; list a key pair of its own for each"
            );
        }
        points.push(point);
    }
    Ok(points)
}

/// Marks reports of groups without a point as not new, and returns how many of them are not
/// replays.
fn exclude(is_new: &mut [bool], index: &Index, points: &[Option<i64>]) -> u64 {
    let mut left_out = 0;
    for (is_new, entry) in is_new.iter_mut().zip(&index.entries) {
        if *is_new && points[entry.group as usize].is_none() {
            *is_new = false;
            left_out += 1;
        }
    }
    left_out
}

fn find_secret(job: &Job<'_>, window: BatchTime, id: &str) -> Result<IngestorSecret, Error> {
    let unknown = || Error::UnknownSecret {
        window,
        secret: id.to_owned(),
    };
    job.ingestor.secret(id).cloned().ok_or_else(unknown)
}

/// Opens the record of a complete window.
pub(super) async fn open_record(
    job: &Job<'_>,
    window: BatchTime,
    secret_id: &str,
) -> Result<OpenRecord, Error> {
    let secret = find_secret(job, window, secret_id)?;
    let object = job.locality.names.record(window, secret_id);
    let bytes = job.spool().read(&object, RECORD_LIMIT).await?;
    let instance = job.locality.instance.clone();
    blocking(move || OpenRecord::open(&object, &bytes, &instance, window, &secret)).await
}

/// Returns whether an object does not exist. In this case another job may have completed the window
/// and pruned its objects.
pub(super) fn is_gone(error: &Error) -> bool {
    matches!(error, Error::Bucket(BucketError::NotFound { .. }))
}
