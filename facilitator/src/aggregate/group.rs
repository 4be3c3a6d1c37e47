//! Groups of batches with the same parameters, which one sum part can contain.

use super::AggregateSummary;
use super::batch_result::BatchResult;
use crate::error::Error;
use crate::ids::IdSet;
use std::collections::BTreeSet;
use tallybox_crypto::prio2::Sum;
use tallybox_model::header::BatchParameters;
use tallybox_model::id::PacketId;
use tallybox_model::path::BatchName;

/// Batches with the same parameters.
pub struct Group {
    /// The parameters of all batches.
    pub parameters: BatchParameters,
    /// The batches, ordered by date and identifier.
    pub results: Vec<BatchResult>,
    /// The packets that count so far.
    counted: IdSet,
    /// True if more than one batch is processed, so that a packet could be in two of them.
    /// Otherwise no ids are stored.
    several: bool,
}

/// A group with at least the required number of accepted packets.
#[derive(Clone, Copy)]
pub(crate) struct Releasable<'g>(pub(super) &'g Group);

impl Group {
    /// Creates an empty group. `several` is true if more than one batch is processed, so that a
    /// packet could be in two of them.
    pub(crate) fn new(parameters: BatchParameters, several: bool) -> Self {
        let (results, counted) = (Vec::new(), IdSet::default());
        Self {
            parameters,
            results,
            counted,
            several,
        }
    }

    /// Returns the number of packets that count.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.results.iter().map(|result| result.accepted).sum()
    }

    /// Returns the group if at least this many packets count. Only a [`Releasable`] group can be
    /// published as a sum part.
    #[must_use]
    pub(crate) fn releasable(&self, minimum: u64) -> Option<Releasable<'_>> {
        (self.accepted() >= minimum).then_some(Releasable(self))
    }

    /// Returns the number of packets for which both messages exist.
    #[must_use]
    pub fn with_both_messages(&self) -> u64 {
        self.results.iter().map(|result| result.both_messages).sum()
    }

    /// Returns the names of the batches, in their order.
    #[must_use]
    pub fn batches(&self) -> Vec<BatchName> {
        self.results
            .iter()
            .map(|result| result.name.clone())
            .collect()
    }

    /// Returns the sum over all batches.
    #[must_use]
    pub fn sum(&self) -> Sum {
        let mut sum = Sum::new(usize::try_from(self.parameters.bins).unwrap_or(0));
        self.results
            .iter()
            .for_each(|result| sum.merge(&result.sum));
        sum
    }

    /// Returns all packets of these batches that do not count, without repetitions, sorted.
    #[must_use]
    pub fn invalid(&self) -> BTreeSet<PacketId> {
        self.results
            .iter()
            .flat_map(|result| result.invalid.iter().map(|(id, _)| *id))
            .collect()
    }

    /// Returns whether the packet counts in an earlier batch of the window.
    pub(super) fn counts(&self, id: PacketId) -> bool {
        self.several && self.counted.contains(*id.as_bytes())
    }

    /// Adds a batch, and stores the ids of the packets that count in it.
    pub(crate) fn push(&mut self, result: BatchResult, counted: &[PacketId]) {
        if self.several {
            for id in counted {
                self.counted.insert(*id.as_bytes());
            }
        }
        self.results.push(result);
    }
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
    use crate::aggregate::{AggregateTask, Selection};
    use crate::reason::Rejections;
    use tallybox_model::digest::Digest;
    use tallybox_model::header::PRIME;
    use tallybox_model::role::Role;
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
    fn a_group_is_released_from_the_minimum_on() {
        let mut group = Group::new(parameters(2), true);
        for accepted in [60, 40] {
            group.push(verdict(accepted), &[]);
        }
        let released =
            [1, 99, 100, 101, u64::MAX].map(|minimum| group.releasable(minimum).is_some());
        assert_eq!(released, [true, true, true, false, false]);
        assert_eq!(group.with_both_messages(), 200);
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
            let task = AggregateTask {
                aggregation: "a".parse().unwrap(),
                window: Window::new(
                    "2026/01/31/12/00".parse().unwrap(),
                    "2026/01/31/13/00".parse().unwrap(),
                )
                .unwrap(),
                batches: Vec::new(),
                dry_run: false,
            };
            let mut summary = AggregateSummary::new(Role::First, &task, &Selection::default());
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
