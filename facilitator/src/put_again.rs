//! Writes mailbox objects again whose existence is only claimed by the mailbox. `unconfirmed`
//! describes their notes.

use crate::aggregate::{AggregateTask, aggregate};
use crate::buckets::Buckets;
use crate::error::Error;
use crate::intake::intake;
use crate::processor::Processor;
use crate::progress::no_progress;
use crate::roster::{aggregate_agreed, rostered};
use crate::sum::FixedSumPart;
use futures::TryStreamExt as _;
use std::collections::BTreeSet;
use std::sync::Arc;
use tallybox_model::cause::chain;
use tallybox_model::id::AggregationId;
use tallybox_model::path::{BatchName, SumPartName, Unconfirmed};
use tallybox_model::roster::WindowName;
use tallybox_service::exit::Exit;
use tallybox_transport::ListRange;

/// The most batches and windows that one task writes again.
const MOST_OBJECTS_PER_TASK: usize = 100;

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
        delete_final_notes(&processor.buckets, result.map(drop), &notes).await?;
    }
    for name in windows {
        let result = publish_sum_again(processor, &name).await;
        let notes = Unconfirmed::of_sum_part(&name);
        delete_final_notes(&processor.buckets, result, &notes).await?;
    }
    Ok(())
}

/// Returns an error that a retry may resolve, also after an operator has restored an edited record.
/// For any other error, deletes the notes, because the objects can never be written again.
async fn delete_final_notes(
    buckets: &Buckets,
    result: Result<(), Error>,
    notes: &[Unconfirmed],
) -> Result<(), Error> {
    let error = match result {
        Err(error) if error.exit() != Exit::Retry && !error.is_unverified() => error,
        other => return other,
    };
    tracing::warn!(
        error = chain(&error),
        "mailbox object without confirmed existence can never be written again; its note is deleted"
    );
    for note in notes {
        buckets.own.delete(&note.note()).await?;
    }
    Ok(())
}

/// Publishes a window's sum part again, from its record.
async fn publish_sum_again(processor: &Arc<Processor>, name: &WindowName) -> Result<(), Error> {
    if rostered(&processor.buckets, &processor.limits, name.window).await? {
        aggregate_agreed(processor, name, no_progress()).await?;
        return Ok(());
    }
    let part = SumPartName {
        instance: processor.buckets.instance.clone(),
        aggregation: name.aggregation.clone(),
        window: name.window,
        writer: processor.buckets.role,
    };
    let fixed = FixedSumPart::read(&processor.buckets, &part).await?;
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
