//! Objects in mailboxes of which only the bucket's word "exists" is known, and that are put again.
//!
//! A mailbox that we may write and not read can say "exists" of an object that is not there: two requests meet in flight,
//! or a replica lags behind a deletion. Such an object is noted in the own bucket, and every later task about a window of
//! the aggregation puts it again, until one makes it, or until the mailbox has said the same for an hour. Where rosters
//! are used, the peer's roster says in addition which of our validations it lacks (`roster::settle`).

use crate::aggregate::{AggregateTask, FixedSumPart, aggregate};
use crate::error::Error;
use crate::intake::{intake, no_progress};
use crate::processor::Processor;
use crate::roster::{aggregate_agreed, rostered};
use futures::TryStreamExt as _;
use std::collections::BTreeSet;
use std::sync::Arc;
use tallybox_model::id::AggregationId;
use tallybox_model::path::{BatchName, SumPartName, Unconfirmed};
use tallybox_model::roster::WindowName;
use tallybox_service::cause::chain;
use tallybox_service::fault;
use tallybox_transport::{BucketError, ListRange, Published};

/// For how long a mailbox has to say "exists" until it is believed, in milliseconds: no request is in flight that long.
const SETTLED_MILLIS: i64 = 60 * 60_000;
/// The most batches and windows that one task puts again.
const AT_A_TIME: usize = 100;

/// Notes which of the objects of one batch or sum part that were just put are only said to exist. `rerun`: an earlier run
/// may have left notes; then only the objects that it noted are in doubt, since it has made the others.
pub(crate) async fn note(processor: &Processor, put: &[(Unconfirmed, Published)], rerun: bool) -> Result<(), Error> {
    let own = &*processor.buckets.own;
    if fault::is_on("exists-is-there") || (!rerun && put.iter().all(|(_, published)| !published.is_assumed())) {
        return Ok(());
    }
    let mut noted = Vec::new();
    for (object, published) in put {
        let note = object.note();
        let since = if rerun { processor.read_text(&note).await? } else { None };
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
        // The bucket's clock, since this machine's may be wrong.
        let now = own.date().await?;
        match since {
            Some(since) if now.saturating_sub(since) >= SETTLED_MILLIS => own.delete(&note).await?,
            None if is_first => {
                tracing::info!(object = %note, "a mailbox only says that an object exists: it is put again later");
                match processor.create_record(&note, now.to_string().as_bytes()).await {
                    // Another run was first.
                    Ok(_) | Err(BucketError::Conflict { .. }) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// Puts again what an aggregation's mailboxes are only said to hold. A mailbox that fails holds up nothing else.
pub async fn put_again(processor: &Arc<Processor>, aggregation: &AggregationId) {
    if let Err(error) = try_again(processor, aggregation).await {
        tracing::warn!(
            error = chain(&error),
            "objects that mailboxes only say to exist could not be put again"
        );
    }
}

async fn try_again(processor: &Arc<Processor>, aggregation: &AggregationId) -> Result<(), Error> {
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
        if batches.len() + windows.len() >= AT_A_TIME {
            break;
        }
    }
    for name in batches {
        let again = intake(processor, &name, no_progress()).await;
        let notes = Unconfirmed::of_validation(&name);
        forget_hopeless(processor, again.map(drop), &notes).await?;
    }
    for name in windows {
        let again = sum_again(processor, &name).await;
        let notes = Unconfirmed::of_sum_part(&name);
        forget_hopeless(processor, again, &notes).await?;
    }
    Ok(())
}

/// Passes on an error that may pass; deletes the notes on what can never be put again.
async fn forget_hopeless(processor: &Processor, again: Result<(), Error>, notes: &[Unconfirmed]) -> Result<(), Error> {
    let error = match again {
        Err(error) if error.exit() != tallybox_service::exit::Exit::Retry => error,
        other => return other,
    };
    tracing::warn!(
        error = chain(&error),
        "what a mailbox only says to exist cannot be put again"
    );
    for note in notes {
        processor.buckets.own.delete(&note.note()).await?;
    }
    Ok(())
}

/// Publishes a window's sum part once more, from what is fixed.
async fn sum_again(processor: &Arc<Processor>, name: &WindowName) -> Result<(), Error> {
    if rostered(processor, name.window).await? {
        return aggregate_agreed(processor, name, no_progress()).await.map(drop);
    }
    let part = SumPartName {
        instance: processor.instance.clone(),
        aggregation: name.aggregation.clone(),
        window: name.window,
        writer: processor.role,
    };
    let fixed = FixedSumPart::read(processor, &part).await?;
    let batches = fixed.batches.iter().filter_map(|name| BatchName::parse(name));
    let task = AggregateTask {
        aggregation: name.aggregation.clone(),
        window: name.window,
        batches: batches.collect(),
        dry_run: false,
    };
    aggregate(processor, &task, no_progress()).await.map(drop)
}
