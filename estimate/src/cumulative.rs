//! The cumulative count of a histogram as a function of the answer, with the range of its error.

use std::ops::Range;

use crate::component::Component;
use crate::counts::Counts;
use crate::level::Level;
use crate::tails::ErrorRange;

/// The cumulative count C(x): the number of reports whose answer is below x. Inside a bin, answers
/// are taken as evenly distributed. Positions are in bins: 1.5 is the middle of the second one.
///
/// Each report has exactly one bin set, so C is 0 on the left and n on the right. The estimate is
/// the least-squares one under this constraint: for a point at the fraction f of bin k (from 0) of
/// B, with g = (k + f) / B, the bins before k have the weight 1 - g, bin k has f - g, the bins
/// after k have -g, and g n is added.
pub(crate) struct Cumulative<'c> {
    counts: &'c Counts,
    level: Level,
    /// The estimate at each edge; one more than there are bins.
    at_edges: Vec<f64>,
    /// The estimated number of ones in all bins before each edge.
    ones_before: Vec<u64>,
}

impl<'c> Cumulative<'c> {
    pub(crate) fn new(counts: &'c Counts, level: Level) -> Self {
        let bins = counts.debiased();
        let reports = counts.reports() as f64;
        let total: f64 = bins.iter().map(|bin| bin.value).sum();
        let excess = (total - reports) / bins.len() as f64;
        let mut cumulative = Self {
            counts,
            level,
            at_edges: vec![0.0],
            ones_before: vec![0],
        };
        let mut value = 0.0;
        let mut ones = 0;
        for (bin, sum) in bins.iter().zip(counts.sums()) {
            value += bin.value - excess;
            cumulative.at_edges.push(value);
            ones += counts.likely_ones(*sum);
            cumulative.ones_before.push(ones);
        }
        cumulative
    }

    /// Returns the number of bins.
    pub(crate) fn bins(&self) -> usize {
        self.at_edges.len() - 1
    }

    /// Returns the estimates at the left and the right edge of a bin.
    pub(crate) fn edges(&self, bin: usize) -> (f64, f64) {
        (self.at_edges[bin], self.at_edges[bin + 1])
    }

    /// Returns the estimate inside a bin, at a fraction from 0 to 1 of its width.
    pub(crate) fn value(&self, bin: usize, fraction: f64) -> f64 {
        let (left, right) = self.edges(bin);
        left + (right - left) * fraction
    }

    /// Returns the standard error of [`Cumulative::value`].
    pub(crate) fn standard_error(&self, bin: usize, fraction: f64) -> f64 {
        let components = self.components(bin, fraction);
        self.counts
            .mechanism()
            .weighted_variance(&components)
            .sqrt()
    }

    /// Returns the range of the error of [`Cumulative::value`], in standard errors.
    pub(crate) fn error_range(&self, bin: usize, fraction: f64) -> ErrorRange {
        let components = self.components(bin, fraction);
        self.counts.mechanism().error_range(&components, self.level)
    }

    /// Returns the bits of the bins before a point, of its own bin and of those after it.
    fn components(&self, bin: usize, fraction: f64) -> [Component; 3] {
        let share = (bin as f64 + fraction) / self.bins() as f64;
        let part = |weight: f64, bins: Range<usize>| Component {
            weight,
            bits: self.counts.reports().saturating_mul(bins.len() as u64),
            ones: self.ones_before[bins.end] - self.ones_before[bins.start],
        };
        [
            part(fraction - share, bin..bin + 1),
            part(-share, bin + 1..self.bins()),
            part(1.0 - share, 0..bin),
        ]
    }
}
