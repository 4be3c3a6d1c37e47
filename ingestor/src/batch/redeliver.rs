//! Repeated delivery of fixed batches: objects that a mailbox only reports to exist, and batches
//! that an operator requests.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use tallybox_model::cause;
use tallybox_model::digest::Digest;
use tallybox_model::id::BatchId;
use tallybox_model::path::BatchName;
use tallybox_model::time::BatchTime;
use tallybox_transport::BucketError;

use super::plan_log::PlanLog;
use super::publish::{Sides, WrittenObject, publish};
use super::retry::retry;
use super::summary::RedeliverySummary;
use super::window::{WindowJob, is_gone};
use super::{BatchOptions, Job};
use crate::error::Error;
use crate::ingestor::{Ingestor, Locality};

/// Time after which a mailbox's answer "exists" is believed, in milliseconds. No request is in
/// flight for that long.
const CONFIRMATION_MILLIS: i64 = 60 * 60_000;
/// Most bytes of a note.
const NOTE_LIMIT: u64 = 64 << 20;

/// An operator's request to write batches again.
#[derive(Clone, Debug)]
pub struct Redelivery {
    /// Start of the window.
    pub window: BatchTime,
    /// Ids of the batches. Empty means all batches of the window.
    pub batches: BTreeSet<BatchId>,
    /// The processors to write to, by their index.
    pub sides: [bool; 2],
}

/// Writes batches of a window again, with the same bytes, where a mailbox does not hold them.
///
/// # Errors
/// [`Error::NotInSpool`] if the spool does not hold the slabs of the window,
/// [`Error::UnknownBatch`] for an id that the window does not contain, and errors of the buckets.
pub async fn redeliver(
    ingestor: &Ingestor,
    locality: &Locality,
    redelivery: &Redelivery,
) -> Result<RedeliverySummary, Error> {
    let options = BatchOptions::default();
    let job = Job {
        ingestor,
        locality,
        options: &options,
    };
    let plan_log = PlanLog::read(ingestor, locality).await?;
    let start = redelivery.window;
    let not_in_spool = || Error::NotInSpool { window: start };
    let missing = |error: Error| {
        if is_gone(&error) {
            not_in_spool()
        } else {
            error
        }
    };
    let plan = plan_log.plan(start).await.map_err(missing)?;
    let (partitions, before) = (plan.plan.partitions, plan_log.replayed(&plan.plan));
    let window = WindowJob::read(&job, plan, &before)
        .await
        .map_err(missing)?;
    let mut summary = RedeliverySummary::new(&locality.instance, start);
    let mut found = BTreeSet::new();
    for partition in 0..partitions {
        let built = window
            .rebuild(partition, &redelivery.batches)
            .await
            .map_err(missing)?;
        found.extend(built.iter().map(|batch| batch.name.id));
        let written = publish(ingestor, locality, &built, redelivery.sides).await?;
        create_note(&job, (start, partition), &written).await?;
        summary.add(built.len(), &written);
    }
    if let Some(unknown) = redelivery.batches.difference(&found).next() {
        return Err(Error::UnknownBatch {
            window: start,
            batch: *unknown,
        });
    }
    Ok(summary)
}

/// A note in the spool (JSON): objects that a run wrote and that mailboxes only report to exist.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Note {
    /// Creation time of the note, by the spool's clock.
    since: i64,
    /// The objects, each with the index of the processor.
    objects: BTreeSet<(usize, String)>,
}

/// Creates a note of the objects that a mailbox only reports to exist.
pub(super) async fn create_note(
    job: &Job<'_>,
    (start, partition): (BatchTime, u32),
    written: &[WrittenObject],
) -> Result<(), Error> {
    let assumed = written
        .iter()
        .filter(|written| written.published.is_assumed());
    let objects: BTreeSet<(usize, String)> = assumed
        .map(|written| (written.side, written.object.clone()))
        .collect();
    if objects.is_empty() {
        return Ok(());
    }
    let (spool, tries) = (&*job.ingestor.spool, job.ingestor.batches.write_tries);
    let internal_error = |error: serde_json::Error| Error::Internal(error.to_string());
    let tag = Digest::sha256(&serde_json::to_vec(&objects).map_err(internal_error)?).to_hex();
    let object = job
        .locality
        .names
        .unconfirmed_note(start, partition, &tag[..16]);
    tracing::info!(%object, "mailboxes report existing objects that cannot be read; they will be written again later");
    // The bucket's clock is used, since this machine's clock may be wrong.
    let since = retry(tries, || spool.date()).await?;
    let bytes = serde_json::to_vec(&Note { since, objects }).map_err(internal_error)?;
    match job.spool().create(&object, &bytes).await {
        // An earlier run has created the same note.
        Ok(_) | Err(BucketError::Conflict { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Writes the objects of all notes again. Objects that cannot be written now are left to a later
/// run and do not delay any window.
pub(super) async fn retry_unconfirmed(job: &Job<'_>, plan_log: &PlanLog<'_>) -> Result<(), Error> {
    let names = &job.locality.names;
    for note in job.spool().keys(&names.unconfirmed()).await? {
        let Some(window_partition) = names
            .parse_unconfirmed(&note)
            .filter(|(_, partition)| job.has_partition(*partition))
        else {
            continue;
        };
        match retry_note(job, plan_log, window_partition, &note).await {
            Ok(true) => job.ingestor.spool.delete(&note).await?,
            Ok(false) => {}
            // The window has been pruned from the spool, so these objects cannot be built any more.
            Err(error) if is_gone(&error) => {
                tracing::warn!(
                    note,
                    "objects that mailboxes report to exist cannot be written again: their slabs are pruned"
                );
                job.ingestor.spool.delete(&note).await?;
            }
            Err(error) => {
                let error = cause::chain(&error);
                tracing::warn!(
                    error,
                    note,
                    "objects that mailboxes report to exist could not be written again; a later run retries"
                );
            }
        }
    }
    Ok(())
}

/// Writes the objects of a note again and returns whether the note can be deleted: either all
/// objects have been created now, or mailboxes have reported them to exist for long enough.
async fn retry_note(
    job: &Job<'_>,
    plan_log: &PlanLog<'_>,
    (start, partition): (BatchTime, u32),
    object: &str,
) -> Result<bool, Error> {
    let text = job.spool().record(object, NOTE_LIMIT).await?;
    let text = text.ok_or_else(|| job.spool().missing(object))?;
    let note: Note = serde_json::from_slice(&text).map_err(|error| Error::Damaged {
        object: object.to_owned(),
        problem: error.to_string(),
    })?;
    let (mut sides, mut ids): (Sides, BTreeSet<BatchId>) = ([false; 2], BTreeSet::new());
    for (side, object) in &note.objects {
        if let (Some(side), Some(name)) = (
            sides.get_mut(*side),
            BatchName::from_ingestion_object(object),
        ) {
            *side = true;
            ids.insert(name.id);
        }
    }
    let plan = plan_log.plan(start).await?;
    let before = plan_log.replayed(&plan.plan);
    let window = WindowJob::read(job, plan, &before).await?;
    let built = window.rebuild(partition, &ids).await?;
    let written = publish(job.ingestor, job.locality, &built, sides).await?;
    let doubtful = |written: &WrittenObject| {
        written.published.is_assumed()
            && note
                .objects
                .contains(&(written.side, written.object.clone()))
    };
    if !written.iter().any(doubtful) {
        return Ok(true);
    }
    let now = job.ingestor.spool.date().await?;
    Ok(now.saturating_sub(note.since) >= CONFIRMATION_MILLIS)
}
