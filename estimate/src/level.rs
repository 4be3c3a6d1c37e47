//! Confidence levels, and the standard normal distribution.

use std::f64::consts::{FRAC_1_SQRT_2, PI};

use serde::{Deserialize, Serialize};

use crate::error::EstimateError;

/// The confidence level of an interval, for example 0.95, with the matching normal quantile.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Level {
    probability: f64,
    normal_quantile: f64,
}

impl Level {
    /// Creates a level from 0.5 to 0.9999.
    ///
    /// # Errors
    /// [`EstimateError::Level`] outside this range.
    pub fn new(probability: f64) -> Result<Self, EstimateError> {
        if (0.5..=0.9999).contains(&probability) {
            Ok(Self {
                probability,
                normal_quantile: normal_quantile(f64::midpoint(1.0, probability)),
            })
        } else {
            Err(EstimateError::Level(probability))
        }
    }

    /// Returns the probability with which an interval should contain the true value.
    #[must_use]
    pub fn probability(&self) -> f64 {
        self.probability
    }

    /// Returns z, the number of standard errors on each side of a normal interval: 1.96 for 0.95.
    #[must_use]
    pub fn normal_quantile(&self) -> f64 {
        self.normal_quantile
    }

    /// Returns the least probability with which an exact interval contains the true value: 0.94 for
    /// a level of 0.95. A distribution of whole numbers rarely has a set of exactly the level's
    /// probability.
    #[must_use]
    pub fn floor(&self) -> f64 {
        self.probability - (1.0 - self.probability) / 5.0
    }

    /// Returns whether a larger set of values suits the level better than a smaller one, given
    /// their probabilities.
    pub(crate) fn is_better(&self, smaller: f64, larger: f64) -> bool {
        smaller < self.floor()
            || (smaller - self.probability).abs() > (larger - self.probability).abs()
    }
}

impl Default for Level {
    /// 95 percent.
    fn default() -> Self {
        Self {
            probability: 0.95,
            normal_quantile: 1.959_963_984_540_054,
        }
    }
}

impl TryFrom<f64> for Level {
    type Error = EstimateError;

    fn try_from(probability: f64) -> Result<Self, EstimateError> {
        Self::new(probability)
    }
}

impl From<Level> for f64 {
    fn from(level: Level) -> Self {
        level.probability
    }
}

/// Returns the standard normal distribution function: erfc(-x / sqrt 2) / 2.
pub(crate) fn normal_cdf(x: f64) -> f64 {
    libm::erfc(-x * FRAC_1_SQRT_2) / 2.0
}

/// Inverts [`normal_cdf`] for probabilities from 0.5 to 0.99995, with Newton's method. The density
/// falls from the start on, so the iteration approaches from below and cannot overshoot.
fn normal_quantile(probability: f64) -> f64 {
    let mut x = 0.0_f64;
    for _ in 0..64 {
        let density = (-x * x / 2.0).exp() / (2.0 * PI).sqrt();
        x += (probability - normal_cdf(x)) / density;
    }
    x
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn tabulated_quantiles() {
        for (probability, expected) in [
            (0.5, 0.674_489_750_196_081_7),
            (0.9, 1.644_853_626_951_472_7),
            (0.95, 1.959_963_984_540_054),
            (0.99, 2.575_829_303_548_900_4),
            (0.9999, 3.890_591_886_413_12),
        ] {
            let found = Level::new(probability).unwrap().normal_quantile();
            assert!((found - expected).abs() < 1e-11, "{probability}: {found}");
        }
        let default = Level::default();
        let made = Level::new(0.95).unwrap();
        assert_eq!(default.probability(), made.probability());
        assert!((default.normal_quantile() - made.normal_quantile()).abs() < 1e-14);
    }

    #[test]
    fn a_level_is_a_probability() {
        for level in [0.0, 0.49, 0.99995, 1.0, 95.0, f64::NAN] {
            assert!(Level::new(level).is_err(), "{level}");
        }
    }
}
