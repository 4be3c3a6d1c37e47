//! Unbiased random draws that do not change between releases of a random number library.

use rand::CryptoRng;

use super::distribution::Skew;

/// Draws a number below `bound`, which is above 0, from a uniform distribution.
pub(super) fn below(bound: u64, rng: &mut (impl CryptoRng + ?Sized)) -> u64 {
    // Smaller draws are rejected, because they would make some remainders more likely.
    let surplus = bound.wrapping_neg() % bound;
    loop {
        let draw = rng.next_u64();
        if draw >= surplus {
            return draw % bound;
        }
    }
}

/// Returns true with a probability of `per_mille` / 1000.
pub(super) fn chance(per_mille: u16, rng: &mut (impl CryptoRng + ?Sized)) -> bool {
    below(1000, rng) < u64::from(per_mille)
}

/// Picks positions by weight.
#[derive(Debug, Clone)]
pub(super) struct Picker {
    /// Cumulative weights, including each position's own.
    cumulative: Vec<u64>,
}

impl Picker {
    /// Creates a picker over `count` positions.
    pub(super) fn new(skew: Skew, count: usize) -> Self {
        let mut total = 0;
        let sums = (0..count).map(|position| {
            total += skew.weight(position);
            total
        });
        Self {
            cumulative: sums.collect(),
        }
    }

    /// Picks a position; the first one if no weight is above 0.
    pub(super) fn pick(&self, rng: &mut (impl CryptoRng + ?Sized)) -> usize {
        let total = self.cumulative.last().copied().unwrap_or(0);
        if total == 0 {
            return 0;
        }
        let draw = below(total, rng);
        self.cumulative.partition_point(|sum| *sum <= draw)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha20Rng;

    use super::*;

    #[test]
    fn small_bounds_are_met_evenly() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let mut counts = [0_i64; 7];
        for _ in 0..70_000 {
            counts[below(7, &mut rng) as usize] += 1;
        }
        assert!(
            counts.iter().all(|count| (count - 10_000).abs() < 500),
            "{counts:?}"
        );
        assert_eq!(below(1, &mut rng), 0);
        assert!(below(u64::MAX, &mut rng) < u64::MAX);
    }

    #[test]
    fn positions_are_picked_by_weight() {
        let mut rng = ChaCha20Rng::seed_from_u64(2);
        let picker = Picker::new(Skew::Weights(&[6, 0, 3, 1]), 4);
        let mut counts = [0_i64; 4];
        for _ in 0..10_000 {
            counts[picker.pick(&mut rng)] += 1;
        }
        assert!(
            (counts[0] - 6_000).abs() < 300 && (counts[2] - 3_000).abs() < 300,
            "{counts:?}"
        );
        assert_eq!(counts[1], 0);
        assert_eq!(Picker::new(Skew::Weights(&[]), 3).pick(&mut rng), 0);
    }
}
