//! An estimate: value, standard error and interval, and its change of unit.

use serde::{Deserialize, Serialize};

use crate::error::EstimateError;
use crate::mechanism::Debiased;

/// A closed interval; `lower` is at most `upper`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Interval {
    /// The lower end.
    pub lower: f64,
    /// The upper end.
    pub upper: f64,
}

/// An estimate of one number among the reports received.
///
/// The only randomness is the clients' noise. The interval contains the true number among these
/// reports with the chosen probability; it says nothing about people who sent no report.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Estimate {
    /// The unbiased value. Never clipped; it can be outside the possible range.
    pub value: f64,
    /// The standard deviation of the noise in `value`.
    pub standard_error: f64,
    /// The confidence interval. A normal interval can exceed the possible range; see
    /// [`Interval::clamp`].
    pub interval: Interval,
}

impl Interval {
    /// Returns whether a number is in the interval.
    #[must_use]
    pub fn contains(&self, number: f64) -> bool {
        self.lower <= number && number <= self.upper
    }

    /// Returns the interval with both ends moved into the possible range, for display. A true value
    /// within the range is in the result whenever it is in the interval.
    #[must_use]
    pub fn clamp(&self, lowest: f64, highest: f64) -> Self {
        Self {
            lower: self.lower.max(lowest).min(highest),
            upper: self.upper.min(highest).max(lowest),
        }
    }

    fn scaled(&self, factor: f64) -> Self {
        Self {
            lower: self.lower * factor,
            upper: self.upper * factor,
        }
    }
}

impl From<Estimate> for Debiased {
    fn from(estimate: Estimate) -> Self {
        Self {
            value: estimate.value,
            standard_error: estimate.standard_error,
        }
    }
}

impl Estimate {
    /// Converts a debiased number and the quantiles of its error, in standard errors.
    pub(crate) fn from_error_range(number: Debiased, (lowest, highest): (f64, f64)) -> Self {
        let Debiased {
            value,
            standard_error,
        } = number;
        Self {
            value,
            standard_error,
            interval: Interval {
                lower: value - highest * standard_error,
                upper: value - lowest * standard_error,
            },
        }
    }

    /// Returns the estimate in another unit: value, standard error and interval times a factor that
    /// is not negative.
    #[must_use]
    pub(crate) fn scaled(&self, factor: f64) -> Self {
        Self {
            value: self.value * factor,
            standard_error: self.standard_error * factor,
            interval: self.interval.scaled(factor),
        }
    }

    /// Returns the estimate plus a constant.
    pub(crate) fn shifted(&self, by: f64) -> Self {
        Self {
            value: self.value + by,
            standard_error: self.standard_error,
            interval: Interval {
                lower: self.interval.lower + by,
                upper: self.interval.upper + by,
            },
        }
    }

    /// Returns the rate per 100,000 of a population. The population is taken as exact.
    ///
    /// # Errors
    /// [`EstimateError::Population`] if the population is 0.
    pub fn per_100_000(&self, population: u64) -> Result<Self, EstimateError> {
        if population == 0 {
            let reports = 1;
            return Err(EstimateError::Population {
                population,
                reports,
            });
        }
        Ok(self.scaled(100_000.0 / population as f64))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const ESTIMATE: Estimate = Estimate {
        value: -2.0,
        standard_error: 4.0,
        interval: Interval {
            lower: -10.0,
            upper: 6.0,
        },
    };

    #[test]
    fn a_rate_is_the_estimate_in_another_unit() {
        let rate = ESTIMATE.per_100_000(200_000).unwrap();
        assert_eq!((rate.value, rate.standard_error), (-1.0, 2.0));
        assert_eq!((rate.interval.lower, rate.interval.upper), (-5.0, 3.0));
        assert!(ESTIMATE.per_100_000(0).is_err());
    }

    #[test]
    fn an_interval_can_be_clamped_for_display() {
        let clamped = ESTIMATE.interval.clamp(0.0, 100.0);
        assert_eq!((clamped.lower, clamped.upper), (0.0, 6.0));
        let below = ESTIMATE.interval.clamp(20.0, 100.0);
        assert_eq!((below.lower, below.upper), (20.0, 20.0));
        assert!(clamped.contains(0.0) && !clamped.contains(-0.5));
    }
}
