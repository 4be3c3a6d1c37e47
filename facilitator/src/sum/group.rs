//! Groups of batches with the same parameters, which one sum part can contain.

use super::batch_result::BatchResult;
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
    pub(crate) fn counts(&self, id: PacketId) -> bool {
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::reason::Rejections;
    use tallybox_model::digest::Digest;
    use tallybox_model::header::PRIME;

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
}
