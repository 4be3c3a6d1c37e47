//! Writes mailbox objects again whose existence is only claimed by the mailbox.
//!
//! A processor may write to its peer's mailbox and cannot read it. Such a mailbox can answer
//! "exists" for an object that does not exist: two requests arrive at the same time, or a replica
//! lags behind a deletion. The processor notes such an object in the own bucket. Every later task
//! about a window of the aggregation writes the object again, until one write creates it, or until
//! the mailbox has given the same answer for an hour. Where rosters are used, the peer's roster
//! also lists the validation batches that it lacks (`roster::agree`).

use crate::aggregate::{AggregateTask, aggregate};
use crate::error::Error;
use crate::intake::intake;
use crate::processor::Processor;
use crate::progress::no_progress;
use crate::roster::{aggregate_agreed, rostered};
use crate::sum::FixedSumPart;
use futures::TryStreamExt as _;
use std::collections::BTreeSet;
use std::sync::Arc;
use tallybox_model::id::AggregationId;
use tallybox_model::path::{BatchName, SumPartName, Unconfirmed};
use tallybox_model::roster::WindowName;
use tallybox_service::cause::chain;
use tallybox_transport::{BucketError, ListRange, Published};

/// The time for which a mailbox has to answer "exists" until the answer is trusted, in
/// milliseconds. No request is in flight for that long.
const TRUSTED_AFTER_MILLIS: i64 = 60 * 60_000;
/// The most batches and windows that one task writes again.
const MOST_OBJECTS_PER_TASK: usize = 100;

/// Notes which of the objects of one batch or sum part exist only according to the mailbox. `rerun`
/// is true if an earlier run may have left notes; then only the objects that it noted are in doubt,
/// because it created the others.
pub(crate) async fn note(
    processor: &Processor,
    put: &[(Unconfirmed, Published)],
    rerun: bool,
) -> Result<(), Error> {
    let own = &*processor.buckets.own;
    // Nothing is in doubt: every write created its object, and no earlier run can have left notes.
    if !rerun && put.iter().all(|(_, published)| !published.is_assumed()) {
        return Ok(());
    }
    let mut noted = Vec::new();
    for (object, published) in put {
        let note = object.note();
        let since = if rerun {
            processor.buckets.read_text(&note).await?
        } else {
            None
        };
        noted.push((note, published.is_assumed(), since));
    }
    let is_first = noted.iter().all(|(_, _, since)| since.is_none());
    for (note, assumed, since) in noted {
        if !assumed {
            if since.is_some() {
                own.delete(&note).await?;
            }
            continue;
        }
        // The bucket's clock, because the clock of this machine may be wrong.
        let now = own.date().await?;
        match since {
            Some(since) if now.saturating_sub(since) >= TRUSTED_AFTER_MILLIS => {
                own.delete(&note).await?
            }
            None if is_first => {
                tracing::info!(object = %note, "mailbox object without confirmed existence; it is written again later");
                match processor
                    .buckets
                    .create_record(&note, now.to_string().as_bytes())
                    .await
                {
                    // Another run has already written the note.
                    Ok(_) | Err(BucketError::Conflict { .. }) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// Writes the noted objects of an aggregation again. A mailbox that fails does not fail the task.
pub async fn put_again(processor: &Arc<Processor>, aggregation: &AggregationId) {
    if let Err(error) = try_put_again(processor, aggregation).await {
        tracing::warn!(
            error = chain(&error),
            "mailbox objects without confirmed existence could not be written again; a later task \
             tries again"
        );
    }
}

async fn try_put_again(
    processor: &Arc<Processor>,
    aggregation: &AggregationId,
) -> Result<(), Error> {
    let own = &*processor.buckets.own;
    let mut entries = own
        .list(&Unconfirmed::directory(aggregation), ListRange::default())
        .await?;
    let (mut batches, mut windows) = (BTreeSet::new(), BTreeSet::new());
    while let Some(entry) = entries.try_next().await? {
        match Unconfirmed::parse(&entry.key) {
            Some(Unconfirmed::Validation(name, _)) => drop(batches.insert(name)),
            Some(Unconfirmed::SumPart(name, _)) => drop(windows.insert(name)),
            None => {}
        }
        // The next task continues with the rest.
        if batches.len() + windows.len() >= MOST_OBJECTS_PER_TASK {
            break;
        }
    }
    for name in batches {
        let result = intake(processor, &name, no_progress()).await;
        let notes = Unconfirmed::of_validation(&name);
        delete_final_notes(processor, result.map(drop), &notes).await?;
    }
    for name in windows {
        let result = publish_sum_again(processor, &name).await;
        let notes = Unconfirmed::of_sum_part(&name);
        delete_final_notes(processor, result, &notes).await?;
    }
    Ok(())
}

/// Returns an error that a retry may resolve. For any other error, deletes the notes, because the
/// objects can never be written again.
async fn delete_final_notes(
    processor: &Processor,
    result: Result<(), Error>,
    notes: &[Unconfirmed],
) -> Result<(), Error> {
    let error = match result {
        Err(error) if error.exit() != tallybox_service::exit::Exit::Retry => error,
        other => return other,
    };
    tracing::warn!(
        error = chain(&error),
        "mailbox object without confirmed existence can never be written again; its note is deleted"
    );
    for note in notes {
        processor.buckets.own.delete(&note.note()).await?;
    }
    Ok(())
}

/// Publishes a window's sum part again, from its record.
async fn publish_sum_again(processor: &Arc<Processor>, name: &WindowName) -> Result<(), Error> {
    if rostered(processor, name.window).await? {
        aggregate_agreed(processor, name, no_progress()).await?;
        return Ok(());
    }
    let part = SumPartName {
        instance: processor.buckets.instance.clone(),
        aggregation: name.aggregation.clone(),
        window: name.window,
        writer: processor.buckets.role,
    };
    let fixed = FixedSumPart::read(processor, &part).await?;
    let batches = fixed
        .batches
        .iter()
        .filter_map(|name| BatchName::parse(name));
    let task = AggregateTask {
        aggregation: name.aggregation.clone(),
        window: name.window,
        batches: batches.collect(),
        dry_run: false,
    };
    aggregate(processor, &task, no_progress()).await?;
    Ok(())
}
