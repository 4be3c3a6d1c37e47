//! Randomised response: the noise that clients add, and its removal from a count.

use serde::{Deserialize, Serialize};

use crate::error::EstimateError;

/// Randomised response with one epsilon for every bit (ENPA white paper, section 4.2).
///
/// A client flips each bit of its report independently with probability p = 1 / (1 + e^epsilon).
/// Among n reports of which t truly have a bit set, the observed count is
/// Bin(t, 1 - p) + Bin(n - t, p): its mean is t (1 - 2p) + n p, and its variance n p (1 - p) does
/// not depend on t.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Mechanism {
    epsilon: f64,
}

/// A number from which the expected noise was removed. It is unbiased, and therefore never clipped:
/// an estimated count can be below 0 or above the number of reports.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Debiased {
    /// The unbiased estimate, in the unit of the quantity: reports for a count.
    pub value: f64,
    /// The standard deviation of the noise in `value`, in the same unit.
    pub standard_error: f64,
}

impl Mechanism {
    /// Creates the mechanism of this epsilon.
    ///
    /// # Errors
    /// [`EstimateError::Epsilon`] unless epsilon is a finite normal number above 0.
    pub fn new(epsilon: f64) -> Result<Self, EstimateError> {
        if epsilon.is_normal() && epsilon > 0.0 {
            Ok(Self { epsilon })
        } else {
            Err(EstimateError::Epsilon(epsilon))
        }
    }

    /// Returns epsilon, the parameter that batch headers contain.
    #[must_use]
    pub fn epsilon(&self) -> f64 {
        self.epsilon
    }

    /// Returns p = 1 / (1 + e^epsilon), the probability that a bit is flipped; below one half.
    #[must_use]
    pub fn flip_probability(&self) -> f64 {
        1.0 / (1.0 + self.epsilon.exp())
    }

    /// Returns 1 - 2p = tanh(epsilon / 2), the factor by which the noise reduces a difference of
    /// counts; above 0 and at most 1.
    #[must_use]
    pub fn contrast(&self) -> f64 {
        (self.epsilon / 2.0).tanh()
    }

    /// Returns n p (1 - p), the variance of an observed count among `reports` reports. It measures
    /// how close the noise is to a normal distribution, and is almost the expected number of flips
    /// when these are rare.
    #[must_use]
    pub fn count_variance(&self, reports: u64) -> f64 {
        let flip = self.flip_probability();
        reports as f64 * flip * (1.0 - flip)
    }

    /// Returns the variance of a debiased count: n p (1 - p) / (1 - 2p)^2, in reports squared.
    #[must_use]
    pub fn debiased_variance(&self, reports: u64) -> f64 {
        self.count_variance(reports) / self.contrast().powi(2)
    }

    /// Estimates how many of `reports` reports truly have a bit set, from the number that have it
    /// set after randomisation: ((e^epsilon + 1) count - n) / (e^epsilon - 1) (ENPA white paper,
    /// section 4.2; Warner 1965).
    #[must_use]
    pub fn debias(&self, count: u64, reports: u64) -> Debiased {
        // Numerator and denominator are divided by e^epsilon + 1, so that a large epsilon does not
        // overflow.
        let expected_flips = reports as f64 * self.flip_probability();
        Debiased {
            value: (count as f64 - expected_flips) / self.contrast(),
            standard_error: self.debiased_variance(reports).sqrt(),
        }
    }
}

impl TryFrom<f64> for Mechanism {
    type Error = EstimateError;

    fn try_from(epsilon: f64) -> Result<Self, EstimateError> {
        Self::new(epsilon)
    }
}

impl From<Mechanism> for f64 {
    fn from(mechanism: Mechanism) -> Self {
        mechanism.epsilon
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn epsilon_is_positive_and_finite() {
        for epsilon in [0.0, -0.0, -8.0, f64::NAN, f64::INFINITY, 5e-324] {
            assert!(Mechanism::new(epsilon).is_err(), "{epsilon}");
        }
        assert_eq!(Mechanism::new(8.0).unwrap().epsilon(), 8.0);
        assert!(serde_json::from_str::<Mechanism>("-1.0").is_err());
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
            let mechanism = Mechanism::new(epsilon).unwrap();
            assert!((mechanism.flip_probability() / flip - 1.0).abs() < 0.02);
            let found = mechanism.debias(0, 100_000).standard_error;
            assert!((found - deviation).abs() < 0.06, "{epsilon}: {found}");
        }
    }

    #[test]
    fn a_huge_epsilon_changes_nothing() {
        let found = Mechanism::new(1e6).unwrap().debias(7, 10);
        assert_eq!((found.value, found.standard_error), (7.0, 0.0));
    }

    proptest! {
        #[test]
        fn debiasing_is_the_published_formula(
            epsilon in 0.01..30.0_f64,
            count in 0_u64..1_000,
            rest in 0_u64..1_000,
        ) {
            let (reports, e) = (count + rest, epsilon.exp());
            let expected = ((e + 1.0) * count as f64 - reports as f64) / (e - 1.0);
            let found = Mechanism::new(epsilon).unwrap().debias(count, reports).value;
            prop_assert!((found - expected).abs() <= 1e-6 * expected.abs().max(1.0));
        }
    }
}
