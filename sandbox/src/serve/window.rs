//! The sum of one window, as text and as JSON.

use std::fmt;

use serde::Serialize;
use tallybox_client::traffic::Tally;
use tallybox_estimate::{Debiased, Mechanism};
use tallybox_model::id::AggregationId;
use tallybox_model::time::Window;
use tallybox_service::output::Summary;

use crate::portal::Total;

/// Width of the text in columns.
const COLUMNS: usize = 80;

/// The sum of one window of one metric.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct SummedWindow {
    event: &'static str,
    pub(crate) window: Window,
    pub(crate) metric: AggregationId,
    /// Number of packets in the sums.
    counted: u64,
    /// Number of rejected packets.
    rejected: usize,
    sums: Vec<u64>,
    pub(crate) estimates: Vec<Debiased>,
    /// Number of counted reports that other clients posted.
    foreign: u64,
    /// The answers of the counted reports of the sandbox.
    #[serde(skip)]
    pub(crate) truth: Tally,
    /// The sum with its two parts.
    #[serde(skip)]
    pub(crate) total: Total,
}

impl SummedWindow {
    /// Creates the summary of a summed window. `truth` are the answers of the counted reports of
    /// the sandbox, `foreign` is the number of those of other clients.
    pub(super) fn from_total(
        metric: &AggregationId,
        window: Window,
        total: Total,
        mechanism: Option<Mechanism>,
        (truth, foreign): (Tally, u64),
    ) -> Self {
        let estimate = |mechanism: Mechanism| {
            let sums = total.sums.iter();
            sums.map(|sum| mechanism.debias(*sum, total.accepted))
                .collect()
        };
        Self {
            event: "summed",
            window,
            metric: metric.clone(),
            counted: total.accepted,
            rejected: total.invalid.len(),
            estimates: mechanism.map(estimate).unwrap_or_default(),
            sums: total.sums.clone(),
            foreign,
            truth,
            total,
        }
    }

    /// Returns whether reports of other clients are in the sum.
    pub(super) fn has_foreign(&self) -> bool {
        self.foreign > 0
    }
}

impl Summary for SummedWindow {
    fn human(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let start = self.window.start();
        write!(f, "{start}  {}\n    {} counted", self.metric, self.counted)?;
        if self.rejected > 0 {
            write!(f, ", {} rejected", self.rejected)?;
        }
        bins(f, self.sums.iter().zip(&self.estimates))
    }
}

/// Writes the bins with a nonzero sum, each with its estimate, wrapped to the width.
fn bins<'b>(
    f: &mut fmt::Formatter<'_>,
    bins: impl Iterator<Item = (&'b u64, &'b Debiased)>,
) -> fmt::Result {
    let mut column = COLUMNS;
    for (bin, (sum, estimate)) in bins.enumerate().filter(|(_, (sum, _))| **sum > 0) {
        let text = format!("bin {bin}: {sum} ~{:.1}", estimate.value);
        if column + 3 + text.len() > COLUMNS {
            write!(f, "\n    {text}")?;
            column = 4 + text.len();
        } else {
            write!(f, "   {text}")?;
            column += 3 + text.len();
        }
    }
    Ok(())
}
