//! The result of `portal sum`: one row for each bin, and what proves it.

use std::fmt;

use serde::Serialize;
use tallybox_estimate::{Counts, Estimate, Level, Mechanism};
use tallybox_model::registry::Registry;
use tallybox_service::chart::{Align, Screen, Table, Tone, bar};
use tallybox_service::output::Summary;
use tallybox_service::progress::grouped;

use crate::error::Error;
use crate::pair::WindowSum;

/// Most bins in a table. Of a larger metric, it shows those with the largest estimates.
const MAX_ROWS: usize = 60;

/// The sum of a window, with estimates.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct SumReport {
    outcome: &'static str,
    #[serde(flatten)]
    pub(super) sum: WindowSum,
    /// The meaning of the metric, from the registry.
    #[serde(skip_serializing_if = "String::is_empty")]
    meaning: String,
    pub(super) bins: Vec<Row>,
}

/// One bin.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Row {
    pub(super) bin: usize,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) label: String,
    pub(super) sum: u64,
    #[serde(flatten)]
    pub(super) estimate: Estimate,
}

impl SumReport {
    /// Estimates the bins of a sum, with the labels of the registry.
    pub(crate) fn new(sum: WindowSum, registry: Option<&Registry>) -> Result<Self, Error> {
        let entry = registry.and_then(|registry| registry.entry(&sum.aggregation));
        let (meaning, labels) = entry
            .map(|(_, entry)| (entry.meaning.clone(), entry.encoding.labels.clone()))
            .unwrap_or_default();
        let mechanism = Mechanism::new(sum.epsilon)?;
        let counts = Counts::new(mechanism, sum.count, sum.sums.clone())?;
        let estimates = counts.bins(Level::default());
        let rows = estimates
            .into_iter()
            .enumerate()
            .map(|(bin, estimate)| Row {
                bin,
                label: labels.get(bin).cloned().unwrap_or_default(),
                sum: sum.sums[bin],
                estimate,
            });
        Ok(Self {
            outcome: "done",
            bins: rows.collect(),
            meaning,
            sum,
        })
    }

    /// Returns the rows of the table, in order.
    fn shown(&self) -> Vec<&Row> {
        let mut rows: Vec<&Row> = self.bins.iter().collect();
        if rows.len() > MAX_ROWS {
            rows.sort_by(|left, right| right.estimate.value.total_cmp(&left.estimate.value));
            rows.truncate(MAX_ROWS);
            rows.sort_unstable_by_key(|row| row.bin);
        }
        rows
    }

    fn table(&self, screen: Screen) -> Table {
        let shown = self.shown();
        let values = shown.iter().map(|row| row.estimate.value);
        let largest = values.fold(0.0, f64::max);
        let has_labels = shown.iter().any(|row| !row.label.is_empty());
        let mut columns = vec![("bin", Align::Right)];
        if has_labels {
            columns.push(("meaning", Align::Left));
        }
        columns.extend([
            ("sum", Align::Right),
            ("estimate", Align::Right),
            ("95 % interval", Align::Left),
            ("", Align::Left),
        ]);
        let rows = |room: usize| {
            let mut table = Table::new(screen, &columns);
            for row in &shown {
                let mut cells = vec![row.bin.to_string()];
                if has_labels {
                    cells.push(row.label.clone());
                }
                let Estimate {
                    value, interval, ..
                } = row.estimate;
                cells.extend([
                    grouped(row.sum),
                    number(value),
                    format!("{} to {}", number(interval.lower), number(interval.upper)),
                    screen.paint(Tone::Bar, &bar(value, largest, room)),
                ]);
                table.row(cells);
            }
            table
        };
        // The first table has no bars; it shows how much width is left for them.
        rows(rows(0).room())
    }
}

/// Formats a number with one decimal and a comma at each thousand.
fn number(value: f64) -> String {
    let tenths = (value.abs() * 10.0).round();
    let sign = if value < 0.0 && tenths > 0.0 { "-" } else { "" };
    format!(
        "{sign}{}.{}",
        grouped((tenths / 10.0) as u64),
        tenths as u64 % 10
    )
}

impl Summary for SumReport {
    fn human(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let screen = Screen::stdout();
        let sum = &self.sum;
        let instance = sum.instance.as_ref().map(|name| format!(", {name}"));
        let title = screen.paint(Tone::Heading, &sum.aggregation);
        writeln!(f, "{title}{}", instance.unwrap_or_default())?;
        if !self.meaning.is_empty() {
            writeln!(f, "{}", self.meaning)?;
        }
        writeln!(
            f,
            "{} to {}: {} reports counted, {} rejected, {} batches, epsilon {}",
            sum.window.start(),
            sum.window.end(),
            grouped(sum.count),
            grouped(sum.rejected as u64),
            sum.batches.len(),
            sum.epsilon,
        )?;
        for evidence in &sum.evidence {
            let by = &evidence.signed_by;
            let line = format!(
                "{} part signed with {} ({})",
                evidence.writer, by.key, by.fingerprint
            );
            writeln!(f, "{}", screen.paint(Tone::Faint, &line))?;
        }
        write!(f, "\n{}", self.table(screen))?;
        match self.bins.len().saturating_sub(MAX_ROWS) {
            0 => Ok(()),
            rest => write!(
                f,
                "\nand {rest} smaller bins; --format csv and --json contain all"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_one_decimal() {
        let shown = [1234.56, -0.04, -0.96, 0.0, 1_000_000.0].map(number);
        assert_eq!(shown, ["1,234.6", "0.0", "-1.0", "0.0", "1,000,000.0"]);
    }
}
