//! Which batches a roster lists: what was listed before and is not settled, and what has come since.

use super::agreement::{age, memory};
use super::chain::Chain;
use super::listed::Listed;
use super::policy::RosterPolicy;
use super::summed::without_rosters;
use super::verdicts::{Verdicts, VerdictsWriter};
use crate::aggregate::{join_peer, prepared};
use crate::error::Error;
use crate::intake::Progress;
use crate::prepared::PreparedError;
use crate::processor::Processor;
use futures::TryStreamExt as _;
use std::collections::BTreeMap;
use std::sync::Arc;
use tallybox_model::path::{BatchName, BatchPart, window_range};
use tallybox_model::roster::{Claim, DatedBatch, OpenReason, WindowName};
use tallybox_model::time::Window;
use tallybox_service::fault;
use tallybox_transport::batch::BatchError;
use tallybox_transport::{Bucket, BucketError, ListRange};

/// What is there of a batch.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    ingestion: bool,
    prepared: bool,
    validation: bool,
}

/// Makes the verdicts of a window, unless they are there, and answers with those that are.
pub(super) async fn verdicts(
    processor: &Arc<Processor>,
    policy: &RosterPolicy,
    name: &WindowName,
    chain: &Chain,
    progress: &Progress,
) -> Result<Verdicts, Error> {
    if let Some(verdicts) = Verdicts::open(processor, name).await? {
        return Ok(verdicts);
    }
    let is_open = |batch| is_at_most(policy, name.window, batch, policy.terms.maximum_age);
    // Until both chains have begun nobody tells that a batch has expired, so nothing is forgotten.
    let begins = chain.theirs.is_none_or(|theirs| name.window.start() <= theirs.start);
    let is_remembered = |batch| begins || is_at_most(policy, name.window, batch, memory(policy.terms.maximum_age));
    let history = &chain.history;
    let mut writer = VerdictsWriter::create(processor, name).await?;
    let dates = dates(policy, name)?;
    let summed = without_rosters(processor, name, dates).await?;
    let mut seen = look(processor, name, dates).await?;
    for listed in before(processor, policy, name).await? {
        let batch = listed.batch();
        if history.is_closed(batch.id) || summed.contains(&batch) {
            continue;
        }
        if !is_open(batch) {
            // It has expired, unless the peer's chain had not begun by then: this roster tells of it once more.
            seen.entry(batch).or_default();
            continue;
        }
        if fault::is_on("lost-carry") {
            seen.remove(&batch);
            continue;
        }
        match listed.again(previous(policy, name.window)) {
            Some(again) => {
                seen.remove(&batch);
                writer.listed(&again).await?;
            }
            None => drop(seen.entry(batch).or_default()),
        }
    }
    if fault::is_on("late-batch-dropped") {
        seen.retain(|batch, _| name.window.contains(batch.date));
    }
    if fault::is_on("expiry-by-clock") {
        let keep = i64::from(policy.terms.maximum_age + 1) * i64::from(policy.terms.period_minutes) * 60_000;
        seen.retain(|batch, _| batch.date.millis() + keep > processor.clock.millis());
    }
    seen.retain(|batch, _| !history.is_closed(batch.id) && !summed.contains(batch));
    for (batch, seen) in seen {
        if is_open(batch) {
            judge(processor, &mut writer, name, (batch, seen), progress).await?;
        } else if is_remembered(batch) {
            let reason = OpenReason::TooLate;
            writer.listed(&Listed::Open { batch, reason }).await?;
        }
    }
    writer.finish().await?;
    let verdicts = Verdicts::open(processor, name).await?;
    verdicts.ok_or_else(|| Error::Internal(format!("{} vanished", name.verdicts())))
}

/// Whether a batch is of this window, or of one that is not more windows before it.
fn is_at_most(policy: &RosterPolicy, window: Window, batch: DatedBatch, windows: u32) -> bool {
    age(batch.date, window, policy.terms.period_minutes).is_some_and(|age| age <= windows)
}

/// The window before, which is the same if there is none.
fn previous(policy: &RosterPolicy, window: Window) -> Window {
    let before = window.start().plus_minutes(-1).and_then(|time| policy.window_of(time));
    before.unwrap_or(window)
}

/// The batches of our roster of the window before.
async fn before(processor: &Processor, policy: &RosterPolicy, name: &WindowName) -> Result<Vec<Listed>, Error> {
    let before = WindowName {
        aggregation: name.aggregation.clone(),
        window: previous(policy, name.window),
    };
    if before.window == name.window {
        return Ok(Vec::new());
    }
    let verdicts = Verdicts::open(processor, &before).await?;
    Ok(verdicts.map(|verdicts| verdicts.listed).unwrap_or_default())
}

/// The dates of the batches that are not too old, and of those that came too late.
fn dates(policy: &RosterPolicy, name: &WindowName) -> Result<Window, Error> {
    let start = policy.back(name.window, memory(policy.terms.maximum_age));
    Window::new(start, name.window.end()).map_err(|error| Error::Internal(error.to_string()))
}

/// What the buckets hold of the batches of these dates.
async fn look(processor: &Processor, name: &WindowName, range: Window) -> Result<BTreeMap<DatedBatch, Seen>, Error> {
    let (buckets, peer) = (&processor.buckets, processor.role.peer());
    let mut seen: BTreeMap<DatedBatch, Seen> = BTreeMap::new();
    for key in keys(&*buckets.ingestion, name, range).await? {
        if let Some(batch) = BatchName::from_ingestion_signature(&key) {
            seen.entry(DatedBatch::of(&batch)).or_default().ingestion = true;
        }
    }
    for key in keys(&*buckets.own, name, range).await? {
        if let Some(batch) = BatchName::from_prepared(&key) {
            seen.entry(DatedBatch::of(&batch)).or_default().prepared = true;
        }
    }
    for key in keys(&*buckets.peer_validation_in, name, range).await? {
        if let Some((batch, BatchPart::Signature)) = BatchName::validation_part(&key, peer) {
            seen.entry(DatedBatch::of(&batch)).or_default().validation = true;
        }
    }
    Ok(seen)
}

async fn keys(bucket: &dyn Bucket, name: &WindowName, range: Window) -> Result<Vec<String>, Error> {
    let (start, end) = window_range(&name.aggregation, &range);
    let range = ListRange {
        start_at: Some(start),
        end_before: Some(end),
    };
    let entries = bucket.list(name.aggregation.as_str(), range).await?;
    Ok(entries.map_ok(|entry| entry.key).try_collect().await?)
}

/// Judges a batch that no roster of ours lists as summable, and writes what came of it.
async fn judge(
    processor: &Arc<Processor>,
    writer: &mut VerdictsWriter,
    name: &WindowName,
    (batch, seen): (DatedBatch, Seen),
    progress: &Progress,
) -> Result<(), Error> {
    let reason = if !seen.ingestion && !seen.prepared {
        OpenReason::NoIngestion
    } else {
        match judged(processor, writer, name, (batch, seen), progress).await {
            Ok(None) => return Ok(()),
            Ok(Some(reason)) => reason,
            // What says nothing of the batch, such as a bucket that fails, makes the roster wait.
            Err(error) => return Err(error),
        }
    };
    writer.listed(&Listed::Open { batch, reason }).await
}

/// Writes the verdict on a batch, or says why there is none.
async fn judged(
    processor: &Arc<Processor>,
    writer: &mut VerdictsWriter,
    name: &WindowName,
    (batch, seen): (DatedBatch, Seen),
    progress: &Progress,
) -> Result<Option<OpenReason>, Error> {
    let batch = BatchName {
        aggregation: name.aggregation.clone(),
        date: batch.date,
        id: batch.id,
    };
    // One that was not taken in yet is taken in now: what is wrong with it belongs into the roster.
    let prepared = match prepared(processor, &batch, false).await {
        Ok(prepared) => prepared,
        Err(error) => return ours(error).map(Some),
    };
    if !seen.validation {
        return Ok(Some(OpenReason::NoValidation));
    }
    let parameters = prepared.footer().parameters.clone();
    let joined = match join_peer(processor, &batch, prepared, progress).await {
        Ok(joined) => joined,
        Err(error) => return theirs(error).map(Some),
    };
    let (verdict, mut accepted) = match joined.judge(processor.role, |_| false).await {
        Ok(judged) => judged,
        Err(error) => return ours(error).map(Some),
    };
    if verdict.accepted == 0 {
        return Ok(Some(OpenReason::NoAcceptedPacket));
    }
    accepted.sort_unstable();
    let claim = Claim {
        parameters,
        accepted: verdict.accepted,
        digest: Claim::digest_of(&accepted),
    };
    writer.judged(&verdict, &accepted, claim).await?;
    Ok(None)
}

/// Why our own side has no record of a batch; an error that says nothing of the batch stays one.
fn ours(error: Error) -> Result<OpenReason, Error> {
    Ok(match error {
        Error::Batch(BatchError::NotThere { .. }) => OpenReason::NoIngestion,
        Error::Batch(BatchError::Incomplete { .. }) | Error::NoKey { .. } => OpenReason::NotTakenIn,
        Error::WrongKey { .. } => OpenReason::WrongKey,
        Error::Copied { .. } => OpenReason::Copied,
        Error::Prepared(PreparedError::Bucket(_)) => return Err(error),
        Error::Generation { .. } | Error::Bucket(BucketError::Conflict { .. }) | Error::Prepared(_) => {
            OpenReason::Conflict
        }
        Error::Batch(BatchError::Bucket(BucketError::Conflict { .. })) => OpenReason::Conflict,
        Error::Batch(BatchError::Bucket(_)) => return Err(error),
        Error::Batch(_) | Error::Header { .. } | Error::Bins { .. } | Error::EmptyBatch { .. } => {
            OpenReason::BadIngestion
        }
        other => return Err(other),
    })
}

/// Why the peer's side of a batch is of no use.
fn theirs(error: Error) -> Result<OpenReason, Error> {
    Ok(match error {
        Error::Batch(BatchError::NotThere { .. } | BatchError::Incomplete { .. }) => OpenReason::NoValidation,
        Error::Batch(BatchError::Bucket(_)) => return Err(error),
        Error::Batch(_) | Error::Header { .. } => OpenReason::BadValidation,
        other => return Err(other),
    })
}
