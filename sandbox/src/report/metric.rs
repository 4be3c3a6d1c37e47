//! Text report of one metric: a table with a row per bin, and a bar chart.

use std::fmt::{self, Write as _};

use tallybox_estimate::Debiased;
use tallybox_service::chart::{Align, Screen, Table, Tone, bar};
use tallybox_service::progress::grouped;

use super::wrapped;
use crate::outcome::MetricOutcome;

/// Most bins that are shown without `--all-bins`: those with the largest estimates.
const MAX_BINS_SHOWN: usize = 12;

/// Writes the block of one metric.
pub(super) fn metric_block(
    text: &mut String,
    screen: Screen,
    metric: &MetricOutcome,
    all: bool,
) -> fmt::Result {
    let (counted, sent) = (
        grouped(metric.packets_accepted),
        grouped(metric.packets_sent),
    );
    let title = screen.paint(Tone::Heading, metric.name);
    writeln!(
        text,
        "{title}: {counted} of {sent} packets counted, epsilon {}",
        metric.epsilon
    )?;
    for line in wrapped(metric.meaning, screen.width) {
        writeln!(text, "{}", screen.paint(Tone::Faint, &line))?;
    }
    writeln!(text)?;
    let (left, right) = (Align::Left, Align::Right);
    let columns = [
        ("bin", right),
        ("true", right),
        ("sum", right),
        ("estimate", right),
        ("", left),
    ];
    let shown = shown(metric, all);
    let largest = metric
        .estimates
        .iter()
        .map(|estimate| estimate.value)
        .fold(0.0, f64::max);
    let rows = |room: usize| {
        let mut table = Table::new(screen, &columns);
        for bin in &shown {
            let (truth, sum, estimate) = (
                metric.true_counts[*bin],
                metric.sums[*bin],
                &metric.estimates[*bin],
            );
            let chart = screen.paint(Tone::Bar, &bar(estimate.value, largest, room));
            table.row([
                bin.to_string(),
                grouped(truth),
                grouped(sum),
                show(estimate),
                chart,
            ]);
        }
        table
    };
    // The first table has no bars; it shows how much width is left for them.
    let room = rows(0).room();
    writeln!(text, "{}", rows(room))?;
    if shown.len() < metric.bins {
        let rest = format!(
            "and {} smaller bins; --all-bins shows them",
            metric.bins - shown.len()
        );
        writeln!(text, "{}", screen.paint(Tone::Faint, &rest))?;
    }
    if let Some(number) = &metric.number {
        writeln!(
            text,
            "sum of all numbers: {}, estimated {}",
            grouped(number.truth),
            show(&number.estimate)
        )?;
    }
    writeln!(text)
}

/// Returns the bins to show, in order.
fn shown(metric: &MetricOutcome, all: bool) -> Vec<usize> {
    let mut bins: Vec<usize> = (0..metric.bins).collect();
    if !all && metric.bins > MAX_BINS_SHOWN {
        bins.sort_by(|left, right| {
            metric.estimates[*right]
                .value
                .total_cmp(&metric.estimates[*left].value)
        });
        bins.truncate(MAX_BINS_SHOWN);
        bins.sort_unstable();
    }
    bins
}

/// Formats an estimate as `1,234.5 ± 0.9`, or without a fraction if the error is at least 100.
fn show(estimate: &Debiased) -> String {
    let Debiased {
        value,
        standard_error,
    } = *estimate;
    if standard_error >= 100.0 {
        return format!(
            "{} ± {}",
            signed(value.round(), ""),
            signed(standard_error.round(), "")
        );
    }
    let tenths = (value * 10.0).round() / 10.0;
    let fraction = format!("{:.1}", tenths.abs().fract());
    format!("{} ± {standard_error:.1}", signed(tenths, &fraction[1..]))
}

/// Formats the whole part of a number with commas, followed by its fraction.
fn signed(number: f64, fraction: &str) -> String {
    let sign = if number < 0.0 { "-" } else { "" };
    format!("{sign}{}{fraction}", grouped(number.abs().trunc() as u64))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn estimates_are_readable() {
        let estimate = |value, standard_error| {
            show(&Debiased {
                value,
                standard_error,
            })
        };
        assert_eq!(estimate(1234.56, 0.94), "1,234.6 ± 0.9");
        assert_eq!(estimate(-0.86, 0.9), "-0.9 ± 0.9");
        assert_eq!(estimate(7.96, 0.0), "8.0 ± 0.0");
        assert_eq!(estimate(-1_710_352.2, 17_793.3), "-1,710,352 ± 17,793");
        assert_eq!(estimate(-0.01, 0.9), "0.0 ± 0.9");
    }
}
