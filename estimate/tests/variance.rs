//! The spread of simulated estimates around the truth is the one that the formulas state.

#![allow(clippy::unwrap_used)]

#[allow(dead_code)]
mod simulation;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use simulation::flipped;
use tallybox_estimate::{Counts, Level, Mechanism};

const WINDOWS: u32 = 2_000;

/// The number of members of a group, and the ones of the four digits of its members' numbers.
const SHARES: [f64; 5] = [0.6, 0.3, 0.5, 0.1, 0.4];

/// An estimated quantity with its true value.
struct Quantity {
    name: &'static str,
    truth: f64,
    estimate: fn(&Counts) -> (f64, f64),
}

/// Returns the quantities of a window with these true counts.
fn quantities(truth: &[u64]) -> [Quantity; 4] {
    let ones: Vec<f64> = truth.iter().map(|ones| *ones as f64).collect();
    let sum = ones.iter().rev().fold(0.0, |sum, ones| 2.0 * sum + ones);
    let members_sum = ones[1..]
        .iter()
        .rev()
        .fold(0.0, |sum, ones| 2.0 * sum + ones);
    [
        Quantity {
            name: "bin",
            truth: ones[3],
            estimate: |counts| {
                let found = counts.bins(Level::default())[3];
                (found.value, found.standard_error)
            },
        },
        Quantity {
            name: "weighted sum",
            truth: ones[0] - 3.0 * ones[4],
            estimate: |counts| {
                let weights = [1.0, 0.0, 0.0, 0.0, -3.0];
                let found = counts.weighted_sum(&weights, Level::default()).unwrap();
                (found.value, found.standard_error)
            },
        },
        Quantity {
            name: "integer",
            truth: sum,
            estimate: |counts| {
                let found = counts.integer(Level::default()).unwrap().sum;
                (found.value, found.standard_error)
            },
        },
        Quantity {
            name: "mean of a group",
            truth: members_sum / ones[0],
            estimate: |counts| {
                let found = counts.group_means(4, Level::default()).unwrap()[0];
                (found.mean.unwrap(), found.standard_error.unwrap())
            },
        },
    ]
}

/// The sum of the squared errors, each in standard errors, has about the chi-square distribution
/// with one degree of freedom for each window. The variance of a squared error is 2 for a normal
/// distribution, and 2 + 1 / (n p) for rare flips.
#[test]
fn variances_match_the_formulas() {
    let mut rng = ChaCha8Rng::seed_from_u64(17);
    for (epsilon, reports) in [(1.0, 10_000), (4.0, 10_000), (8.0, 10_000), (8.0, 200_000)] {
        let mechanism = Mechanism::new(epsilon).unwrap();
        let truth = SHARES.map(|share| (share * reports as f64) as u64);
        let quantities = quantities(&truth);
        let mut squares = [0.0; 4];
        for _ in 0..WINDOWS {
            let sums = truth.map(|ones| flipped(mechanism, reports, ones, &mut rng));
            let counts = Counts::new(mechanism, reports, sums.to_vec()).unwrap();
            for (quantity, sum) in quantities.iter().zip(&mut squares) {
                let (value, standard_error) = (quantity.estimate)(&counts);
                *sum += ((value - quantity.truth) / standard_error).powi(2);
            }
        }
        let windows = f64::from(WINDOWS);
        let spread = windows * (2.0 + 1.0 / mechanism.count_variance(reports));
        for (quantity, sum) in quantities.iter().zip(squares) {
            assert!(
                (sum - windows).abs() < 4.0 * spread.sqrt(),
                "{}, epsilon {epsilon}, n {reports}: {sum}",
                quantity.name
            );
        }
    }
}
