//! Estimates from noisy sums: from the sums of a window to numbers with an honest uncertainty.
//!
//! Phones flip each bit of a report with a small probability (randomised response). A portal adds
//! both sum parts of a window and gets for each bin the number of set bits among n reports, with
//! that noise. This crate removes the expected noise and states what remains.

mod average;
mod bin;
mod counts;
mod cumulative;
mod error;
mod estimate;
mod exact;
mod flips;
mod grid;
mod groups;
mod histogram;
mod integer;
mod level;
mod linear;
mod mechanism;
mod quantile;
mod ratio;
mod tails;
mod total;

pub use average::{Day, Period};
pub use counts::Counts;
pub use error::EstimateError;
pub use estimate::{Estimate, Interval};
pub use groups::GroupEstimate;
pub use integer::IntegerEstimate;
pub use level::Level;
pub use mechanism::{Debiased, Mechanism};
pub use quantile::QuantileEstimate;
pub use ratio::RatioInterval;
