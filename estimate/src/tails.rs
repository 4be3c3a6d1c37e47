//! The distribution of the noise in a weighted sum of counts, and its quantiles.

use crate::bin::NORMAL_FROM;
use crate::component::{Component, largest_weight};
use crate::grid::Grid;
use crate::level::Level;
use crate::mechanism::Mechanism;

/// The range that contains the error of a weighted sum with the level's probability, in standard
/// errors: (-1.96, 1.96) for a normal distribution.
pub(crate) type ErrorRange = (f64, f64);

impl Mechanism {
    /// Returns the variance of a weighted sum of debiased counts:
    /// sum of weight^2 bits p (1 - p) / (1 - 2p)^2, because all bits are flipped independently.
    pub(crate) fn weighted_variance(&self, components: &[Component]) -> f64 {
        let parts = components.iter();
        parts
            .map(|part| part.weight.powi(2) * self.debiased_variance(part.bits))
            .sum()
    }

    /// Returns the range of the error of a weighted sum of debiased counts.
    ///
    /// If the variance is large in comparison with the square of the largest weight, many flips add
    /// to the error and it is normal. Otherwise the distribution of the flips is convolved on a
    /// grid, and the range is the shortest one with the level's probability.
    pub(crate) fn error_range(&self, components: &[Component], level: Level) -> ErrorRange {
        let largest = largest_weight(components);
        let deviation = self.weighted_variance(components).sqrt();
        let z = level.normal_quantile();
        let flips = (deviation * self.contrast() / largest).powi(2);
        // In this form, the condition also covers a sum without noise.
        if !(flips > 0.0 && flips < NORMAL_FROM) {
            return (-z, z);
        }
        let (lowest, highest) = Grid::of_noise(*self, components, flips.sqrt()).range(level);
        let unit = deviation * self.contrast();
        (lowest / unit, highest / unit)
    }
}
