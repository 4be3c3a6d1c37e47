//! Estimates of single bins.

use crate::counts::Counts;
use crate::estimate::Estimate;
use crate::exact::Observed;
use crate::level::Level;
use crate::mechanism::Mechanism;

/// The variance of an observed count, in flips, from which its distribution is treated as normal.
/// Measured: see the test `coverage_of_every_true_count`.
pub(crate) const NORMAL_FROM: f64 = 20.0;

impl Mechanism {
    /// Estimates how many of `reports` reports truly have a bit set, from the observed `count`.
    ///
    /// If many flips are expected, the interval is the normal one: value ± z standard errors
    /// (Warner 1965). Otherwise it is exact: the true counts that the observation does not reject
    /// (Sterne 1954), whole numbers from 0 to `reports`. Where flips are rare, few intervals are
    /// possible; the exact one contains the truth more often than the level, never less often.
    ///
    /// `count` must not exceed `reports`.
    #[must_use]
    pub fn estimate(&self, count: u64, reports: u64, level: Level) -> Estimate {
        let number = self.debias(count, reports);
        if self.count_variance(reports) >= NORMAL_FROM {
            let z = level.normal_quantile();
            return Estimate::from_error_range(number, (-z, z));
        }
        let observed = Observed {
            mechanism: *self,
            reports,
            count,
        };
        Estimate {
            value: number.value,
            standard_error: number.standard_error,
            interval: observed.interval(level),
        }
    }
}

impl Counts {
    /// Estimates every bin: how many reports truly have its bit set.
    #[must_use]
    pub fn bins(&self, level: Level) -> Vec<Estimate> {
        let sums = self.sums().iter();
        sums.map(|sum| self.mechanism().estimate(*sum, self.reports(), level))
            .collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::flips::NetFlips;

    /// Returns the exact probability that the interval of a window contains its true count.
    fn coverage(mechanism: Mechanism, reports: u64, truth: u64) -> f64 {
        let flips = NetFlips::new(mechanism, reports - truth, truth);
        let likely = flips.iter().filter(|(_, p)| *p > 1e-6);
        let covered = likely.filter(|(change, _)| {
            let count = truth.checked_add_signed(*change).unwrap();
            let estimate = mechanism.estimate(count, reports, Level::default());
            estimate.interval.contains(truth as f64)
        });
        covered.map(|(_, p)| p).sum()
    }

    /// Returns the smallest, mean and largest coverage of true counts from none to all reports.
    fn coverages(epsilon: f64, reports: u64) -> [f64; 3] {
        let mechanism = Mechanism::new(epsilon).unwrap();
        let truths = (0..=12).map(|twelfths| reports * twelfths / 12);
        let found: Vec<f64> = truths
            .map(|truth| coverage(mechanism, reports, truth))
            .collect();
        [
            found.iter().copied().fold(1.0, f64::min),
            found.iter().sum::<f64>() / found.len() as f64,
            found.iter().copied().fold(0.0, f64::max),
        ]
    }

    /// Both the exact interval and the normal one, from [`NORMAL_FROM`] on, contain every true
    /// count with the probability of the floor.
    #[test]
    fn coverage_of_every_true_count() {
        let floor = Level::default().floor() - 1e-4;
        for (epsilon, reports) in [
            (8.0, 1),
            (8.0, 150),
            (8.0, 300),
            (8.0, 500),
            (8.0, 3_000),
            (8.0, 10_000),
            (8.0, 59_000),
            (8.0, 60_000),
            (8.0, 90_000),
            (4.0, 500),
            (4.0, 1_200),
            (4.0, 5_000),
            (1.0, 10),
            (1.0, 100),
            (1.0, 110),
            (1.0, 300),
            (0.2, 70),
            (0.2, 100),
        ] {
            let [least, mean, most] = coverages(epsilon, reports);
            assert!(least >= floor, "epsilon {epsilon}, n {reports}: {least}");
            // If almost no flips are expected, no interval is wrong in 5 % of cases.
            if Mechanism::new(epsilon).unwrap().count_variance(reports) > 2.0 {
                assert!(mean < 0.965, "epsilon {epsilon}, n {reports}: {mean}");
                assert!(most < 0.99, "epsilon {epsilon}, n {reports}: {most}");
            }
        }
    }

    /// With 0.17 expected flips, a window has none in 85 % of cases. An interval of one value would
    /// be too short, one of two values is right in 98 %.
    #[test]
    fn rare_flips_give_conservative_intervals() {
        let mechanism = Mechanism::new(8.0).unwrap();
        let interval = |count| mechanism.estimate(count, 500, Level::default()).interval;
        assert_eq!((interval(0).lower, interval(0).upper), (0.0, 0.0));
        assert_eq!((interval(40).lower, interval(40).upper), (39.0, 40.0));
        assert_eq!((interval(250).lower, interval(250).upper), (249.0, 251.0));
        assert_eq!((interval(500).lower, interval(500).upper), (500.0, 500.0));
    }

    #[test]
    fn impossible_counts_give_the_nearest_possible_one() {
        let mechanism = Mechanism::new(1.0).unwrap();
        let none = mechanism.estimate(0, 60, Level::default());
        assert!(none.value < -30.0);
        assert_eq!((none.interval.lower, none.interval.upper), (0.0, 0.0));
        let all = mechanism.estimate(60, 60, Level::default());
        assert_eq!((all.interval.lower, all.interval.upper), (60.0, 60.0));
    }

    #[test]
    fn many_flips_give_normal_intervals() {
        let mechanism = Mechanism::new(4.0).unwrap();
        let found = mechanism.estimate(30_000, 100_000, Level::new(0.9).unwrap());
        let half = (found.interval.upper - found.interval.lower) / 2.0;
        assert!((half / found.standard_error - 1.644_854).abs() < 1e-6);
        assert!(
            (f64::midpoint(found.interval.lower, found.interval.upper) - found.value).abs() < 1e-6
        );
    }
}
