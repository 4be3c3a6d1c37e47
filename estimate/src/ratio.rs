//! The interval of a ratio of two noisy numbers (Fieller 1954).

use serde::{Deserialize, Serialize};

use crate::estimate::Interval;

/// The confidence set of a ratio. It is unbounded if the denominator is not significantly different
/// from 0.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RatioInterval {
    /// The ratio is in this interval.
    Bounded(Interval),
    /// The ratio is outside of this open interval: anything up to its lower end, or from its upper
    /// end.
    Outside(Interval),
    /// Any ratio is possible.
    Unbounded,
}

impl RatioInterval {
    /// Returns whether a ratio is in the set.
    #[must_use]
    pub fn contains(&self, ratio: f64) -> bool {
        match self {
            Self::Bounded(interval) => interval.contains(ratio),
            Self::Outside(gap) => ratio <= gap.lower || ratio >= gap.upper,
            Self::Unbounded => true,
        }
    }

    /// Returns the interval if it is bounded.
    #[must_use]
    pub fn bounded(&self) -> Option<Interval> {
        match self {
            Self::Bounded(interval) => Some(*interval),
            Self::Outside(_) | Self::Unbounded => None,
        }
    }
}

/// Two independent numbers with their variances; the denominator's true value is positive.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ratio {
    pub(crate) numerator: f64,
    pub(crate) denominator: f64,
    pub(crate) numerator_variance: f64,
    pub(crate) denominator_variance: f64,
}

impl Ratio {
    /// Returns numerator / denominator, unless the denominator is not positive.
    pub(crate) fn value(&self) -> Option<f64> {
        let value = self.numerator / self.denominator;
        (self.denominator > 0.0 && value.is_finite()).then_some(value)
    }

    /// Returns the standard error of the value by the delta method:
    /// sqrt(Var(numerator) + value^2 Var(denominator)) / denominator.
    pub(crate) fn standard_error(&self) -> Option<f64> {
        let value = self.value()?;
        let variance = self.numerator_variance + value.powi(2) * self.denominator_variance;
        Some(variance.sqrt() / self.denominator)
    }

    /// Returns the ratios r for which numerator - r denominator, whose mean is 0 for the true
    /// ratio, is within a range of its standard errors (Fieller 1954, here with a range that can be
    /// asymmetric).
    pub(crate) fn interval(&self, (lowest, highest): (f64, f64)) -> RatioInterval {
        let widest = lowest.abs().max(highest.abs());
        match self.roots(widest) {
            Roots::Inside(_) if self.denominator > 0.0 => {}
            Roots::Outside(gap) => return RatioInterval::Outside(gap),
            Roots::Inside(_) | Roots::None => return RatioInterval::Unbounded,
        }
        // A ratio that is too small leaves a positive difference, a large one a negative one. With
        // fewer standard errors than the widest, the roots exist too. An error range without 0 is
        // possible, if flips in one direction are certain; the difference then has a fixed sign.
        let root = |range: f64| match self.roots(range.abs()) {
            Roots::Inside(roots) if range > 0.0 => roots.lower,
            Roots::Inside(roots) => roots.upper,
            Roots::Outside(_) | Roots::None => f64::NAN,
        };
        let (lower, upper) = (root(highest), root(lowest));
        if lower <= upper {
            RatioInterval::Bounded(Interval { lower, upper })
        } else {
            RatioInterval::Unbounded
        }
    }

    /// Solves (numerator - r denominator)^2 <= k^2 Var(numerator - r denominator) for r.
    fn roots(&self, k: f64) -> Roots {
        let square = self.denominator.powi(2) - k.powi(2) * self.denominator_variance;
        let half = self.numerator * self.denominator;
        let constant = self.numerator.powi(2) - k.powi(2) * self.numerator_variance;
        let discriminant = half.powi(2) - square * constant;
        if square == 0.0 || discriminant < 0.0 {
            return Roots::None;
        }
        let ends = [-1.0, 1.0].map(|sign| (half + sign * discriminant.sqrt()) / square);
        let interval = Interval {
            lower: ends[0].min(ends[1]),
            upper: ends[0].max(ends[1]),
        };
        match (ends.iter().all(|end| end.is_finite()), square > 0.0) {
            (false, _) => Roots::None,
            (true, true) => Roots::Inside(interval),
            (true, false) => Roots::Outside(interval),
        }
    }
}

/// The solutions of the quadratic inequality.
enum Roots {
    /// All ratios in an interval.
    Inside(Interval),
    /// All ratios outside of an interval.
    Outside(Interval),
    /// All ratios.
    None,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn ratio(numerator: f64, denominator: f64) -> Ratio {
        Ratio {
            numerator,
            denominator,
            numerator_variance: 4.0,
            denominator_variance: 1.0,
        }
    }

    #[test]
    fn far_from_zero_the_delta_method_agrees() {
        let ratio = ratio(3_000.0, 1_000.0);
        let interval = ratio.interval((-2.0, 2.0)).bounded().unwrap();
        let error = ratio.standard_error().unwrap();
        assert!((error - 13.0_f64.sqrt() / 1_000.0).abs() < 1e-12);
        assert!((interval.lower - (3.0 - 2.0 * error)).abs() < 1e-4);
        assert!((interval.upper - (3.0 + 2.0 * error)).abs() < 1e-4);
    }

    #[test]
    fn the_ends_solve_the_equation() {
        let ratio = ratio(12.0, 5.0);
        let interval = ratio.interval((-1.0, 2.0)).bounded().unwrap();
        let difference = |r: f64| (12.0 - 5.0 * r) / (4.0 + r * r).sqrt();
        assert!((difference(interval.lower) - 2.0).abs() < 1e-9);
        assert!((difference(interval.upper) + 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_denominator_near_zero_bounds_nothing() {
        assert_eq!(
            ratio(1.0, 0.5).interval((-2.0, 2.0)),
            RatioInterval::Unbounded
        );
        let RatioInterval::Outside(gap) = ratio(10.0, 1.0).interval((-2.0, 2.0)) else {
            panic!()
        };
        let set = ratio(10.0, 1.0).interval((-2.0, 2.0));
        assert!(gap.lower < 0.0 && gap.upper > 0.0 && !set.contains(0.0) && set.contains(10.0));
        assert_eq!(
            ratio(5.0, 2.0).interval((-2.0, 2.0)),
            RatioInterval::Unbounded
        );
        assert_eq!(
            ratio(5.0, -20.0).interval((-2.0, 2.0)),
            RatioInterval::Unbounded
        );
        assert_eq!(ratio(5.0, -20.0).value(), None);
        assert_eq!(ratio(0.0, 0.0).standard_error(), None);
    }
}
