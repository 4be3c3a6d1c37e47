//! The mean of a histogram: one bin is set in every report, and each bin has a value.

use crate::counts::Counts;
use crate::error::EstimateError;
use crate::estimate::Estimate;
use crate::level::Level;

impl Counts {
    /// Estimates the mean of the bins' values over all reports. For bins that are ranges, the
    /// values are their midpoints, and the estimand is the mean with every answer moved to its
    /// midpoint.
    ///
    /// Each report has exactly one bin set, so the true counts add to the number of reports. The
    /// estimate is the least-squares one under this constraint (Gauss-Markov theorem): the weights
    /// are the values minus their average, divided by n. Reports that set another number of bins
    /// change the mean; Prio2 cannot exclude them.
    ///
    /// # Errors
    /// [`EstimateError::Length`] unless there is one value for each bin,
    /// [`EstimateError::Numbers`] unless all are finite, and [`EstimateError::NoReports`].
    pub fn histogram_mean(&self, values: &[f64], level: Level) -> Result<Estimate, EstimateError> {
        let what = "values";
        self.check_length(what, values.len(), self.sums().len())?;
        let average = values.iter().sum::<f64>() / values.len() as f64;
        if !average.is_finite() {
            let increasing = false;
            return Err(EstimateError::Numbers { what, increasing });
        }
        self.check_reports()?;
        let centred: Vec<f64> = values.iter().map(|value| value - average).collect();
        let sum = self.linear(&centred, level);
        Ok(sum.scaled(1.0 / self.reports() as f64).shifted(average))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::mechanism::Mechanism;

    #[test]
    fn without_noise_the_mean_is_the_mean() {
        let mechanism = Mechanism::new(1e6).unwrap();
        let counts = Counts::new(mechanism, 10, vec![5, 3, 2]).unwrap();
        let values = [0.5, 2.5, 9.0];
        let found = counts.histogram_mean(&values, Level::default()).unwrap();
        assert!((found.value - 2.8).abs() < 1e-12 && found.standard_error == 0.0);
    }

    #[test]
    fn a_constant_changes_the_mean_and_not_its_error() {
        let mechanism = Mechanism::new(3.0).unwrap();
        let counts = Counts::new(mechanism, 10_000, vec![5_000, 3_000, 2_000]).unwrap();
        let near = counts.histogram_mean(&[1.0, 2.0, 4.0], Level::default());
        let far = counts.histogram_mean(&[1001.0, 1002.0, 1004.0], Level::default());
        let (near, far) = (near.unwrap(), far.unwrap());
        assert!((far.value - near.value - 1000.0).abs() < 1e-9);
        assert!((far.standard_error - near.standard_error).abs() < 1e-12);
    }

    #[test]
    fn input_is_checked() {
        let mechanism = Mechanism::new(3.0).unwrap();
        let counts = Counts::new(mechanism, 0, vec![0, 0]).unwrap();
        let level = Level::default();
        let error = |values: &[f64]| counts.histogram_mean(values, level).unwrap_err();
        assert!(matches!(error(&[1.0]), EstimateError::Length { .. }));
        assert!(matches!(
            error(&[1.0, f64::NAN]),
            EstimateError::Numbers { .. }
        ));
        assert_eq!(error(&[1.0, 2.0]), EstimateError::NoReports);
    }
}
