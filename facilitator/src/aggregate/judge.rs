//! The results of the batches of a window without rosters. A batch without a result does not affect
//! the others.

use super::{AggregateTask, Selection};
use crate::error::Error;
use crate::intake::find_or_prepare;
use crate::processor::Processor;
use crate::progress::ProgressCallback;
use crate::reason::{PacketReason, PeerRejections};
use crate::sum::{AggregateSummary, Group, join_peer};
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
        let prepared = find_or_prepare(self.processor, name, self.task.dry_run).await?;
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
        self.rejections.add(result.accepted, &result.rejections);
        if !self.task.dry_run {
            let failed = result.rejections.count(PacketReason::InvalidProof);
            wear::count(
                &self.processor.buckets,
                &self.processor.resources,
                &result.name,
                failed,
                &keys,
            )
            .await?;
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

/// Returns the group with the most accepted packets (in a tie, the one with the smallest encoding
/// of its parameters). The batches of all other groups are excluded in `summary`.
pub(super) fn choose(groups: Vec<Group>, summary: &mut AggregateSummary) -> Option<Group> {
    let mut chosen: Option<Group> = None;
    for group in groups.into_iter().filter(|group| !group.results.is_empty()) {
        let better = chosen
            .as_ref()
            .is_none_or(|best| group.accepted() > best.accepted());
        let left = if better {
            chosen.replace(group)
        } else {
            Some(group)
        };
        for result in left.iter().flat_map(|group| &group.results) {
            let reason = "parameter-mismatch";
            let problem =
                "the parameters differ from those of the window's other batches".to_owned();
            summary.exclude(
                &result.name,
                &Error::Header {
                    batch: result.name.clone(),
                    reason,
                    problem,
                },
            );
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::reason::Rejections;
    use crate::sum::BatchResult;
    use tallybox_crypto::prio2::Sum;
    use tallybox_model::digest::Digest;
    use tallybox_model::header::{BatchParameters, PRIME};
    use tallybox_model::role::Role;
    use tallybox_model::roster::WindowName;
    use tallybox_model::time::Window;

    const BATCH: &str = "a/2026/01/31/12/00/00112233-4455-4677-8899-aabbccddeeff";

    fn parameters(bins: i32) -> BatchParameters {
        BatchParameters {
            name: "a".to_owned(),
            bins,
            epsilon: 1.0,
            prime: PRIME,
            number_of_servers: 2,
            hamming_weight: None,
        }
    }

    fn verdict(accepted: u64) -> BatchResult {
        BatchResult {
            name: BatchName::parse(BATCH).unwrap(),
            packets: 100,
            accepted,
            both_messages: 100,
            sum: Sum::new(2),
            invalid: Vec::new(),
            rejections: Rejections::default(),
            inputs: [Digest::empty(); 2],
        }
    }

    #[test]
    fn the_group_with_most_packets_is_chosen_and_the_first_in_a_tie() {
        // Number of accepted packets of each group, and the number of bins of the chosen one.
        for (accepted, bins) in [
            ([5, 7, 6], 2),
            ([7, 5, 6], 1),
            ([5, 6, 7], 3),
            ([7, 7, 7], 1),
            ([5, 7, 7], 2),
        ] {
            let name = WindowName {
                aggregation: "a".parse().unwrap(),
                window: Window::new(
                    "2026/01/31/12/00".parse().unwrap(),
                    "2026/01/31/13/00".parse().unwrap(),
                )
                .unwrap(),
            };
            let mut summary = AggregateSummary::new(Role::First, &name, false);
            let groups = accepted.iter().zip(1..).map(|(accepted, bins)| {
                let mut group = Group::new(parameters(bins), true);
                group.push(verdict(*accepted), &[]);
                group
            });
            let chosen = choose(groups.collect(), &mut summary).unwrap();
            assert_eq!(chosen.parameters.bins, bins, "{accepted:?}");
            assert_eq!(summary.batches.len(), 2);
        }
    }
}
