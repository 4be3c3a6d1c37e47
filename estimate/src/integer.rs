//! Integers that are reported as binary digits: sum and mean.

use serde::Serialize;

use crate::counts::Counts;
use crate::error::EstimateError;
use crate::estimate::Estimate;
use crate::level::Level;

/// The estimates for a bounded integer.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct IntegerEstimate {
    /// The sum of the numbers of all reports.
    pub sum: Estimate,
    /// The mean number of a report. The number of reports is known exactly, so this is the sum in
    /// another unit. `None` if there are no reports.
    pub mean: Option<Estimate>,
}

impl Counts {
    /// Estimates the sum and the mean of numbers that are reported as binary digits, the least
    /// significant first: a weighted sum with the weights 1, 2, 4, …
    ///
    /// # Errors
    /// [`EstimateError::Length`] for more than 64 digits.
    pub fn integer(&self, level: Level) -> Result<IntegerEstimate, EstimateError> {
        let digits = self.sums().len();
        if digits > 64 {
            self.check_length("binary digits", digits, 64)?;
        }
        let sum = self.linear(&digit_weights(digits), level);
        let mean = (self.reports() > 0).then(|| sum.scaled(1.0 / self.reports() as f64));
        Ok(IntegerEstimate { sum, mean })
    }
}

/// Returns the values of binary digits, the least significant first.
pub(crate) fn digit_weights(digits: usize) -> Vec<f64> {
    let mut next = 1.0;
    let mut weights = Vec::with_capacity(digits);
    for _ in 0..digits {
        weights.push(next);
        next *= 2.0;
    }
    weights
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::mechanism::Mechanism;

    #[test]
    fn numbers_without_noise_keep_their_sum() {
        let mechanism = Mechanism::new(1e6).unwrap();
        let counts = Counts::new(mechanism, 10, vec![3, 4, 5]).unwrap();
        let found = counts.integer(Level::default()).unwrap();
        assert_eq!(found.sum.value, 31.0);
        assert_eq!(found.sum.interval.upper, 31.0);
        assert_eq!(found.mean.unwrap().value, 3.1);
    }

    #[test]
    fn errors_of_digits_add_as_squares() {
        let mechanism = Mechanism::new(2.0).unwrap();
        let counts = Counts::new(mechanism, 50_000, vec![9_000, 10_000]).unwrap();
        let found = counts.integer(Level::default()).unwrap();
        let bin = mechanism.debias(0, 50_000).standard_error;
        assert!((found.sum.standard_error / bin - 5.0_f64.sqrt()).abs() < 1e-9);
        let mean = found.mean.unwrap();
        assert!((mean.standard_error * 50_000.0 / found.sum.standard_error - 1.0).abs() < 1e-9);
    }

    #[test]
    fn no_reports_have_no_mean() {
        let mechanism = Mechanism::new(2.0).unwrap();
        let none = Counts::new(mechanism, 0, vec![0; 64]).unwrap();
        assert_eq!(none.integer(Level::default()).unwrap().mean, None);
        let long = Counts::new(mechanism, 0, vec![0; 65]).unwrap();
        assert!(long.integer(Level::default()).is_err());
    }
}
