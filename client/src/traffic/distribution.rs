//! Distributions of answers that make generated traffic resemble real traffic.

use rand::CryptoRng;

use super::draw::{Picker, below, chance};
use crate::encoding::Value;

/// The distribution of one client's answer. Probabilities are in thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AnswerDistribution {
    /// One bucket, picked by weight; for [histograms](crate::Encoding::Histogram).
    Single(Skew),
    /// No bin with this probability, otherwise one picked by weight.
    AtMostOne {
        /// Probability of an empty report.
        silent: u16,
        /// Weights of the bins.
        skew: Skew,
    },
    /// No bin with this probability, otherwise several, each picked by weight.
    Several {
        /// Probability of an empty report.
        silent: u16,
        /// Largest number of bins in one report, at least 1; all numbers up to it are equally
        /// likely.
        most: u16,
        /// Weights of the bins.
        skew: Skew,
    },
    /// Flags, each of which can be set only if the one before it is set.
    Nested {
        /// Probability of an empty report.
        silent: u16,
        /// Probability that a flag that can be set is set.
        onward: u16,
    },
    /// Rows of bins; in one row, all bins from some position on are set ("within N days").
    Cumulative {
        /// Probability of an empty report.
        silent: u16,
        /// Number of rows, at least 1; the bins are divided evenly.
        rows: u16,
        /// Weights of the positions, over all rows.
        skew: Skew,
    },
    /// Each bin is set with probability one half.
    Coins,
    /// An integer over all binary digits, with small ones more likely; for
    /// [integers](crate::Encoding::BoundedInteger).
    SmallInteger,
}

/// The relative frequencies of bins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Skew {
    /// The given weights; bins beyond them are never picked.
    Weights(&'static [u32]),
    /// The n-th bin has one n-th of the first bin's weight.
    Harmonic,
}

impl Skew {
    /// Returns the weight of a position.
    pub(super) fn weight(self, position: usize) -> u64 {
        match self {
            Self::Weights(weights) => weights.get(position).copied().map_or(0, u64::from),
            Self::Harmonic => 1_000_000_000 / (position as u64 + 1),
        }
    }
}

impl AnswerDistribution {
    /// Returns the picker that [`AnswerDistribution::draw`] needs for `bins` bins.
    pub(super) fn picker(self, bins: usize) -> Picker {
        match self {
            Self::Single(skew)
            | Self::AtMostOne { skew, .. }
            | Self::Several { skew, .. }
            | Self::Cumulative { skew, .. } => Picker::new(skew, bins),
            Self::Nested { .. } | Self::Coins | Self::SmallInteger => {
                Picker::new(Skew::Weights(&[]), 0)
            }
        }
    }

    /// Draws an answer. An empty report takes only the draws that determine that it is empty.
    pub(super) fn draw(
        self,
        bins: usize,
        picker: &Picker,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Value {
        let mut bits = vec![false; bins];
        match self {
            Self::Single(_) => return Value::Bucket(picker.pick(rng)),
            Self::SmallInteger => return Value::Integer(small_integer(bins, rng)),
            Self::AtMostOne { silent, .. }
            | Self::Several { silent, .. }
            | Self::Nested { silent, .. }
            | Self::Cumulative { silent, .. }
                if chance(silent, rng) => {}
            Self::AtMostOne { .. } => set(&mut bits, picker.pick(rng)),
            Self::Several { most, .. } => {
                for _ in 0..=below(u64::from(most.max(1)), rng) {
                    set(&mut bits, picker.pick(rng));
                }
            }
            Self::Nested { onward, .. } => {
                let set = bits.iter_mut().take_while(|_| chance(onward, rng));
                set.for_each(|bit| *bit = true);
            }
            Self::Cumulative { rows, .. } => {
                let (start, row) = (
                    picker.pick(rng),
                    bins.div_ceil(usize::from(rows.max(1))).max(1),
                );
                let end = bins.min((start / row + 1) * row);
                bits.iter_mut()
                    .take(end)
                    .skip(start)
                    .for_each(|bit| *bit = true);
            }
            Self::Coins => bits
                .iter_mut()
                .for_each(|bit| *bit = rng.next_u64() >> 63 == 1),
        }
        Value::Bits(bits)
    }
}

fn set(bits: &mut [bool], position: usize) {
    if let Some(bit) = bits.get_mut(position) {
        *bit = true;
    }
}

/// Draws the smaller of two uniform integers with this number of binary digits, at most 64.
fn small_integer(digits: usize, rng: &mut (impl CryptoRng + ?Sized)) -> u64 {
    let smaller = rng.next_u64().min(rng.next_u64());
    let unused = 64_usize.saturating_sub(digits) as u32;
    smaller.checked_shr(unused).unwrap_or(0)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha20Rng;

    use super::*;

    fn many(distribution: AnswerDistribution, bins: usize) -> Vec<Vec<bool>> {
        let mut rng = ChaCha20Rng::seed_from_u64(7);
        let picker = distribution.picker(bins);
        let draw = |_| match distribution.draw(bins, &picker, &mut rng) {
            Value::Bits(bits) => bits,
            other => panic!("{other:?}"),
        };
        (0..2000).map(draw).collect()
    }

    fn set_bits(bits: &[bool]) -> usize {
        bits.iter().filter(|bit| **bit).count()
    }

    #[test]
    fn one_or_none() {
        let reports = many(
            AnswerDistribution::AtMostOne {
                silent: 500,
                skew: Skew::Harmonic,
            },
            20,
        );
        assert!(
            reports
                .iter()
                .all(|bits| bits.len() == 20 && set_bits(bits) <= 1)
        );
        let silent = reports.iter().filter(|bits| set_bits(bits) == 0).count();
        assert!((850..1150).contains(&silent), "{silent}");
        let [first, last] = [0, 19].map(|bin| reports.iter().filter(|bits| bits[bin]).count());
        assert!(first > 5 * last, "{first} {last}");
    }

    #[test]
    fn several() {
        let reports = many(
            AnswerDistribution::Several {
                silent: 0,
                most: 4,
                skew: Skew::Harmonic,
            },
            100,
        );
        assert!(reports.iter().all(|bits| (1..=4).contains(&set_bits(bits))));
        assert!(reports.iter().any(|bits| set_bits(bits) == 4));
    }

    #[test]
    fn nested_flags_have_no_holes() {
        let reports = many(
            AnswerDistribution::Nested {
                silent: 100,
                onward: 800,
            },
            15,
        );
        for bits in &reports {
            assert!(bits.windows(2).all(|pair| pair[0] || !pair[1]));
        }
        assert!(reports.iter().any(|bits| set_bits(bits) == 15));
    }

    #[test]
    fn cumulative_rows_are_filled_to_their_end() {
        for bits in many(
            AnswerDistribution::Cumulative {
                silent: 300,
                rows: 4,
                skew: Skew::Harmonic,
            },
            48,
        ) {
            let rows: Vec<&[bool]> = bits.chunks(12).filter(|row| set_bits(row) > 0).collect();
            assert!(rows.len() <= 1);
            assert!(
                rows.iter()
                    .all(|row| row[11] && row.windows(2).all(|pair| !pair[0] || pair[1]))
            );
        }
    }

    #[test]
    fn integers_stay_in_range() {
        let mut rng = ChaCha20Rng::seed_from_u64(8);
        let mut draws = |digits| {
            (0..1000)
                .map(|_| small_integer(digits, &mut rng))
                .max()
                .unwrap()
        };
        assert_eq!(draws(0), 0);
        assert!((900..1024).contains(&draws(10)));
        assert!(draws(64) > 1 << 62);
    }
}
