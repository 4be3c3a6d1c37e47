//! The result of `portal sum` as tidy CSV: one line per bin, with everything that a row needs to be
//! understood alone.

use std::fmt;

use serde::Serialize;
use tallybox_service::output::Summary;

use super::sum::SumReport;
use crate::error::Error;

/// The text of a CSV file.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct CsvReport(String);

/// The columns of one line.
#[derive(Serialize)]
struct Line<'a> {
    metric: &'a str,
    instance: String,
    window_start: String,
    window_end: String,
    bin: usize,
    label: &'a str,
    count: u64,
    rejected: usize,
    batches: usize,
    epsilon: f64,
    sum: u64,
    estimate: f64,
    standard_error: f64,
    lower_95: f64,
    upper_95: f64,
}

impl SumReport {
    /// Converts the report to CSV, with a line of column names.
    pub(crate) fn into_csv(self) -> Result<CsvReport, Error> {
        let sum = &self.sum;
        let mut writer = csv::Writer::from_writer(Vec::new());
        for row in &self.bins {
            writer.serialize(Line {
                metric: &sum.aggregation,
                instance: sum
                    .instance
                    .as_ref()
                    .map(ToString::to_string)
                    .unwrap_or_default(),
                window_start: sum.window.start().to_string(),
                window_end: sum.window.end().to_string(),
                bin: row.bin,
                label: &row.label,
                count: sum.count,
                rejected: sum.rejected,
                batches: sum.batches.len(),
                epsilon: sum.epsilon,
                sum: row.sum,
                estimate: row.estimate.value,
                standard_error: row.estimate.standard_error,
                lower_95: row.estimate.interval.lower,
                upper_95: row.estimate.interval.upper,
            })?;
        }
        let bytes = writer
            .into_inner()
            .map_err(|error| csv::Error::from(error.into_error()))?;
        let text = String::from_utf8_lossy(&bytes).trim_end().to_owned();
        Ok(CsvReport(text))
    }
}

impl Summary for CsvReport {
    fn human(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
