//! Simulated windows with known truths: how often intervals contain the truth. Counts are drawn
//! directly from binomial distributions, which is the same as flipping every bit of every report.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Binomial, Distribution};
use tallybox_estimate::{Counts, EstimateError, Level, Mechanism};

pub(crate) const EPSILONS: [f64; 3] = [1.0, 4.0, 8.0];
pub(crate) const REPORTS: [u64; 3] = [500, 10_000, 200_000];
pub(crate) const WINDOWS: u64 = 2_000;

const VALUES: [f64; 6] = [0.5, 1.5, 3.0, 6.0, 12.0, 24.0];
const EDGES: [f64; 7] = [0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0];
const DIGITS: u32 = 8;

/// A kind of metric, with the estimate that is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Every bin of a histogram of 6 bins.
    Histogram,
    /// Every bin of a vector of 4 bins.
    BitVector,
    /// The sum of an integer of 8 bits; its mean is the same interval in another unit.
    Integer,
    /// The mean of each of 2 groups, with numbers of 8 bits.
    GroupMeans,
    /// The mean of a histogram of 6 bins.
    HistogramMean,
    /// The 60 % quantile of a histogram of 6 bins.
    Quantiles,
}

impl Kind {
    /// Returns, for each estimate of one window, whether its interval contains the truth.
    pub(crate) fn window(
        self,
        mechanism: Mechanism,
        reports: u64,
        rng: &mut ChaCha8Rng,
    ) -> Result<Vec<bool>, EstimateError> {
        let level = Level::default();
        let truth = self.truth(reports, rng);
        let sums = truth
            .iter()
            .map(|ones| flipped(mechanism, reports, *ones, rng))
            .collect();
        let counts = Counts::new(mechanism, reports, sums)?;
        let quantile = |probability: f64| {
            let found = counts.histogram_quantile(&EDGES, probability, level)?;
            let expected = true_quantile(&truth, probability * reports as f64);
            Ok(found.interval.contains(expected))
        };
        match self {
            Self::Histogram | Self::BitVector => Ok(counts
                .bins(level)
                .iter()
                .zip(&truth)
                .map(|(bin, ones)| bin.interval.contains(*ones as f64))
                .collect()),
            Self::Integer => {
                let interval = counts.integer(level)?.sum.interval;
                Ok(vec![interval.contains(digit_sum(&truth))])
            }
            Self::GroupMeans => Ok(counts
                .group_means(DIGITS, level)?
                .iter()
                .zip(truth.chunks(1 + DIGITS as usize))
                .filter(|(_, field)| field[0] > 0)
                .map(|(group, field)| {
                    let mean = digit_sum(&field[1..]) / field[0] as f64;
                    group.interval.contains(mean)
                })
                .collect()),
            Self::HistogramMean => {
                let interval = counts.histogram_mean(&VALUES, level)?.interval;
                let sum: f64 = VALUES
                    .iter()
                    .zip(&truth)
                    .map(|(value, ones)| value * *ones as f64)
                    .sum();
                Ok(vec![interval.contains(sum / reports as f64)])
            }
            Self::Quantiles => Ok(vec![quantile(0.6)?]),
        }
    }

    /// Draws the true counts of a window.
    fn truth(self, reports: u64, rng: &mut ChaCha8Rng) -> Vec<u64> {
        match self {
            Self::Histogram | Self::HistogramMean | Self::Quantiles => one_hot(6, reports, rng),
            Self::BitVector => shares(4, reports, rng),
            Self::Integer => shares(DIGITS as usize, reports, rng),
            Self::GroupMeans => {
                let groups = one_hot(3, reports, rng).into_iter().take(2);
                let fields = groups.flat_map(|members| {
                    let mut field = vec![members];
                    field.extend(shares(DIGITS as usize, members, rng));
                    field
                });
                fields.collect()
            }
        }
    }
}

/// The intervals of one cell of the table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Coverage {
    pub(crate) intervals: u64,
    pub(crate) covered: u64,
}

impl Coverage {
    /// Simulates windows of one kind, always the same ones.
    pub(crate) fn measure(
        kind: Kind,
        epsilon: f64,
        reports: u64,
        windows: u64,
    ) -> Result<Self, EstimateError> {
        let mechanism = Mechanism::new(epsilon)?;
        let mut rng = ChaCha8Rng::seed_from_u64(reports ^ epsilon.to_bits());
        let mut found = Self {
            intervals: 0,
            covered: 0,
        };
        for _ in 0..windows {
            for covered in kind.window(mechanism, reports, &mut rng)? {
                found.intervals += 1;
                found.covered += u64::from(covered);
            }
        }
        Ok(found)
    }

    pub(crate) fn share(&self) -> f64 {
        self.covered as f64 / self.intervals as f64
    }
}

/// Draws the number of successes.
pub(crate) fn draw(trials: u64, probability: f64, rng: &mut ChaCha8Rng) -> u64 {
    Binomial::new(trials, probability).map_or(0, |binomial| binomial.sample(rng))
}

/// Returns the observed count of a bin in which `ones` of the reports have the bit set.
pub(crate) fn flipped(mechanism: Mechanism, reports: u64, ones: u64, rng: &mut ChaCha8Rng) -> u64 {
    let flip = mechanism.flip_probability();
    ones - draw(ones, flip, rng) + draw(reports - ones, flip, rng)
}

/// Divides the reports among bins at random: each bin gets a random share of the rest.
fn one_hot(bins: u64, reports: u64, rng: &mut ChaCha8Rng) -> Vec<u64> {
    let mut rest = reports;
    let mut counts: Vec<u64> = (1..bins)
        .rev()
        .map(|others| {
            let share = rng.random_range(0.4..1.6) / (others + 1) as f64;
            let count = draw(rest, share.min(1.0), rng);
            rest -= count;
            count
        })
        .collect();
    counts.push(rest);
    counts
}

/// Draws independent bins, each with its own share of the reports.
fn shares(bins: usize, reports: u64, rng: &mut ChaCha8Rng) -> Vec<u64> {
    (0..bins)
        .map(|_| {
            let share = rng.random_range(0.0..1.0);
            draw(reports, share, rng)
        })
        .collect()
}

fn digit_sum(digits: &[u64]) -> f64 {
    digits
        .iter()
        .rev()
        .fold(0.0, |sum, ones| 2.0 * sum + *ones as f64)
}

/// Returns the first point at which the cumulative count of the true counts is the target.
fn true_quantile(truth: &[u64], target: f64) -> f64 {
    let mut below = 0.0;
    for (bin, ones) in truth.iter().enumerate() {
        let next = below + *ones as f64;
        if next >= target {
            return EDGES[bin] + (EDGES[bin + 1] - EDGES[bin]) * (target - below) / *ones as f64;
        }
        below = next;
    }
    EDGES[truth.len()]
}
