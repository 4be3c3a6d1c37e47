//! Weighted sums of bins.

use crate::component::Component;
use crate::counts::Counts;
use crate::error::EstimateError;
use crate::estimate::Estimate;
use crate::level::Level;
use crate::mechanism::Debiased;

impl Counts {
    /// Estimates the sum of all bins, each times its weight.
    ///
    /// The variance is the sum of weight^2 n p (1 - p) / (1 - 2p)^2, because every bit is flipped
    /// independently. The interval follows the exact distribution of the noise if single flips are
    /// visible in the sum, otherwise the normal distribution.
    ///
    /// # Errors
    /// [`EstimateError::Length`] unless there is one weight for each bin, and
    /// [`EstimateError::Numbers`] unless all weights are finite.
    pub fn weighted_sum(&self, weights: &[f64], level: Level) -> Result<Estimate, EstimateError> {
        let what = "weights";
        self.check_length(what, weights.len(), self.sums().len())?;
        if !weights.iter().all(|weight| weight.is_finite()) {
            let increasing = false;
            return Err(EstimateError::Numbers { what, increasing });
        }
        Ok(self.linear(weights, level))
    }

    /// Does the same as [`Counts::weighted_sum`] for weights that have been checked.
    pub(crate) fn linear(&self, weights: &[f64], level: Level) -> Estimate {
        let components = self.components(weights);
        let number = Debiased {
            value: self.weighted_value(weights),
            standard_error: self.mechanism().weighted_variance(&components).sqrt(),
        };
        Estimate::from_error_range(number, self.mechanism().error_range(&components, level))
    }

    /// Returns the debiased value of a weighted sum.
    pub(crate) fn weighted_value(&self, weights: &[f64]) -> f64 {
        let terms = weights.iter().zip(self.sums());
        terms
            .map(|(weight, sum)| weight * self.mechanism().debias(*sum, self.reports()).value)
            .sum()
    }

    /// Returns the bits of all bins, with those of equal weight together.
    pub(crate) fn components(&self, weights: &[f64]) -> Vec<Component> {
        let mut components: Vec<Component> = weights
            .iter()
            .zip(self.sums())
            .filter(|(weight, _)| **weight != 0.0)
            .map(|(weight, sum)| Component {
                weight: *weight,
                bits: self.reports(),
                ones: self.likely_ones(*sum),
            })
            .collect();
        // A convolution takes time proportional to the range of the components before it, so the
        // smallest weights are first.
        components.sort_by(|a, b| {
            let by_size = a.weight.abs().total_cmp(&b.weight.abs());
            by_size.then(a.weight.total_cmp(&b.weight))
        });
        components.dedup_by(|next, kept| {
            let equal = next.weight == kept.weight;
            if equal {
                kept.bits = kept.bits.saturating_add(next.bits);
                kept.ones = kept.ones.saturating_add(next.ones);
            }
            equal
        });
        components
    }

    /// Returns the possible number of ones that is nearest to the debiased count.
    pub(crate) fn likely_ones(&self, sum: u64) -> u64 {
        let value = self.mechanism().debias(sum, self.reports()).value;
        // The conversion saturates at 0.
        (value.round() as u64).min(self.reports())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::mechanism::Mechanism;

    fn counts(epsilon: f64, reports: u64, sums: &[u64]) -> Counts {
        Counts::new(Mechanism::new(epsilon).unwrap(), reports, sums.to_vec()).unwrap()
    }

    #[test]
    fn values_and_errors_follow_the_formulas() {
        let counts = counts(2.0, 100_000, &[20_000, 30_000, 50_000]);
        let bins = counts.bins(Level::default());
        let found = counts.weighted_sum(&[1.0, -2.0, 0.5], Level::default());
        let found = found.unwrap();
        let expected = bins[0].value - 2.0 * bins[1].value + bins[2].value / 2.0;
        assert!((found.value - expected).abs() < 1e-6);
        let expected = bins[0].standard_error * 5.25_f64.sqrt();
        assert!((found.standard_error - expected).abs() < 1e-6);
        let half = (found.interval.upper - found.interval.lower) / 2.0;
        assert!((half / found.standard_error - 1.96).abs() < 1e-4);
    }

    #[test]
    fn equal_weights_are_one_count() {
        let counts = counts(8.0, 500, &[20, 30, 40]);
        let components = counts.components(&[1.0, 2.0, 1.0]);
        let found = components
            .iter()
            .map(|part| (part.weight, part.bits, part.ones));
        assert_eq!(
            found.collect::<Vec<_>>(),
            [(1.0, 1_000, 60), (2.0, 500, 30)]
        );
    }

    #[test]
    fn rare_flips_give_an_interval_of_few_values() {
        // 0.17 flips are expected; the exact interval of one bin is 99 to 100.
        let counts = counts(8.0, 500, &[100]);
        let sum = counts.linear(&[10.0], Level::default()).interval;
        assert!((sum.lower - 990.0).abs() < 0.2, "{sum:?}");
        assert!((sum.upper - 1000.0).abs() < 0.2, "{sum:?}");
        let bin = counts.bins(Level::default())[0].interval;
        assert_eq!((bin.lower, bin.upper), (99.0, 100.0));
    }

    #[test]
    fn weights_are_checked() {
        let counts = counts(8.0, 10, &[1, 2]);
        for weights in [&[1.0][..], &[1.0, f64::NAN], &[1.0, f64::INFINITY]] {
            assert!(counts.weighted_sum(weights, Level::default()).is_err());
        }
        let nothing = counts.weighted_sum(&[0.0, 0.0], Level::default()).unwrap();
        assert_eq!((nothing.value, nothing.standard_error), (0.0, 0.0));
        assert_eq!(nothing.interval.upper, 0.0);
    }
}
