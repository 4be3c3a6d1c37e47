//! The sum part of an agreed set: from the verdicts in our own bucket, and nothing else.

use super::counted::read_duplicates;
use super::settle::{VerdictFiles, read_agreed};
use super::summed::check_agreed;
use crate::aggregate::{
    AggregateSummary, AggregateTask, BatchVerdict, DoneMark, Group, PeerRejections, Selection, alarm, check_share,
    mark_done, prepared, publish_sum, subtract,
};
use crate::error::Error;
use crate::intake::{Progress, find_prepared};
use crate::prepared::ChunkKind;
use crate::processor::Processor;
use crate::reason::PacketReason;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;
use tallybox_crypto::prio2::Prio2;
use tallybox_model::id::PacketId;
use tallybox_model::path::{BatchName, SumPartName};
use tallybox_model::roster::{AgreedWindow, WindowName};
use tallybox_service::fault;

/// Sums what both processors agree on for a window. Done twice, it changes nothing the second time.
///
/// # Errors
/// [`Error::NotAgreed`] as long as nothing is agreed; a sum part of other content; a bucket that fails.
pub async fn aggregate_agreed(
    processor: &Arc<Processor>,
    name: &WindowName,
    progress: Progress,
) -> Result<AggregateSummary, Error> {
    let begun = Instant::now();
    let agreed = agreed(processor, name, &progress).await?;
    let task = AggregateTask {
        aggregation: name.aggregation.clone(),
        window: name.window,
        batches: Vec::new(),
        dry_run: false,
    };
    let mut summary = AggregateSummary::new(processor.role, &task, &Selection::default());
    if agreed.batches.is_empty() {
        mark_done(processor, name, &DoneMark::nothing("nothing-agreed")).await?;
        summary.finish(None, begun.elapsed());
        return Ok(summary);
    }
    check_agreed(processor, name, &agreed).await?;
    let group = group(processor, name, &agreed, &progress).await?;
    summary.rejections = rejections(processor, name, &group).await?;
    summary.finish(Some(&group), begun.elapsed());
    alarm(name, &summary);
    check_share(processor, name, &summary, false).await?;
    let sum_part = SumPartName {
        instance: processor.instance.clone(),
        aggregation: name.aggregation.clone(),
        window: name.window,
        writer: processor.role,
    };
    // Both sides' minimum held when the window was agreed on. Ours may have been raised since.
    let minimum = agreed.minimum.max(processor.minimum_contributions);
    let Some(releasable) = group.releasable(minimum) else {
        mark_done(processor, name, &DoneMark::nothing("below-minimum")).await?;
        return Err(Error::BelowMinimum {
            window: name.window.to_string(),
            accepted: group.accepted(),
            minimum,
            summary: Box::new(summary),
        });
    };
    let header = sum_part.objects().header;
    summary.done_before = publish_sum(processor, &sum_part, releasable).await?;
    mark_done(processor, name, &DoneMark::of_sum_part(&sum_part, &group)).await?;
    summary.sum_part = Some(header);
    summary.elapsed(begun.elapsed());
    Ok(summary)
}

/// What is agreed; if it is not there yet, an attempt is made.
async fn agreed(processor: &Arc<Processor>, name: &WindowName, progress: &Progress) -> Result<AgreedWindow, Error> {
    match read_agreed(processor, name).await {
        Err(Error::NotAgreed { .. }) => {}
        other => return other,
    }
    super::roster(processor, name, Arc::clone(progress)).await?;
    read_agreed(processor, name).await
}

/// How many packets of the window the peer rules out: those of the agreed batches, and of the batches dated in it of which it
/// rules out every one.
async fn rejections(processor: &Processor, name: &WindowName, group: &Group) -> Result<PeerRejections, Error> {
    let mut rejections = PeerRejections::default();
    group.verdicts.iter().for_each(|verdict| rejections.add(verdict));
    let files = VerdictFiles::open(processor, name).await?;
    for batch in files.without_accepted_packet() {
        let batch = BatchName {
            aggregation: name.aggregation.clone(),
            date: batch.date,
            id: batch.id,
        };
        // A record that is gone by now says nothing.
        if let Some(prepared) = find_prepared(processor, &batch).await? {
            rejections.all_of(prepared.footer().messages);
        }
    }
    Ok(rejections)
}

/// The verdicts of an agreed set, without the packets that an earlier batch counts.
async fn group(
    processor: &Arc<Processor>,
    name: &WindowName,
    agreed: &AgreedWindow,
    progress: &Progress,
) -> Result<Group, Error> {
    let first = agreed
        .batches
        .first()
        .ok_or_else(|| Error::Internal("an empty agreed set".to_owned()))?;
    let mut group = Group::new(first.claim.parameters.clone(), false);
    let repeated = agreed.batches.iter().any(|batch| batch.duplicates > 0);
    let duplicates = if repeated {
        read_duplicates(processor, name, agreed.batches.len()).await?
    } else {
        vec![Vec::new(); agreed.batches.len()]
    };
    let mut files = VerdictFiles::open(processor, name).await?;
    for (settled, duplicates) in agreed.batches.iter().zip(duplicates) {
        let batch = BatchName {
            aggregation: name.aggregation.clone(),
            date: settled.batch.date,
            id: settled.batch.id,
        };
        let file = files.of(processor, settled.batch).await?;
        let missing = || Error::Internal(format!("the verdict on {batch} is not where it should be"));
        let verdict = file.verdict(settled.batch).ok_or_else(missing)?;
        if verdict.claim != settled.claim {
            return Err(Error::Internal(format!(
                "{}: what is agreed on {batch} is not what our verdict and roster say",
                name.agreed()
            )));
        }
        let mut verdict = file.read(&batch, verdict).await?;
        if fault::is_on("live-validation") {
            let prepared = prepared(processor, &batch, false).await?;
            let joined = crate::aggregate::join_peer(processor, &batch, prepared, progress).await?;
            verdict = joined.judge(processor.role, |_| false).await?.0;
        }
        progress(verdict.packets, 0);
        without(processor, &mut verdict, &duplicates).await?;
        group.push(verdict, &[]);
    }
    if group.accepted() != agreed.counted && !fault::is_on("live-validation") {
        return Err(Error::Internal(format!(
            "{}: {} packets are agreed on, but our verdicts count {}",
            name.agreed(),
            agreed.counted,
            group.accepted()
        )));
    }
    Ok(group)
}

/// Takes packets that an earlier batch counts out of a verdict: their shares stand in the prepared batch.
async fn without(processor: &Arc<Processor>, verdict: &mut BatchVerdict, duplicates: &[PacketId]) -> Result<(), Error> {
    if duplicates.is_empty() {
        return Ok(());
    }
    let name = &verdict.name;
    let prepared = prepared(processor, name, false).await?;
    let wanted: HashSet<PacketId> = duplicates.iter().copied().collect();
    let (mut places, mut place) = (Vec::with_capacity(wanted.len()), 0);
    for chunk in prepared.chunks(ChunkKind::Messages) {
        for message in prepared.messages(chunk).await? {
            if wanted.contains(&message.id) {
                places.push(place);
            }
            place += 1;
        }
    }
    if places.len() != wanted.len() {
        return Err(Error::Internal(format!(
            "{}: packets of the verdict are missing",
            prepared.object()
        )));
    }
    let bins = usize::try_from(prepared.footer().parameters.bins).unwrap_or(0);
    let prio2 = Prio2::new(bins).map_err(|source| Error::Bins {
        batch: name.clone(),
        source,
    })?;
    subtract(processor.role, &prio2, &prepared, &places, &mut verdict.sum).await?;
    verdict.accepted -= wanted.len() as u64;
    verdict.both_messages -= wanted.len() as u64;
    for _ in &wanted {
        verdict.rejections.add(PacketReason::DuplicateInWindow);
    }
    Ok(())
}
