//! The exact distribution of the net change that flips cause in a count.

use crate::level::Level;
use crate::mechanism::Mechanism;

/// Probabilities below this end a tail.
const NEGLIGIBLE: f64 = 1e-9;

/// The distribution of K, the observed count minus the true one: among the reports without the bit
/// Bin(zeros, p) flips add one each, among those with it Bin(ones, p) flips subtract one each. Both
/// tails are truncated where the probabilities are negligible.
pub(crate) struct NetFlips {
    /// The smallest value of K that has a probability.
    first: i64,
    probabilities: Vec<f64>,
}

impl NetFlips {
    /// Computes the distribution, in time proportional to the product of both numbers of flips that
    /// can occur. Meant for a [`Mechanism::count_variance`] of at most some hundreds.
    pub(crate) fn new(mechanism: Mechanism, zeros: u64, ones: u64) -> Self {
        let added = binomial(zeros, mechanism.flip_probability());
        let removed = binomial(ones, mechanism.flip_probability());
        let mut probabilities = vec![0.0; added.len() + removed.len() - 1];
        for (lost, p) in removed.iter().rev().enumerate() {
            let range = &mut probabilities[lost..lost + added.len()];
            for (target, q) in range.iter_mut().zip(&added) {
                *target += p * q;
            }
        }
        Self {
            first: 1 - removed.len() as i64,
            probabilities,
        }
    }

    /// Returns the values of K with their probabilities, in increasing order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (i64, f64)> + '_ {
        (self.first..).zip(self.probabilities.iter().copied())
    }

    /// Returns the smallest and largest K of a set of the likeliest values (Sterne 1954): the set
    /// whose probability is nearest to the level, of those with at least [`Level::floor`]. The
    /// distribution has one mode, so the values are consecutive.
    pub(crate) fn likeliest(&self, level: Level) -> (i64, i64) {
        let at = |index: usize| self.probabilities.get(index).copied();
        let mode = (0..self.probabilities.len())
            .max_by(|a, b| self.probabilities[*a].total_cmp(&self.probabilities[*b]))
            .unwrap_or(0);
        let (mut low, mut high) = (mode, mode);
        let mut covered = at(mode).unwrap_or(1.0);
        loop {
            let below = low.checked_sub(1).and_then(at).unwrap_or(0.0);
            let above = at(high + 1).unwrap_or(0.0);
            let next = below.max(above);
            if next == 0.0 || !level.is_better(covered, covered + next) {
                break;
            }
            covered += next;
            if below >= above {
                low -= 1;
            } else {
                high += 1;
            }
        }
        (self.first + low as i64, self.first + high as i64)
    }
}

/// Returns the probabilities of 0, 1, 2, … successes, until they are negligible.
fn binomial(trials: u64, success: f64) -> Vec<f64> {
    let n = trials as f64;
    let odds = success / (1.0 - success);
    let mean = n * success;
    let mut term = (n * (-success).ln_1p()).exp();
    let mut terms = vec![term];
    for k in 0..trials {
        let successes = k as f64;
        term *= (n - successes) / (successes + 1.0) * odds;
        if term < NEGLIGIBLE && successes > mean {
            break;
        }
        terms.push(term);
    }
    terms
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn binomials_of_two_trials() {
        let found = binomial(2, 0.25);
        assert_eq!(found, [0.5625, 0.375, 0.0625]);
        assert_eq!(binomial(0, 0.25), [1.0]);
    }

    #[test]
    fn moments_are_those_of_the_formula() {
        for (epsilon, reports, ones) in [(8.0, 10_000, 3_000), (1.0, 100, 80), (4.0, 500, 0)] {
            let mechanism = Mechanism::new(epsilon).unwrap();
            let flips = NetFlips::new(mechanism, reports - ones, ones);
            let total: f64 = flips.iter().map(|(_, p)| p).sum();
            let mean: f64 = flips.iter().map(|(k, p)| k as f64 * p).sum();
            let variance: f64 = flips
                .iter()
                .map(|(k, p)| (k as f64 - mean).powi(2) * p)
                .sum();
            let expected = mechanism.flip_probability() * (reports as f64 - 2.0 * ones as f64);
            assert!((total - 1.0).abs() < 1e-7, "{epsilon}: {total}");
            assert!((mean - expected).abs() < 1e-5, "{epsilon}: {mean}");
            let expected = mechanism.count_variance(reports);
            assert!((variance - expected).abs() < 1e-4, "{epsilon}: {variance}");
        }
    }

    #[test]
    fn the_likeliest_values_are_nearest_to_the_level() {
        let mechanism = Mechanism::new(8.0).unwrap();
        let covered = |flips: &NetFlips, low, high| -> f64 {
            let values = flips.iter().filter(|(k, _)| (low..=high).contains(k));
            values.map(|(_, p)| p).sum()
        };
        let many = NetFlips::new(mechanism, 9_000, 1_000);
        let (low, high) = many.likeliest(Level::default());
        let found = (covered(&many, low, high) - 0.95).abs();
        for other in [
            (low + 1, high),
            (low - 1, high),
            (low, high - 1),
            (low, high + 1),
        ] {
            assert!(found < (covered(&many, other.0, other.1) - 0.95).abs());
        }
        // One value has a probability of 0.85, two have 0.98: 0.85 would be too few.
        let few = NetFlips::new(mechanism, 500, 0);
        assert_eq!(few.likeliest(Level::default()), (0, 1));
        // 0.945 is nearer to 0.95 than 0.998 is.
        let fewer = NetFlips::new(mechanism, 168, 0);
        assert_eq!(fewer.likeliest(Level::default()), (0, 0));
    }
}
