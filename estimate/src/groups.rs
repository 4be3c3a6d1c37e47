//! Means by group: each report has one field for each group, and fills in those of its own groups.

use serde::Serialize;

use crate::component::Component;
use crate::counts::Counts;
use crate::error::EstimateError;
use crate::estimate::Estimate;
use crate::integer::digit_weights;
use crate::level::Level;
use crate::ratio::{Ratio, RatioInterval};
use crate::tails::ErrorRange;

/// How often the error range is computed again for the ends of an interval.
const REFINEMENTS: u32 = 1;

/// The estimates for one group.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct GroupEstimate {
    /// The number of members among the reports.
    pub members: Estimate,
    /// The sum of the members' numbers.
    pub sum: Estimate,
    /// The mean number of a member: sum / members. Its bias is of the order of its squared standard
    /// error. `None` if the estimated number of members is not positive.
    pub mean: Option<f64>,
    /// The standard error of the mean by the delta method.
    pub standard_error: Option<f64>,
    /// The confidence set of the mean (Fieller 1954).
    pub interval: RatioInterval,
}

impl Counts {
    /// Estimates the mean of each group. A group's field is one membership bit followed by `bits`
    /// binary digits of a number, the least significant first; reports of other groups leave the
    /// field 0. The fields follow each other.
    ///
    /// The mean is a ratio of two noisy numbers, so its interval is Fieller's. It is unbounded for
    /// a group whose number of members is not significantly above 0.
    ///
    /// # Errors
    /// [`EstimateError::Length`] if the bins are not a multiple of 1 + `bits`, or `bits` exceeds
    /// 64.
    pub fn group_means(
        &self,
        bits: u32,
        level: Level,
    ) -> Result<Vec<GroupEstimate>, EstimateError> {
        let digits = bits as usize;
        if digits > 64 {
            self.check_length("binary digits", digits, 64)?;
        }
        let field = 1 + digits;
        let groups = self.sums().len() / field;
        self.check_length("bins of groups", self.sums().len(), groups * field)?;
        let fields = self.sums().chunks_exact(field);
        Ok(fields.map(|sums| self.group(sums, level)).collect())
    }

    fn group(&self, field: &[u64], level: Level) -> GroupEstimate {
        let counts = self.with_sums(field.to_vec());
        let mut digits = vec![0.0];
        digits.extend(digit_weights(field.len() - 1));
        let sum = counts.linear(&digits, level);
        let members = self.mechanism().estimate(field[0], self.reports(), level);
        let ratio = Ratio {
            numerator: sum.value,
            denominator: members.value,
            numerator_variance: sum.standard_error.powi(2),
            denominator_variance: members.standard_error.powi(2),
        };
        GroupEstimate {
            members,
            sum,
            mean: ratio.value(),
            standard_error: ratio.standard_error(),
            interval: counts.ratio_interval(ratio, &digits, level),
        }
    }

    /// Returns Fieller's interval with the exact range of the error of sum - r members, which
    /// depends a little on r: the range is computed for the estimated ratio, then for each end.
    fn ratio_interval(&self, ratio: Ratio, digits: &[f64], level: Level) -> RatioInterval {
        let z = level.normal_quantile();
        let Some(value) = ratio.value() else {
            return ratio.interval((-z, z));
        };
        let range_for = |r: f64| -> ErrorRange {
            let mut weights = digits.to_vec();
            weights[0] = -r;
            let components: Vec<Component> = self.components(&weights);
            self.mechanism().error_range(&components, level)
        };
        let mut range = range_for(value);
        let mut interval = ratio.interval(range);
        if range == (-z, z) {
            return interval;
        }
        for _ in 0..REFINEMENTS {
            let Some(ends) = interval.bounded() else {
                break;
            };
            range = (range_for(ends.upper).0, range_for(ends.lower).1);
            interval = ratio.interval(range);
        }
        interval
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
    fn without_noise_the_mean_is_sum_by_members() {
        // Two members with 3 and 2; one with 1.
        let counts = counts(1e6, 3, &[2, 1, 2, 1, 1, 0]);
        let found = counts.group_means(2, Level::default()).unwrap();
        let means: Vec<_> = found.iter().map(|group| group.mean.unwrap()).collect();
        assert_eq!(means, [2.5, 1.0]);
        let interval = found[0].interval.bounded().unwrap();
        assert_eq!((interval.lower, interval.upper), (2.5, 2.5));
    }

    #[test]
    fn an_empty_group_has_no_bounded_mean() {
        for (epsilon, reports) in [(8.0, 500), (2.0, 100_000)] {
            let flips = (f64::from(reports) * Mechanism::new(epsilon).unwrap().flip_probability())
                .round() as u64;
            let counts = counts(epsilon, u64::from(reports as u32), &[flips; 9]);
            let found = counts.group_means(8, Level::default()).unwrap();
            assert_eq!(found[0].interval.bounded(), None, "{:?}", found[0]);
        }
    }

    #[test]
    fn fields_fill_the_bins() {
        let counts = counts(8.0, 10, &[0; 10]);
        assert_eq!(counts.group_means(4, Level::default()).unwrap().len(), 2);
        assert!(counts.group_means(5, Level::default()).is_err());
        assert!(counts.group_means(65, Level::default()).is_err());
    }
}
