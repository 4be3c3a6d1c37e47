//! The exact confidence interval of one count, by inversion of a test.

use crate::estimate::Interval;
use crate::flips::NetFlips;
use crate::level::Level;
use crate::mechanism::Mechanism;

/// How many steps past the first rejected count the search looks for another accepted one. Which
/// side the likeliest values are extended to alternates, so the accepted counts can have gaps.
const GAP: u64 = 3;

/// An observed count among reports whose bits were randomised.
pub(crate) struct Observed {
    pub(crate) mechanism: Mechanism,
    pub(crate) reports: u64,
    pub(crate) count: u64,
}

impl Observed {
    /// Returns the smallest interval that contains every true count which the observation does not
    /// reject. A true count is rejected if the observation is not among its likeliest outcomes,
    /// which together have about the level's probability (Sterne 1954). So the probability that the
    /// interval contains the true count is at least [`Level::floor`], whatever the true count is.
    ///
    /// The ends are whole numbers from 0 to the number of reports. If every possible count is
    /// rejected, the interval is the nearest one alone.
    pub(crate) fn interval(&self, level: Level) -> Interval {
        let nearest = self.nearest();
        let lower = self.furthest(nearest, |distance| nearest.checked_sub(distance), level);
        let upper = self.furthest(
            nearest,
            |distance| Some(nearest + distance).filter(|count| *count <= self.reports),
            level,
        );
        Interval {
            lower: lower as f64,
            upper: upper as f64,
        }
    }

    fn nearest(&self) -> u64 {
        let value = self.mechanism.debias(self.count, self.reports).value;
        // The conversion saturates at 0.
        (value.round() as u64).min(self.reports)
    }

    /// Returns the furthest accepted count in one direction: doubling steps until a count is
    /// rejected, then bisection.
    fn furthest(&self, start: u64, count_at: impl Fn(u64) -> Option<u64>, level: Level) -> u64 {
        let accepted =
            |distance: u64| count_at(distance).is_some_and(|truth| self.accepts(truth, level));
        let accepted_near = |distance: u64| (distance..distance + GAP).any(accepted);
        let mut inside = 0;
        let mut outside = 1;
        while accepted_near(outside) {
            inside = outside;
            outside *= 2;
        }
        while outside - inside > 1 {
            let middle = u64::midpoint(inside, outside);
            if accepted_near(middle) {
                inside = middle;
            } else {
                outside = middle;
            }
        }
        let last = (inside..inside + GAP)
            .rev()
            .find(|distance| accepted(*distance));
        last.and_then(count_at).unwrap_or(start)
    }

    fn accepts(&self, truth: u64, level: Level) -> bool {
        let flips = NetFlips::new(self.mechanism, self.reports - truth, truth);
        let (low, high) = flips.likeliest(level);
        (low..=high).contains(&(self.count as i64 - truth as i64))
    }
}
