//! Quantiles of a histogram.

use std::cmp::Ordering;

use serde::Serialize;

use crate::counts::Counts;
use crate::cumulative::Cumulative;
use crate::error::EstimateError;
use crate::estimate::Interval;
use crate::level::Level;
use crate::tails::ErrorRange;

/// Steps of bisection inside a bin with the exact distribution of the error at each point.
const EXACT_STEPS: u32 = 4;
/// Further steps, with the distribution of the last point: the ends are exact to a millionth of the
/// bin's width.
const STEPS: u32 = 16;
/// An error beyond FAR / sqrt(1 - level) standard errors is never in the range. Chebyshev's
/// inequality gives 1 for a range around the mean; the rest is for ranges with another centre.
const FAR: f64 = 3.0;

/// The estimate of a quantile, in the unit of the edges.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct QuantileEstimate {
    /// The point at which the estimated cumulative count reaches the quantile's. If noise makes the
    /// estimate reach it several times, the middle between the first and the last time.
    pub value: f64,
    /// The interval of all points at which the cumulative count can be the quantile's.
    pub interval: Interval,
}

impl Counts {
    /// Estimates the answer below which the fraction `probability` of all reports lies: 0.5 for the
    /// median. `edges` are the bins' limits, one more than there are bins.
    ///
    /// The interval inverts the intervals of the cumulative count (Woodruff 1952): it contains
    /// every point whose cumulative count is not significantly different from `probability` times
    /// n. The estimand is the quantile of the grouped answers, with those of a bin evenly
    /// distributed over its width. As for [`Counts::histogram_mean`], every report has exactly one
    /// bin set.
    ///
    /// # Errors
    /// [`EstimateError::Length`] unless there is one edge more than bins,
    /// [`EstimateError::Numbers`] unless the edges are finite and increase,
    /// [`EstimateError::Probability`] unless the probability is between 0 and 1, and
    /// [`EstimateError::NoReports`].
    pub fn histogram_quantile(
        &self,
        edges: &[f64],
        probability: f64,
        level: Level,
    ) -> Result<QuantileEstimate, EstimateError> {
        let what = "edges";
        self.check_length(what, edges.len(), self.sums().len() + 1)?;
        let increasing = edges.windows(2).all(|pair| pair[0] < pair[1]);
        if !increasing || !edges.iter().all(|edge| edge.is_finite()) {
            let increasing = true;
            return Err(EstimateError::Numbers { what, increasing });
        }
        if !(probability > 0.0 && probability < 1.0) {
            return Err(EstimateError::Probability(probability));
        }
        self.check_reports()?;
        if self.sums().is_empty() {
            return Err(EstimateError::NoReports);
        }
        let search = Search {
            cumulative: Cumulative::new(self, level),
            target: probability * self.reports() as f64,
            level,
        };
        let position = |at: f64| {
            let bin = (at as usize).min(edges.len() - 2);
            edges[bin] + (edges[bin + 1] - edges[bin]) * (at - bin as f64)
        };
        let (lower, upper) = search.accepted();
        Ok(QuantileEstimate {
            value: position(search.crossing()),
            interval: Interval {
                lower: position(lower),
                upper: position(upper),
            },
        })
    }
}

/// The search for points of the cumulative count, in bins.
struct Search<'c> {
    cumulative: Cumulative<'c>,
    target: f64,
    level: Level,
}

impl Search<'_> {
    /// Returns where the estimate crosses the target: the middle between the first and the last
    /// crossing.
    fn crossing(&self) -> f64 {
        let at = |bin: usize| {
            let (left, right) = self.cumulative.edges(bin);
            let crosses = (left < self.target) != (right < self.target);
            crosses.then(|| bin as f64 + (self.target - left) / (right - left))
        };
        // The cumulative count starts at 0 and ends at n, so it crosses the target.
        let bins = 0..self.cumulative.bins();
        let first = bins.clone().find_map(at).unwrap_or(0.0);
        let last = bins.rev().find_map(at).unwrap_or(first);
        f64::midpoint(first, last)
    }

    /// Returns the first and the last point whose cumulative count can be the target.
    fn accepted(&self) -> (f64, f64) {
        let at = |bin: usize, from: f64| Some(bin as f64 + self.accepted_in(bin, from)?);
        let bins = 0..self.cumulative.bins();
        let crossing = self.crossing();
        let first = bins.clone().find_map(|bin| at(bin, 0.0));
        let last = bins.rev().find_map(|bin| at(bin, 1.0));
        (first.unwrap_or(crossing), last.unwrap_or(crossing))
    }

    /// Returns where the accepted points of a bin begin, seen from one of its ends (0 or 1). The
    /// standard error of a bin is a convex function of the point, so two ends that are rejected on
    /// the same side have no accepted point between them.
    fn accepted_in(&self, bin: usize, from: f64) -> Option<f64> {
        if self.is_far(bin) {
            return None;
        }
        let exact = |fraction: f64| {
            let range = self.cumulative.error_range(bin, fraction);
            self.side(bin, fraction, range)
        };
        let start = exact(from);
        if start == Ordering::Equal {
            return Some(from);
        }
        if start == exact(1.0 - from) {
            return None;
        }
        let boundary = bisect((from, 1.0 - from), EXACT_STEPS, |at| exact(at) == start);
        let range = self.cumulative.error_range(bin, boundary.1);
        let boundary = bisect(boundary, STEPS, |at| self.side(bin, at, range) == start);
        // The rejected end: rounding never makes the interval too short.
        Some(boundary.0)
    }

    /// Returns whether the whole bin is so far from the target that no error explains it.
    fn is_far(&self, bin: usize) -> bool {
        let distance = |fraction: f64| {
            let error = self.cumulative.value(bin, fraction) - self.target;
            let far = FAR / (1.0 - self.level.probability()).sqrt();
            error / (far * self.cumulative.standard_error(bin, fraction))
        };
        let (left, right) = (distance(0.0), distance(1.0));
        left.abs() > 1.0 && right.abs() > 1.0 && left.signum() == right.signum()
    }

    /// Compares the estimate at a point with the target: equal if the difference can be noise.
    fn side(&self, bin: usize, fraction: f64, (lowest, highest): ErrorRange) -> Ordering {
        let error = self.cumulative.value(bin, fraction) - self.target;
        let unit = self.cumulative.standard_error(bin, fraction);
        if error < lowest * unit {
            Ordering::Less
        } else if error > highest * unit {
            Ordering::Greater
        } else {
            Ordering::Equal
        }
    }
}

/// Halves an interval between a point with a property and one without it, and keeps this order.
fn bisect(
    (mut with, mut without): (f64, f64),
    steps: u32,
    has: impl Fn(f64) -> bool,
) -> (f64, f64) {
    for _ in 0..steps {
        let middle = f64::midpoint(with, without);
        if has(middle) {
            with = middle;
        } else {
            without = middle;
        }
    }
    (with, without)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::mechanism::Mechanism;

    const EDGES: [f64; 5] = [0.0, 10.0, 20.0, 40.0, 80.0];

    fn counts(epsilon: f64, reports: u64, sums: &[u64]) -> Counts {
        Counts::new(Mechanism::new(epsilon).unwrap(), reports, sums.to_vec()).unwrap()
    }

    #[test]
    fn without_noise_the_quantile_is_interpolated() {
        let counts = counts(1e6, 100, &[20, 40, 0, 40]);
        for (probability, expected) in [(0.1, 5.0), (0.5, 17.5), (0.7, 50.0)] {
            let found = counts.histogram_quantile(&EDGES, probability, Level::default());
            let found = found.unwrap();
            assert!((found.value - expected).abs() < 1e-9, "{found:?}");
            assert!((found.interval.lower - expected).abs() < 1e-3, "{found:?}");
            assert!((found.interval.upper - expected).abs() < 1e-3, "{found:?}");
        }
    }

    #[test]
    fn the_interval_inverts_that_of_the_cumulative_count() {
        let counts = counts(3.0, 100_000, &[30_000, 30_000, 24_000, 25_000]);
        let level = Level::default();
        let found = counts.histogram_quantile(&EDGES, 0.5, level).unwrap();
        let cumulative = Cumulative::new(&counts, level);
        for end in [found.interval.lower, found.interval.upper] {
            let fraction = (end - 10.0) / 10.0;
            let error = cumulative.value(1, fraction) - 50_000.0;
            let unit = cumulative.standard_error(1, fraction);
            assert!((error.abs() / unit - 1.96).abs() < 1e-3, "{found:?}");
        }
        assert!(found.interval.contains(found.value));
    }

    #[test]
    fn an_empty_bin_is_inside_of_the_interval_as_a_whole() {
        let counts = counts(8.0, 1_000, &[250, 250, 0, 500]);
        let found = counts.histogram_quantile(&EDGES, 0.5, Level::default());
        let interval = found.unwrap().interval;
        assert!(
            interval.lower < 20.0 && interval.upper > 40.0,
            "{interval:?}"
        );
    }

    #[test]
    fn input_is_checked() {
        let level = Level::default();
        let good = counts(8.0, 1_000, &[250, 250, 0, 500]);
        let error = |edges: &[f64], q| good.histogram_quantile(edges, q, level).unwrap_err();
        assert!(matches!(
            error(&EDGES[1..], 0.5),
            EstimateError::Length { .. }
        ));
        let falling = [0.0, 10.0, 10.0, 40.0, 80.0];
        assert!(matches!(
            error(&falling, 0.5),
            EstimateError::Numbers { .. }
        ));
        for probability in [0.0, 1.0, f64::NAN] {
            let found = error(&EDGES, probability);
            assert!(matches!(found, EstimateError::Probability(_)));
        }
        let none = counts(8.0, 0, &[0; 4]);
        let found = none.histogram_quantile(&EDGES, 0.5, level);
        assert_eq!(found, Err(EstimateError::NoReports));
    }
}
