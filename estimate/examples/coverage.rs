//! Prints the tables of docs/estimates.md: the measured coverage of 95 % intervals, and the time
//! that a window takes.
//!
//! `cargo run --release -p tallybox-estimate --example coverage`

#[path = "../tests/simulation/mod.rs"]
mod simulation;

use std::time::{Duration, Instant};

use simulation::{Coverage, EPSILONS, Kind, REPORTS, WINDOWS};
use tallybox_estimate::EstimateError;

const KINDS: [(Kind, &str); 6] = [
    (Kind::Histogram, "histogram"),
    (Kind::BitVector, "bit vector"),
    (Kind::Integer, "integer"),
    (Kind::GroupMeans, "group means"),
    (Kind::HistogramMean, "histogram mean"),
    (Kind::Quantiles, "quantile"),
];

fn main() -> Result<(), EstimateError> {
    println!("Coverage of 95 % intervals, {WINDOWS} windows in each cell:\n");
    table(|kind, epsilon, reports| {
        let found = Coverage::measure(kind, epsilon, reports, WINDOWS)?;
        Ok(format!("{:.1} %", 100.0 * found.share()))
    })?;
    println!("\nMicroseconds for each interval, with drawing its counts:\n");
    table(|kind, epsilon, reports| {
        let time = fastest(kind, epsilon, reports)?;
        Ok(format!("{:.1}", time.as_secs_f64() * 1e6))
    })
}

/// Prints a table with a column for each kind.
fn table(
    cell: impl Fn(Kind, f64, u64) -> Result<String, EstimateError>,
) -> Result<(), EstimateError> {
    println!(
        "| epsilon | n | {} |",
        KINDS.map(|(_, name)| name).join(" | ")
    );
    println!("|---|---|{}", "---|".repeat(KINDS.len()));
    for epsilon in EPSILONS {
        for reports in REPORTS {
            let cells: Result<Vec<String>, EstimateError> = KINDS
                .iter()
                .map(|(kind, _)| cell(*kind, epsilon, reports))
                .collect();
            println!("| {epsilon} | {reports} | {} |", cells?.join(" | "));
        }
    }
    Ok(())
}

/// Returns the time for each interval in the fastest of several runs.
fn fastest(kind: Kind, epsilon: f64, reports: u64) -> Result<Duration, EstimateError> {
    let mut fastest = Duration::MAX;
    for _ in 0..50 {
        let start = Instant::now();
        let found = Coverage::measure(kind, epsilon, reports, 20)?;
        fastest = fastest.min(start.elapsed() / found.intervals as u32);
    }
    Ok(fastest)
}
