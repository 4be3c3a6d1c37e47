//! Computes the sum part of an agreed set, from the verdicts in the own bucket only.

use super::agree::read_agreed;
use super::store::counted::read_duplicates;
use super::store::verdict_files::VerdictFiles;
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
use tallybox_model::path::{BatchName, SumPartName};
use tallybox_model::roster::{AgreedWindow, WindowName};

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
    let agreed = agreed(processor, name, &progress).await?;
    let mut summary = AggregateSummary::new(processor.buckets.role, name, false);
    if agreed.batches.is_empty() {
        mark_done(
            &processor.buckets,
            name,
            &DoneMark::nothing("nothing-agreed"),
        )
        .await?;
        summary.finish(None, begun.elapsed());
        return Ok(summary);
    }
    check_agreed(&processor.buckets, name, &agreed).await?;
    let group = group(processor, name, &agreed, &progress).await?;
    summary.rejections = rejections(processor, name, &group).await?;
    summary.finish(Some(&group), begun.elapsed());
    alarm(name, &summary);
    if let Err(error) =
        check_share(&processor.buckets, &processor.limits, name, &summary, false).await
    {
        return Err(AggregateError::new(error, summary));
    }
    let sum_part = SumPartName {
        instance: processor.buckets.instance.clone(),
        aggregation: name.aggregation.clone(),
        window: name.window,
        writer: processor.buckets.role,
    };
    // The agreed set satisfies the minimums of both processors at that time. Ours may have been
    // raised since then.
    let minimum = agreed.minimum.max(processor.limits.minimum_contributions);
    let Some(releasable) = group.releasable(minimum) else {
        mark_done(
            &processor.buckets,
            name,
            &DoneMark::nothing("below-minimum"),
        )
        .await?;
        let error = Error::BelowMinimum {
            window: name.window.to_string(),
            accepted: group.accepted(),
            minimum,
        };
        return Err(AggregateError::new(error, summary));
    };
    let header = sum_part.objects().header;
    summary.done_before = publish_sum(processor, &sum_part, releasable).await?;
    mark_done(
        &processor.buckets,
        name,
        &DoneMark::from_sum_part(&sum_part, &group),
    )
    .await?;
    summary.sum_part = Some(header);
    summary.elapsed(begun.elapsed());
    Ok(summary)
}

/// Returns the agreed set. If there is none, tries to agree first.
async fn agreed(
    processor: &Arc<Processor>,
    name: &WindowName,
    progress: &ProgressCallback,
) -> Result<AgreedWindow, Error> {
    match read_agreed(&processor.buckets, name).await {
        Err(Error::NotAgreed { .. }) => {}
        other => return other,
    }
    super::roster(processor, name, Arc::clone(progress)).await?;
    read_agreed(&processor.buckets, name).await
}

/// Counts the packets of the window that are lost because of the peer: in the agreed batches, and
/// in batches dated in the window of which the peer rejects every packet.
async fn rejections(
    processor: &Processor,
    name: &WindowName,
    group: &Group,
) -> Result<PeerRejections, Error> {
    let mut rejections = PeerRejections::default();
    group
        .results
        .iter()
        .for_each(|result| rejections.add(result.accepted, &result.rejections));
    let files = VerdictFiles::open(processor, name).await?;
    for batch in files.without_accepted_packet() {
        let batch = BatchName {
            aggregation: name.aggregation.clone(),
            date: batch.date,
            id: batch.id,
        };
        // A prepared batch that is already deleted contributes nothing.
        if let Some(prepared) = find_prepared(processor, &batch).await? {
            rejections.all_of(prepared.footer().messages);
        }
    }
    Ok(rejections)
}

/// Returns the verdicts of an agreed set, without the packets that count in an earlier batch.
async fn group(
    processor: &Arc<Processor>,
    name: &WindowName,
    agreed: &AgreedWindow,
    progress: &ProgressCallback,
) -> Result<Group, Error> {
    let first = agreed
        .batches
        .first()
        .ok_or_else(|| Error::Internal("the agreed set is empty".to_owned()))?;
    // `subtract_duplicates` removes repetitions, so the group stores no ids.
    let mut group = Group::new(first.claim.parameters.clone(), false);
    let repeated = agreed.batches.iter().any(|batch| batch.duplicates > 0);
    let duplicates = if repeated {
        read_duplicates(processor, name, agreed.batches.len()).await?
    } else {
        vec![Vec::new(); agreed.batches.len()]
    };
    let mut files = VerdictFiles::open(processor, name).await?;
    for (agreed_batch, duplicates) in agreed.batches.iter().zip(duplicates) {
        let batch = BatchName {
            aggregation: name.aggregation.clone(),
            date: agreed_batch.batch.date,
            id: agreed_batch.batch.id,
        };
        let (file, verdict) = files.find(agreed_batch.batch).await?;
        if verdict.claim != agreed_batch.claim {
            return Err(Error::Internal(format!(
                "{}: the agreed entry of batch {batch} differs from our verdict",
                name.agreed()
            )));
        }
        let mut result = file.read(&batch, verdict).await?;
        progress(result.packets, 0);
        subtract_duplicates(processor, &mut result, &duplicates).await?;
        group.push(result, &[]);
    }
    if group.accepted() != agreed.counted {
        return Err(Error::Internal(format!(
            "{}: {} packets are agreed on, but our verdicts count {}",
            name.agreed(),
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
