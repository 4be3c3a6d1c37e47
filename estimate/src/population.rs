//! The share of a larger population, from which the reports are a sample.

use crate::counts::Counts;
use crate::error::EstimateError;
use crate::estimate::Estimate;
use crate::level::Level;
use crate::mechanism::Debiased;

impl Counts {
    /// Estimates the share of a population that has each bin's bit, if the reports are a simple
    /// random sample of it without replacement.
    ///
    /// All other estimates of this crate describe the reports received. This one adds the sampling
    /// error: the variance of the share s is (s (1 - s) (1 - n/N) + n p (1 - p) / (1 - 2p)^2 / n) /
    /// n (Cochran 1977, section 3.2, plus the noise). **Phones that report are rarely a random
    /// sample; no formula corrects that.** The interval is normal, and too short for shares near 0
    /// or 1.
    ///
    /// # Errors
    /// [`EstimateError::NoReports`], and [`EstimateError::Population`] if there are fewer people
    /// than reports.
    pub fn population_shares(
        &self,
        population: u64,
        level: Level,
    ) -> Result<Vec<Estimate>, EstimateError> {
        self.check_reports()?;
        let reports = self.reports();
        if population < reports {
            return Err(EstimateError::Population {
                population,
                reports,
            });
        }
        let n = reports as f64;
        let outside = 1.0 - n / population as f64;
        let share = |count: &Debiased| {
            let value = count.value / n;
            let likely = value.clamp(0.0, 1.0);
            let sampling = likely * (1.0 - likely) * outside / n;
            let noise = (count.standard_error / n).powi(2);
            let number = Debiased {
                value,
                standard_error: (sampling + noise).sqrt(),
            };
            let z = level.normal_quantile();
            Estimate::from_error_range(number, (-z, z))
        };
        Ok(self.debiased().iter().map(share).collect())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::mechanism::Mechanism;

    #[test]
    fn sampling_and_noise_add() {
        let exact = Counts::new(Mechanism::new(1e6).unwrap(), 100, vec![20]).unwrap();
        let error = |counts: &Counts, population| {
            let shares = counts.population_shares(population, Level::default());
            shares.map(|shares| shares[0].standard_error)
        };
        assert!((error(&exact, u64::MAX).unwrap() - 0.04).abs() < 1e-9);
        assert_eq!(error(&exact, 100), Ok(0.0));
        assert!(error(&exact, 99).is_err());
        let noisy = Counts::new(Mechanism::new(2.0).unwrap(), 100, vec![20]).unwrap();
        let noise = noisy.debiased()[0].standard_error / 100.0;
        assert!((error(&noisy, 100).unwrap() - noise).abs() < 1e-12);
    }
}
