//! Computes the sum part of an agreed set, from the verdicts in the own bucket only.

use super::run::roster;
use super::store::{RosterStore, VerdictFiles, not_agreed};
use super::summed::check_agreed;
use crate::error::Error;
use crate::intake::{find_or_prepare, find_prepared};
use crate::prepared::ChunkKind;
use crate::processor::Processor;
use crate::progress::ProgressCallback;
use crate::reason::{PacketReason, PeerRejections};
use crate::sum::{
    AggregateError, AggregateSummary, BatchResult, DoneMark, Group, alarm, check_share, mark_done,
    publish_sum, subtract,
};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;
use tallybox_crypto::prio2::Prio2;
use tallybox_model::id::PacketId;
use tallybox_model::path::SumPartName;
use tallybox_model::roster::{AgreedWindow, WindowName};
use tallybox_model::time::Window;

/// Sums the batches that both processors agree on for a window. The operation is idempotent.
///
/// # Errors
/// [`Error::NotAgreed`] as long as there is no agreed set, or an error if the sum part exists with
/// other content or a bucket fails.
pub async fn aggregate_agreed(
    processor: &Arc<Processor>,
    name: &WindowName,
    progress: ProgressCallback,
) -> Result<AggregateSummary, AggregateError> {
    let begun = Instant::now();
    let store = RosterStore::new(processor, &name.aggregation);
    let agreed = find_or_agree(&store, name, &progress).await?;
    let mut summary = AggregateSummary::new(processor.buckets.role, name, false);
    if agreed.batches.is_empty() {
        store.mark_nothing_agreed(name.window).await?;
        summary.finish(None, begun.elapsed());
        return Ok(summary);
    }
    check_agreed(&store, &agreed).await?;
    let group = group(&store, &agreed, &progress).await?;
    summary.rejections = rejections(&store, name.window, &group).await?;
    summary.finish(Some(&group), begun.elapsed());
    alarm(name, &summary);
    let mut summary = publish(&store, &agreed, &group, summary).await?;
    summary.elapsed(begun.elapsed());
    Ok(summary)
}

/// Returns the agreed set. If there is none, tries to agree first.
async fn find_or_agree(
    store: &RosterStore<'_>,
    name: &WindowName,
    progress: &ProgressCallback,
) -> Result<AgreedWindow, Error> {
    if let Some(agreed) = store.find_agreed(name.window).await? {
        return Ok(agreed);
    }
    roster(store.processor, name, Arc::clone(progress)).await?;
    let agreed = store.find_agreed(name.window).await?;
    agreed.ok_or_else(|| not_agreed(name.window))
}

/// Publishes the sum part, unless it is held or below the minimum, and marks the window as done.
async fn publish(
    store: &RosterStore<'_>,
    agreed: &AgreedWindow,
    group: &Group,
    mut summary: AggregateSummary,
) -> Result<AggregateSummary, AggregateError> {
    let buckets = &store.processor.buckets;
    let limits = &store.processor.limits;
    let name = &store.window(agreed.window);
    if let Err(error) = check_share(buckets, limits, name, &summary, false).await {
        return Err(AggregateError::new(error, summary));
    }
    // The agreed set satisfies the minimums of both processors at that time. Ours may have been
    // raised since then.
    let minimum = agreed.minimum.max(limits.minimum_contributions);
    let Some(releasable) = group.releasable(minimum) else {
        mark_done(buckets, name, &DoneMark::nothing("below-minimum")).await?;
        let error = Error::BelowMinimum {
            window: name.window.to_string(),
            accepted: group.accepted(),
            minimum,
        };
        return Err(AggregateError::new(error, summary));
    };
    let sum_part = SumPartName {
        instance: buckets.instance.clone(),
        aggregation: name.aggregation.clone(),
        window: name.window,
        writer: buckets.role,
    };
    summary.done_before = publish_sum(store.processor, &sum_part, releasable).await?;
    mark_done(buckets, name, &DoneMark::from_sum_part(&sum_part, group)).await?;
    summary.sum_part = Some(sum_part.objects().header);
    Ok(summary)
}

/// Counts the packets of the window that are lost because of the peer: in the agreed batches, and
/// in batches dated in the window of which the peer rejects every packet.
async fn rejections(
    store: &RosterStore<'_>,
    window: Window,
    group: &Group,
) -> Result<PeerRejections, Error> {
    let mut rejections = PeerRejections::default();
    for result in &group.results {
        rejections.add(result.accepted, &result.rejections);
    }
    let files = VerdictFiles::open(store, window).await?;
    for batch in files.without_accepted_packet() {
        // A prepared batch that is already deleted contributes nothing.
        if let Some(prepared) = find_prepared(store.processor, &store.batch(batch)).await? {
            rejections.all_of(prepared.footer().messages);
        }
    }
    Ok(rejections)
}

/// Returns the verdicts of an agreed set, without the packets that count in an earlier batch.
async fn group(
    store: &RosterStore<'_>,
    agreed: &AgreedWindow,
    progress: &ProgressCallback,
) -> Result<Group, Error> {
    let object = store.window(agreed.window).agreed();
    let first = agreed
        .batches
        .first()
        .ok_or_else(|| Error::Internal("the agreed set is empty".to_owned()))?;
    // `subtract_duplicates` removes repetitions, so the group stores no ids.
    let mut group = Group::new(first.claim.parameters.clone(), false);
    let repeated = agreed.batches.iter().any(|batch| batch.duplicates > 0);
    let duplicates = if repeated {
        store
            .read_duplicates(agreed.window, agreed.batches.len())
            .await?
    } else {
        vec![Vec::new(); agreed.batches.len()]
    };
    let mut files = VerdictFiles::open(store, agreed.window).await?;
    for (agreed_batch, duplicates) in agreed.batches.iter().zip(duplicates) {
        let batch = store.batch(agreed_batch.batch);
        let (file, verdict) = files.find(agreed_batch.batch).await?;
        if verdict.claim != agreed_batch.claim {
            return Err(Error::Internal(format!(
                "{object}: the agreed entry of batch {batch} differs from our verdict"
            )));
        }
        let mut result = file.result(&batch, verdict).await?;
        progress(result.packets, 0);
        subtract_duplicates(store.processor, &mut result, &duplicates).await?;
        group.push(result, &[]);
    }
    if group.accepted() != agreed.counted {
        return Err(Error::Internal(format!(
            "{object}: {} packets are agreed on, but our verdicts count {}",
            agreed.counted,
            group.accepted()
        )));
    }
    Ok(group)
}

/// Subtracts from a result the packets that count in an earlier batch. Their shares are read from
/// the prepared batch.
async fn subtract_duplicates(
    processor: &Arc<Processor>,
    result: &mut BatchResult,
    duplicates: &[PacketId],
) -> Result<(), Error> {
    if duplicates.is_empty() {
        return Ok(());
    }
    let name = &result.name;
    let prepared = find_or_prepare(processor, name, false).await?;
    let wanted: HashSet<PacketId> = duplicates.iter().copied().collect();
    let mut indices = Vec::with_capacity(wanted.len());
    let mut index = 0;
    for chunk in prepared.chunks(ChunkKind::Messages) {
        for message in prepared.messages(chunk).await? {
            if wanted.contains(&message.id) {
                indices.push(index);
            }
            index += 1;
        }
    }
    if indices.len() != wanted.len() {
        return Err(Error::Internal(format!(
            "{}: some packets of the verdict are missing",
            prepared.object()
        )));
    }
    let bins = usize::try_from(prepared.footer().parameters.bins).unwrap_or(0);
    let prio2 = Prio2::new(bins).map_err(|source| Error::Bins {
        batch: name.clone(),
        source,
    })?;
    subtract(
        processor.buckets.role,
        &prio2,
        &prepared,
        &indices,
        &mut result.sum,
    )
    .await?;
    result.accepted -= wanted.len() as u64;
    result.both_messages -= wanted.len() as u64;
    for _ in &wanted {
        result.rejections.add(PacketReason::DuplicateInWindow);
    }
    Ok(())
}
