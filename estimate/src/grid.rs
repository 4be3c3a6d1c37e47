//! A distribution on an even grid, for sums in which single flips are visible.

use std::ops::Range;

use crate::component::{Component, largest_weight};
use crate::flips::NetFlips;
use crate::level::{Level, normal_cdf};
use crate::mechanism::Mechanism;

/// Maximum number of cells.
const CELLS: f64 = 512.0;
/// Components with a larger count variance are treated as normal.
const MAX_VARIANCE: f64 = 200.0;

/// The probabilities of the net changes that flips cause in a weighted sum of observed counts.
///
/// Weights that are multiples of the step keep their exact positions; all weights that are powers
/// of two do. Other positions are divided between two cells so that the mean is kept. Weights that
/// are smaller than the step, and components with many flips, together add a normal distribution.
pub(crate) struct Grid {
    /// Width of a cell, in the unit of the weights.
    step: f64,
    /// Index of the cell that has the position 0.
    centre: usize,
    /// The mean of the distribution is at this position.
    mean: f64,
    /// Width by which a range has to be enlarged, because the true mean differs from the estimated
    /// one, or because a cell contains a continuous part.
    margin: f64,
    /// The range of cells that can have a probability above 0.
    used: Range<usize>,
    cells: Vec<f64>,
}

impl Grid {
    /// Computes the distribution. `deviation` is its standard deviation in units of the largest
    /// weight.
    pub(crate) fn of_noise(mechanism: Mechanism, components: &[Component], deviation: f64) -> Self {
        let largest = largest_weight(components);
        let reach = 7.0 * deviation + 5.0;
        // The largest weight is a power of two of steps.
        let fineness = (CELLS / (2.0 * reach)).log2().floor().max(0.0).exp2();
        let step = largest / fineness;
        let centre = (reach * fineness).ceil() as usize;
        let mut cells = vec![0.0; 2 * centre + 1];
        cells[centre] = 1.0;
        let flip = mechanism.flip_probability();
        let mut grid = Self {
            step,
            centre,
            mean: 0.0,
            margin: (4.0 * flip * reach * largest).min(step / 2.0),
            used: centre..centre + 1,
            cells,
        };
        let mut rest = 0.0;
        for part in components {
            let variance = mechanism.count_variance(part.bits);
            if part.weight.abs() < step || variance > MAX_VARIANCE {
                rest += part.weight.powi(2) * variance;
            } else {
                grid.add_flips(mechanism, part);
            }
        }
        grid.add_normal(rest.sqrt());
        grid
    }

    fn add_flips(&mut self, mechanism: Mechanism, part: &Component) {
        let ones = part.ones.min(part.bits);
        let flips = NetFlips::new(mechanism, part.bits - ones, ones);
        let mean: f64 = flips.iter().map(|(change, p)| change as f64 * p).sum();
        // Whole steps keep the flips on the grid.
        let offset = mean.round();
        self.mean += part.weight * (mean - offset);
        let moved = flips.iter();
        let moved = moved.map(|(change, p)| (part.weight * (change as f64 - offset), p));
        self.convolve(moved);
    }

    fn add_normal(&mut self, deviation: f64) {
        if deviation < self.step / 20.0 {
            return;
        }
        self.margin = self.step / 2.0;
        let cells = (6.0 * deviation / self.step).ceil() as i64;
        let below = |cell: f64| normal_cdf(cell * self.step / deviation);
        let terms: Vec<(f64, f64)> = (-cells..=cells)
            .map(|cell| cell as f64)
            .map(|cell| (cell * self.step, below(cell + 0.5) - below(cell - 0.5)))
            .collect();
        self.convolve(terms.into_iter());
    }

    /// Adds an independent variable with these values and probabilities. The negligible part that
    /// would fall outside of the grid is dropped.
    fn convolve(&mut self, terms: impl Iterator<Item = (f64, f64)>) {
        let mut sum = vec![0.0; self.cells.len()];
        let mut reached = self.cells.len()..0;
        for (value, p) in terms {
            let steps = value / self.step;
            let whole = (steps + 1e-9).floor();
            let fraction = (steps - whole).max(0.0);
            for (shift, p) in [
                (whole as isize, p * (1.0 - fraction)),
                (whole as isize + 1, p * fraction),
            ] {
                let (from, to) = self.moved(shift);
                if p < 1e-12 || to.is_empty() {
                    continue;
                }
                for (target, mass) in sum[to.clone()].iter_mut().zip(&self.cells[from]) {
                    *target += p * mass;
                }
                reached = reached.start.min(to.start)..reached.end.max(to.end);
            }
        }
        self.cells = sum;
        self.used = reached;
    }

    /// Returns the used cells that stay on the grid if they are moved, and where they are then.
    fn moved(&self, shift: isize) -> (Range<usize>, Range<usize>) {
        let length = self.cells.len();
        let at = |cell: usize| cell.saturating_add_signed(shift).min(length);
        let to = at(self.used.start)..at(self.used.end);
        let back = |cell: usize| cell.saturating_add_signed(-shift);
        (back(to.start)..back(to.end), to)
    }

    /// Returns the shortest range, relative to the mean, whose probability suits the level.
    pub(crate) fn range(&self, level: Level) -> (f64, f64) {
        let (least, narrow) = self.shortest(level.floor());
        let (most, wide) = self.shortest(level.probability());
        let (first, last) = if level.is_better(least, most) {
            wide
        } else {
            narrow
        };
        let position = |cell: usize| (cell as f64 - self.centre as f64) * self.step - self.mean;
        (position(first) - self.margin, position(last) + self.margin)
    }

    /// Returns the fewest consecutive cells that have at least this probability and, of several
    /// such ranges, the likeliest.
    fn shortest(&self, probability: f64) -> (f64, (usize, usize)) {
        let mut best = (0.0, (self.used.start, self.used.end - 1));
        let mut covered = 0.0;
        let mut first = self.used.start;
        for last in self.used.clone() {
            covered += self.cells[last];
            while covered - self.cells[first] >= probability {
                covered -= self.cells[first];
                first += 1;
            }
            let (found, (start, end)) = best;
            let shorter = last - first < end - start;
            let likelier = last - first == end - start && covered > found;
            if covered >= probability && (shorter || likelier) {
                best = (covered, (first, last));
            }
        }
        best
    }
}
