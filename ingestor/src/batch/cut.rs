//! Divides the new reports of a window into batches, reports to carry over, and reports to drop.

use rayon::prelude::*;
use tallybox_model::spool::Plan;

use super::index::{Entry, Group, Index};

/// Most bytes of a packet in addition to its sealed share and its key's id: packet id, lengths,
/// union branches, point.
const PACKET_OVERHEAD: u64 = 56;
/// Bytes of a packet file's head.
const FILE_HEAD_BYTES: u64 = 1024;
/// Reciprocal of the fraction of bytes between blocks: 26 for each 16,000, rounded up.
const BLOCK_OVERHEAD_DIVISOR: u64 = 400;

/// A batch to be written: reports of one group, in the order of their packets.
#[derive(Debug, Clone)]
pub(super) struct CutBatch {
    pub(super) group: u32,
    /// Number of the batch within its group.
    pub(super) ordinal: u64,
    /// Entries of the index.
    pub(super) entries: Vec<u32>,
    /// The partition to which the batch belongs.
    pub(super) partition: u32,
}

/// The division of a window's new reports.
#[derive(Debug, Default)]
pub(super) struct Cutting {
    /// Batches in the order of group and ordinal.
    pub(super) batches: Vec<CutBatch>,
    /// Entries that are too few for a batch, for the next window.
    pub(super) carried: Vec<u32>,
    /// Number of entries that have been too few for too many windows.
    pub(super) dropped: u64,
}

/// Cuts the new entries into batches, according to the plan. A pure function of plan and slabs: all
/// jobs of a window compute the same result.
pub(super) fn cut(plan: &Plan, index: &Index, is_new: &[bool]) -> Cutting {
    let mut members: Vec<Vec<u32>> = vec![Vec::new(); index.groups.len()];
    for ((entry, is_new), position) in index.entries.iter().zip(is_new).zip(0..) {
        if *is_new {
            members[entry.group as usize].push(position);
        }
    }
    members.par_iter_mut().for_each(|members| {
        let order = |position: &u32| {
            let entry = &index.entries[*position as usize];
            (entry.pseudonym.order, entry.digest)
        };
        members.par_sort_unstable_by_key(order);
    });
    let mut cutting = Cutting::default();
    for ((group, members), number) in index.groups.iter().zip(&members).zip(0..) {
        let left = cut_group(plan, group, members, number, &mut cutting.batches);
        carry(plan, &index.entries, left, &mut cutting);
    }
    divide(plan.partitions, index, &mut cutting.batches);
    cutting
}

/// Cuts one group as evenly as possible, and returns the remainder that is too small for a batch.
fn cut_group<'m>(
    plan: &Plan,
    group: &Group,
    members: &'m [u32],
    number: u32,
    out: &mut Vec<CutBatch>,
) -> &'m [u32] {
    let most = most_packets(plan, group);
    let fewest = plan.cut.min_packets.min(most);
    let total = members.len() as u64;
    if total < fewest {
        return members;
    }
    let mut count = total.div_ceil(most);
    let mut batched = total;
    if total / count < fewest {
        // Even parts would be smaller than the minimum: full batches are cut instead, and the
        // remainder is carried over.
        count = total / most;
        batched = count * most;
    }
    let (mut rest, left) = members.split_at(usize::try_from(batched).unwrap_or(members.len()));
    for ordinal in 0..count {
        let size = batched / count + u64::from(ordinal < batched % count);
        let (batch, remainder) = rest.split_at(usize::try_from(size).unwrap_or(rest.len()));
        rest = remainder;
        out.push(CutBatch {
            group: number,
            ordinal,
            entries: batch.to_vec(),
            partition: 0,
        });
    }
    left
}

/// Returns the most packets of a batch of this group, limited by count and by the bytes of the
/// larger packet file.
fn most_packets(plan: &Plan, group: &Group) -> u64 {
    let bytes = plan.cut.max_bytes.saturating_sub(FILE_HEAD_BYTES);
    let bytes = bytes - bytes / BLOCK_OVERHEAD_DIVISOR;
    let fitting_packets = bytes / packet_bytes(group, 0).max(packet_bytes(group, 1));
    plan.cut.max_packets.min(fitting_packets).max(1)
}

/// Returns the most bytes of one of this group's packets in the file for one side.
fn packet_bytes(group: &Group, side: usize) -> u64 {
    (group.longest[side] + group.key_ids[side].len()) as u64 + PACKET_OVERHEAD
}

/// Returns an upper estimate of the size of a file of `packets` packets for one side.
pub(super) fn file_bytes(group: &Group, side: usize, packets: usize) -> usize {
    let bytes = packets as u64 * packet_bytes(group, side) + FILE_HEAD_BYTES;
    usize::try_from(bytes + bytes / (BLOCK_OVERHEAD_DIVISOR - 1)).unwrap_or(0)
}

fn carry(plan: &Plan, entries: &[Entry], left: &[u32], cutting: &mut Cutting) {
    let start = plan.window.start().millis() / 60_000;
    let length = (plan.window.end().millis() / 60_000 - start).max(1);
    for entry in left {
        let since = entries[*entry as usize].carried_since.min(start);
        if (start - since) / length >= i64::from(plan.cut.max_carry_windows) {
            cutting.dropped += 1;
        } else {
            cutting.carried.push(*entry);
        }
    }
}

/// Divides the batches among the partitions, in order and approximately evenly by bytes.
fn divide(partitions: u32, index: &Index, batches: &mut [CutBatch]) {
    let weight = |batch: &CutBatch| {
        let longest: usize = index.groups[batch.group as usize].longest.iter().sum();
        (batch.entries.len() * (longest + 1)) as u128
    };
    let total: u128 = batches.iter().map(weight).sum();
    let mut before = 0;
    for batch in batches {
        let partition = (before * u128::from(partitions))
            .checked_div(total)
            .unwrap_or(0);
        batch.partition = u32::try_from(partition).unwrap_or(0);
        before += weight(batch);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use tallybox_crypto::pseudonym::Pseudonym;
    use tallybox_model::header::{BatchParameters, PRIME};
    use tallybox_model::spool::Cut;
    use tallybox_model::time::Window;

    use super::*;

    fn plan(max_packets: u64, max_bytes: u64, min_packets: u64, partitions: u32) -> Plan {
        let [start, end] =
            ["2026/11/23/10/00", "2026/11/23/11/00"].map(|time| time.parse().unwrap());
        Plan {
            format: 1,
            instance: "a-b".parse().unwrap(),
            window: Window::new(start, end).unwrap(),
            date: start,
            previous: None,
            generation: 1,
            secret: String::new(),
            registry_version: 1,
            partitions,
            cut: Cut {
                max_packets,
                max_bytes,
                min_packets,
                max_carry_windows: 3,
            },
            replay_windows: 1,
            slabs: Vec::new(),
        }
    }

    fn index(counts: &[usize], carried_since: i64) -> Index {
        let group = |number: usize| Group {
            parameters: BatchParameters {
                name: format!("g{number}"),
                bins: 1,
                epsilon: 1.0,
                prime: PRIME,
                number_of_servers: 2,
                hamming_weight: None,
            },
            key_ids: ["k".to_owned(), "k".to_owned()],
            longest: [200, 113],
        };
        let mut entries = Vec::new();
        for (count, group) in counts.iter().zip(0..) {
            for number in 0..*count {
                let mut order = [0; 16];
                order[..8].copy_from_slice(
                    &(number as u64)
                        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
                        .to_be_bytes(),
                );
                entries.push(Entry {
                    id: [0; 16],
                    digest: order,
                    ciphertexts: [order; 2],
                    pseudonym: Pseudonym {
                        packet: order,
                        order,
                    },
                    group,
                    slab: 0,
                    position: number as u32,
                    carried_since,
                });
            }
        }
        let groups = (0..counts.len()).map(group).collect();
        Index { groups, entries }
    }

    fn sizes(plan: &Plan, index: &Index) -> (Vec<usize>, usize, u64) {
        let cutting = cut(plan, index, &vec![true; index.entries.len()]);
        let sizes = cutting
            .batches
            .iter()
            .map(|batch| batch.entries.len())
            .collect();
        (sizes, cutting.carried.len(), cutting.dropped)
    }

    #[test]
    fn groups_are_cut_evenly_and_too_few_are_carried() {
        let plan = plan(100, 1 << 20, 10, 1);
        let index = index(&[250, 9, 10], i64::MAX);
        assert_eq!(sizes(&plan, &index), (vec![84, 83, 83, 10], 9, 0));
    }

    #[test]
    fn bytes_bound_a_batch_and_what_is_left_waits() {
        // A packet takes 257 bytes, so 15 packets fit into 5 KB.
        let plan = plan(1000, 5_000, 10, 1);
        let index = index(&[16], i64::MAX);
        assert_eq!(sizes(&plan, &index), (vec![15], 1, 0));
    }

    #[test]
    fn full_batches_are_cut_if_even_ones_were_too_small() {
        // At most 15 packets fit; three even batches of 31 packets would have 10 each.
        let plan = plan(1000, 5_000, 12, 1);
        assert_eq!(sizes(&plan, &index(&[31], i64::MAX)), (vec![15, 15], 1, 0));
    }

    #[test]
    fn bytes_between_blocks_count_too() {
        // 100 packets of 257 bytes would fit, but not together with the bytes between blocks.
        let index = index(&[100], i64::MAX);
        let fits = |max_bytes| sizes(&plan(1000, max_bytes, 10, 1), &index);
        assert_eq!(fits(26_734), (vec![50, 50], 0, 0));
        assert_eq!(file_bytes(&index.groups[0], 0, 100), 26_790);
        assert_eq!(fits(26_790), (vec![100], 0, 0));
    }

    #[test]
    fn what_was_carried_too_long_is_dropped() {
        let plan = plan(100, 1 << 20, 10, 1);
        let start = plan.window.start().millis() / 60_000;
        assert_eq!(sizes(&plan, &index(&[9], start - 2 * 60)), (vec![], 9, 0));
        assert_eq!(sizes(&plan, &index(&[9], start - 3 * 60)), (vec![], 0, 9));
        // If there are enough of them, they are batched regardless of their age.
        assert_eq!(
            sizes(&plan, &index(&[10], start - 9 * 60)),
            (vec![10], 0, 0)
        );
    }

    #[test]
    fn every_batch_has_a_partition_of_the_plan() {
        let plan = plan(10, 1 << 20, 1, 4);
        let index = index(&[95, 40], i64::MAX);
        let cutting = cut(&plan, &index, &vec![true; index.entries.len()]);
        let partitions: Vec<u32> = cutting
            .batches
            .iter()
            .map(|batch| batch.partition)
            .collect();
        assert!(partitions.is_sorted() && partitions[0] == 0 && partitions.last() == Some(&3));
        let all: std::collections::BTreeSet<u32> = cutting
            .batches
            .iter()
            .flat_map(|b| b.entries.clone())
            .collect();
        assert_eq!(all.len(), 135);
    }

    #[test]
    fn replays_are_left_out() {
        let plan = plan(100, 1 << 20, 1, 1);
        let index = index(&[4], i64::MAX);
        let cutting = cut(&plan, &index, &[true, false, true, false]);
        assert_eq!(cutting.batches[0].entries.len(), 2);
    }
}
