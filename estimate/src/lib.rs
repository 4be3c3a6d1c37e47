//! Estimates from noisy sums: from the sums of a window to numbers with an honest uncertainty.
//!
//! Phones flip each bit of a report with a small probability (randomised response). A portal adds
//! both sum parts of a window and gets for each bin the number of set bits among n reports, with
//! that noise. This crate removes the expected noise and states what remains:
//!
//! ```
//! use tallybox_estimate::{Counts, Level, Mechanism};
//!
//! # fn main() -> Result<(), tallybox_estimate::EstimateError> {
//! let counts = Counts::new(Mechanism::new(8.0)?, 13_394, vec![240, 13_160])?;
//! let bins = counts.bins(Level::default());
//! assert!((bins[0].value - 235.7).abs() < 0.1 && bins[0].standard_error < 2.2);
//! assert_eq!((bins[0].interval.lower, bins[0].interval.upper), (232.0, 239.0));
//! # Ok(())
//! # }
//! ```
//!
//! # The estimand
//!
//! Every estimate describes the reports received: how many of them truly have a bit set, the sum of
//! their true numbers, and so on. The only randomness is the clients' noise, and its distribution
//! is known exactly. There is no sampling error, and nothing is assumed about the answers.
//! [`Counts::population_shares`] alone treats the reports as a sample of a population.
//!
//! # Contents
//!
//! | item | quantity |
//! |---|---|
//! | [`Mechanism`], [`Counts`], [`Level`] | the input: epsilon, sums of a window, confidence level |
//! | [`Counts::bins`] | true count of each bin: histograms, bit vectors |
//! | [`Counts::weighted_sum`] | any weighted sum of bins |
//! | [`Counts::integer`] | sum and mean of integers by bits |
//! | [`Counts::histogram_mean`], [`Counts::histogram_quantile`] | mean and quantiles of a histogram |
//! | [`Counts::group_means`] | members, sum and mean of each group |
//! | [`Counts::total`], [`Period`] | totals, and moving averages over days |
//! | [`Estimate::per_100_000`] | rates |
//! | [`Counts::population_shares`] | shares of a population, with sampling error |
//! | [`Flags`] | reservations about a row |
//!
//! Every function is pure. `docs/estimates.md` has the formulas with their sources, and the
//! measured coverage of the intervals.

mod average;
mod bin;
mod component;
mod counts;
mod cumulative;
mod error;
mod estimate;
mod exact;
mod flags;
mod flips;
mod grid;
mod groups;
mod histogram;
mod integer;
mod level;
mod linear;
mod mechanism;
mod population;
mod quantile;
mod ratio;
mod tails;
mod total;

pub use average::{Day, Period};
pub use counts::Counts;
pub use error::EstimateError;
pub use estimate::{Estimate, Interval};
pub use flags::{Flag, Flags};
pub use groups::GroupEstimate;
pub use integer::IntegerEstimate;
pub use level::Level;
pub use mechanism::{Debiased, Mechanism};
pub use quantile::QuantileEstimate;
pub use ratio::RatioInterval;
