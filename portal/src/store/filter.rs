//! What readers ask of the store, and summaries of many windows.

use serde::Serialize;
use tallybox_model::id::{AggregationId, Instance};
use tallybox_model::time::{BatchTime, Window};

use super::rows::SumState;

/// A selection of windows. The default is every window.
#[derive(Clone, Debug, Default)]
pub struct WindowFilter {
    /// Only windows of this metric.
    pub aggregation: Option<AggregationId>,
    /// Only windows of these instances; empty for all.
    pub instances: Vec<Instance>,
    /// Only windows that start at or after this time.
    pub from: Option<BatchTime>,
    /// Only windows that start before this time.
    pub to: Option<BatchTime>,
    /// Only windows in these states; empty for all.
    pub states: Vec<SumState>,
    /// At most this number of windows: the latest.
    pub limit: Option<u32>,
}

/// The windows of one metric.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct MetricSummary {
    /// The metric.
    pub aggregation: AggregationId,
    /// Number of windows with a sum, including those below the minimum.
    pub windows: u64,
    /// Start of the first and end of the last window with a sum.
    pub range: Option<Window>,
    /// Number of reports in all sums that may be shown.
    pub reports: u64,
}

impl MetricSummary {
    /// Returns the start of the first window with a sum.
    #[must_use]
    pub fn first(&self) -> Option<BatchTime> {
        self.range.map(|range| range.start())
    }

    /// Returns the end of the last window with a sum.
    #[must_use]
    pub fn last(&self) -> Option<BatchTime> {
        self.range.map(|range| range.end())
    }
}
