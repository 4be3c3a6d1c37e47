//! Randomised response: each bit of a report is flipped with a small probability. The crate
//! `tallybox-estimate` corrects sums for it.

use rand::CryptoRng;

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
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha20Rng;
    use tallybox_estimate::Mechanism;

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

    #[test]
    fn the_flip_probability_is_the_one_that_estimates_assume() {
        for epsilon in [0.1, 1.0, 5.2933, 8.0, 10.2, 12.0] {
            let mechanism = Mechanism::new(epsilon).unwrap();
            let found = noise(epsilon).flip_probability();
            assert_eq!(found, mechanism.flip_probability(), "{epsilon}");
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
            let mechanism = Mechanism::new(2.0).unwrap();
            let estimate = mechanism.debias(count as u64, reports);
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
    }
}
