//! Known answers: the expected sums of a list of generated packets.

use super::{Generated, GeneratedAnswer};

/// Counts of set bins over many packets.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tally {
    /// Number of packets.
    pub packets: u64,
    /// For each bin, the number of answers in which it is set.
    pub true_counts: Vec<u64>,
    /// For each bin, the number of packets in which it is set after randomised response: the
    /// expected sums of the processors.
    pub noisy_counts: Vec<u64>,
}

impl Tally {
    /// Creates counts of zero for a number of bins.
    #[must_use]
    pub fn new(bins: usize) -> Self {
        Self {
            packets: 0,
            true_counts: vec![0; bins],
            noisy_counts: vec![0; bins],
        }
    }

    /// Counts one packet.
    pub fn add(&mut self, generated: &Generated) {
        self.count(&generated.true_bits, &generated.noisy_bits);
    }

    /// Counts the bins of one packet.
    pub fn add_answer(&mut self, answer: &GeneratedAnswer) {
        self.count(&answer.true_bits, &answer.noisy_bits);
    }

    /// Adds another tally, for packets that were generated in chunks.
    pub fn merge(&mut self, other: &Self) {
        self.packets += other.packets;
        let pairs = [
            (&mut self.true_counts, &other.true_counts),
            (&mut self.noisy_counts, &other.noisy_counts),
        ];
        for (counts, more) in pairs {
            counts.resize(counts.len().max(more.len()), 0);
            counts
                .iter_mut()
                .zip(more)
                .for_each(|(count, more)| *count += more);
        }
    }

    fn count(&mut self, true_bits: &[bool], noisy_bits: &[bool]) {
        self.packets += 1;
        for (counts, bits) in [
            (&mut self.true_counts, true_bits),
            (&mut self.noisy_counts, noisy_bits),
        ] {
            counts.resize(counts.len().max(bits.len()), 0);
            counts
                .iter_mut()
                .zip(bits)
                .for_each(|(count, bit)| *count += u64::from(*bit));
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn chunks_add_to_the_whole() {
        let answer = |bits: [u8; 3]| {
            let true_bits: Vec<bool> = bits.iter().map(|bit| *bit == 1).collect();
            let noisy_bits = true_bits.iter().map(|bit| !bit).collect();
            GeneratedAnswer {
                true_bits,
                noisy_bits,
            }
        };
        let (mut all, mut left, mut right) = (Tally::new(3), Tally::default(), Tally::new(3));
        for (chunk, bits) in [(&mut left, [1, 0, 1]), (&mut right, [1, 1, 0])] {
            all.add_answer(&answer(bits));
            chunk.add_answer(&answer(bits));
        }
        left.merge(&right);
        assert_eq!(left, all);
        assert_eq!(
            (all.packets, all.true_counts, all.noisy_counts),
            (2, vec![2, 1, 1], vec![0, 1, 1])
        );
    }
}
