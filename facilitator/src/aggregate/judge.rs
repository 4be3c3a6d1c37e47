//! The results of the batches of a window without rosters. A batch without a result does not affect
//! the others.

use super::{
    AggregateSummary, AggregateTask, Group, PeerRejections, Selection, join_peer, prepared,
};
use crate::error::Error;
use crate::intake::ProgressCallback;
use crate::processor::Processor;
use crate::wear;
use std::collections::BTreeMap;
use std::sync::Arc;
use tallybox_model::path::BatchName;
use tallybox_service::exit::Exit;
use tallybox_transport::batch::BatchError;

/// Computes the result of every selected batch, and groups the batches by their parameters. A batch
/// whose result cannot be computed is excluded with its reason.
pub(super) async fn judge(
    processor: &Arc<Processor>,
    task: &AggregateTask,
    selection: &Selection,
    (summary, progress): (&mut AggregateSummary, &ProgressCallback),
) -> Result<Vec<Group>, Error> {
    let mut judge = Judge {
        processor,
        task,
        several: selection.batches.len() > 1,
        progress,
        groups: BTreeMap::new(),
        rejections: PeerRejections::default(),
    };
    for name in &selection.batches {
        match judge.batch(name).await {
            Ok(()) => {}
            Err(error) if judge.stops(&error) => return Err(error),
            Err(error) => {
                if is_one_sided(&error) {
                    tracing::warn!(batch = %name, reason = error.reason(), "batch is left out of its window's sum part");
                }
                summary.exclude(name, &error);
            }
        }
    }
    summary.rejections = judge.rejections;
    Ok(judge.groups.into_values().collect())
}

struct Judge<'a> {
    processor: &'a Arc<Processor>,
    task: &'a AggregateTask,
    several: bool,
    progress: &'a ProgressCallback,
    groups: BTreeMap<Vec<u8>, Group>,
    rejections: PeerRejections,
}

impl Judge<'_> {
    async fn batch(&mut self, name: &BatchName) -> Result<(), Error> {
        // The own intake comes first: a fault in the batch itself is more informative than the
        // absence of the peer's validation batch.
        let prepared = prepared(self.processor, name, self.task.dry_run).await?;
        let messages = prepared.footer().messages;
        let keys = prepared.footer().keys.clone();
        let joined = match join_peer(self.processor, name, prepared, self.progress).await {
            // A validation batch that exists and cannot be used rejects every packet, as an empty
            // one does.
            Err(error) if error.exit() == Exit::Rejected => {
                self.rejections.all_of(messages);
                return Err(error);
            }
            other => other?,
        };
        (self.progress)(joined.packets(), joined.bytes());
        let several = self.several;
        let group = self
            .groups
            .entry(joined.parameters().encode())
            .or_insert_with(|| Group::new(joined.parameters().clone(), several));
        let counted_before = |id| group.counts(id);
        let (result, counted) = joined
            .judge(self.processor.buckets.role, counted_before)
            .await?;
        self.rejections.add(&result);
        if !self.task.dry_run {
            wear::count(self.processor, &result, &keys).await?;
        }
        if result.accepted == 0 {
            return Err(Error::NoAcceptedPacket {
                batch: name.clone(),
            });
        }
        group.push(result, &counted);
        Ok(())
    }

    /// Returns whether an error stops the whole window: a bucket failed temporarily, or a batch
    /// that the task names does not exist yet. Summing without that batch would record a sum part
    /// that lacks it.
    ///
    /// A batch that one processor cannot process is never validated by it, so the other processor
    /// cannot sum it either. After a configured time both processors leave such a batch out, so
    /// that it does not block the window for ever.
    fn stops(&self, error: &Error) -> bool {
        let waits = error.exit() == Exit::Retry && !self.task.batches.is_empty();
        error.is_passing()
            || error.is_unverified()
            || (waits && !(is_one_sided(error) && self.is_over()))
    }

    /// Returns whether the window no longer waits for batches.
    fn is_over(&self) -> bool {
        let minutes = i64::from(self.processor.limits.leave_out_after_minutes);
        let until = self.task.window.end().millis() + minutes * 60_000;
        self.processor.resources.clock.millis() >= until
    }
}

/// Returns whether one of the two processors has not processed the batch: this processor lacks a
/// key that opens it, or the peer's validation batch is missing.
fn is_one_sided(error: &Error) -> bool {
    matches!(
        error,
        Error::NoKey { .. } | Error::WrongKey { .. } | Error::Batch(BatchError::NotThere { .. })
    )
}
