//! Randomised response: each bit of a report is flipped with a small probability, and sums are
//! corrected for it.

use rand::CryptoRng;
use serde::Serialize;

use crate::error::EpsilonError;

/// Randomised response with one epsilon for every bit (ENPA white paper, section 4.2).
///
/// Each bit is flipped independently with probability 1 / (1 + e^epsilon). Epsilon bounds what
/// **one differing bit** reveals; reports that differ in k bits are k times epsilon apart. Two
/// one-hot reports differ in two bits, so a histogram with epsilon 8 is 16-differentially private.
/// The privacy losses of a client's reports on several days or for several metrics add up.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RandomisedResponse {
    epsilon: f64,
}

/// A count from which the noise was removed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Estimate {
    /// The unbiased estimate. It can be below 0 or above the number of reports; truncating it would
    /// bias results that are computed from it.
    pub value: f64,
    /// Standard deviation of the noise in `value`, in reports.
    pub standard_error: f64,
}

impl RandomisedResponse {
    /// Creates a randomised response with this epsilon.
    ///
    /// # Errors
    /// [`EpsilonError`] unless epsilon is finite and above 0 (and large enough to be a normal
    /// number).
    pub fn new(epsilon: f64) -> Result<Self, EpsilonError> {
        if epsilon.is_normal() && epsilon > 0.0 {
            Ok(Self { epsilon })
        } else {
            Err(EpsilonError(epsilon))
        }
    }

    /// Returns the parameter that batch headers contain.
    #[must_use]
    pub fn epsilon(&self) -> f64 {
        self.epsilon
    }

    /// Returns the probability that a bit is flipped; below one half.
    #[must_use]
    pub fn flip_probability(&self) -> f64 {
        1.0 / (1.0 + self.epsilon.exp())
    }

    /// Returns the bits with noise, as they are sent.
    ///
    /// Each bit uses 64 bits of randomness, so the probability is exact to within 2^-53 of itself
    /// or 2^-64, whichever is larger. The number of draws does not depend on the bits.
    pub fn randomise(&self, bits: &[bool], rng: &mut (impl CryptoRng + ?Sized)) -> Vec<bool> {
        let threshold = self.threshold();
        bits.iter()
            .map(|bit| bit ^ (rng.next_u64() < threshold))
            .collect()
    }

    /// Returns how many of the 2^64 possible draws flip a bit. Conversion from a float saturates,
    /// but the probability is below one half, so the result is exact enough.
    fn threshold(&self) -> u64 {
        (self.flip_probability() * 2_f64.powi(64)).round() as u64
    }

    /// Estimates the number of set bits in `reports` reports from the number of set bits after
    /// randomisation: ((e^epsilon + 1) count - reports) / (e^epsilon - 1).
    #[must_use]
    pub fn debias(&self, count: u64, reports: u64) -> Estimate {
        // Numerator and denominator are divided by e^epsilon + 1, so that a large epsilon does not
        // overflow.
        let value = (count as f64 - reports as f64 * self.flip_probability()) / self.contrast();
        Estimate {
            value,
            standard_error: self.standard_deviation(reports),
        }
    }

    /// Returns the standard deviation of a debiased count over `reports` reports, in reports. It
    /// covers the noise alone, and does not depend on the true count.
    #[must_use]
    pub fn standard_deviation(&self, reports: u64) -> f64 {
        let flip = self.flip_probability();
        (reports as f64 * flip * (1.0 - flip)).sqrt() / self.contrast()
    }

    /// Returns (e^epsilon - 1) / (e^epsilon + 1): the factor by which randomisation reduces a
    /// difference of counts.
    fn contrast(&self) -> f64 {
        (self.epsilon / 2.0).tanh()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha20Rng;

    use super::*;

    fn noise(epsilon: f64) -> RandomisedResponse {
        RandomisedResponse::new(epsilon).unwrap()
    }

    #[test]
    fn epsilon_is_positive_and_finite() {
        for epsilon in [
            0.0,
            -0.0,
            -8.0,
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
            5e-324,
        ] {
            assert!(RandomisedResponse::new(epsilon).is_err(), "{epsilon}");
        }
        assert_eq!(noise(8.0).epsilon(), 8.0);
    }

    /// The table of published figures: epsilon, flip probability, standard deviation of a count
    /// over 100,000 reports.
    #[test]
    fn published_figures() {
        for (epsilon, flip, deviation) in [
            (12.0, 6.1e-6, 0.8),
            (10.2, 3.7e-5, 1.9),
            (8.0, 3.4e-4, 5.8),
            (5.2933, 5.0e-3, 22.5),
        ] {
            assert!(
                (noise(epsilon).flip_probability() / flip - 1.0).abs() < 0.02,
                "{epsilon}"
            );
            assert!(
                (noise(epsilon).standard_deviation(100_000) - deviation).abs() < 0.06,
                "{epsilon}"
            );
        }
    }

    #[test]
    fn bits_flip_as_often_as_they_should() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        for epsilon in [0.1, 1.0, 3.0, 5.2933] {
            let bits: Vec<bool> = (0..200_000).map(|i| i % 3 == 0).collect();
            let sent = noise(epsilon).randomise(&bits, &mut rng);
            let flips = bits
                .iter()
                .zip(&sent)
                .filter(|(bit, sent)| bit != sent)
                .count() as f64;
            let flip = noise(epsilon).flip_probability();
            let deviation = (200_000.0 * flip * (1.0 - flip)).sqrt();
            assert!(
                (flips - 200_000.0 * flip).abs() < 5.0 * deviation,
                "{epsilon}: {flips}"
            );
        }
    }

    #[test]
    fn zeros_and_ones_flip_alike() {
        let mut rng = ChaCha20Rng::seed_from_u64(2);
        let ones = noise(1.0)
            .randomise(&[true; 100_000], &mut rng)
            .iter()
            .filter(|bit| !**bit)
            .count();
        let zeros = noise(1.0)
            .randomise(&[false; 100_000], &mut rng)
            .iter()
            .filter(|bit| **bit)
            .count();
        assert!(ones.abs_diff(zeros) < 1_000, "{ones} {zeros}");
    }

    #[test]
    fn estimates_fall_within_their_error() {
        let mut rng = ChaCha20Rng::seed_from_u64(3);
        let (reports, truth) = (20_000_u64, 3_000_u64);
        let bits: Vec<bool> = (0..reports).map(|i| i < truth).collect();
        let mut misses = Vec::new();
        for _ in 0..40 {
            let count = noise(2.0)
                .randomise(&bits, &mut rng)
                .iter()
                .filter(|bit| **bit)
                .count();
            let estimate = noise(2.0).debias(count as u64, reports);
            misses.push((estimate.value - truth as f64) / estimate.standard_error);
        }
        assert!(misses.iter().all(|miss| miss.abs() < 5.0), "{misses:?}");
        let mean = misses.iter().sum::<f64>() / 40.0;
        let variance = misses.iter().map(|miss| miss * miss).sum::<f64>() / 40.0;
        assert!(
            mean.abs() < 0.8 && (0.3..2.5).contains(&variance),
            "{mean} {variance}"
        );
    }

    #[test]
    fn a_huge_epsilon_changes_nothing() {
        let mut rng = ChaCha20Rng::seed_from_u64(4);
        let bits = vec![true; 1000];
        assert_eq!(noise(1e6).randomise(&bits, &mut rng), bits);
        assert_eq!(
            noise(1e6).debias(7, 10),
            Estimate {
                value: 7.0,
                standard_error: 0.0
            }
        );
    }

    proptest! {
        #[test]
        fn debiasing_is_the_published_formula(epsilon in 0.01..30.0_f64, count in 0_u64..1_000, rest in 0_u64..1_000) {
            let (reports, e) = (count + rest, epsilon.exp());
            let expected = ((e + 1.0) * count as f64 - reports as f64) / (e - 1.0);
            let found = noise(epsilon).debias(count, reports).value;
            prop_assert!((found - expected).abs() <= 1e-6 * expected.abs().max(1.0), "{found} {expected}");
        }
    }
}
