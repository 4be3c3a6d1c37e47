//! The quantity that a metric's pages show: counts of bins, shares of reports, or the mean.

use std::collections::HashMap;

use tallybox_estimate::{Counts, Estimate, Interval, Level};
use tallybox_model::registry::{EncodingKind, MetricEncoding};

use super::text::decimal;

/// What a number means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quantity {
    /// How many reports have the bin set.
    Count,
    /// Which share of the reports has the bin set, in percent.
    Share,
    /// The mean number of a report.
    Mean,
}

impl Quantity {
    /// Returns the quantity that a metric shows by default.
    pub(crate) fn of(kind: EncodingKind) -> Self {
        match kind {
            EncodingKind::Histogram => Self::Count,
            EncodingKind::BitVector | EncodingKind::GroupedInteger => Self::Share,
            EncodingKind::BoundedInteger => Self::Mean,
        }
    }

    /// Returns the quantity for comparisons of groups of different size.
    pub(crate) fn comparable(self) -> Self {
        if self == Self::Count {
            Self::Share
        } else {
            self
        }
    }

    /// Returns the name in downloads and addresses.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Share => "share",
            Self::Mean => "mean",
        }
    }

    /// Returns the name of the quantity for titles.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Count => "Number of reports",
            Self::Share => "Share of reports",
            Self::Mean => "Mean per report",
        }
    }

    /// Returns what follows a number.
    pub(crate) fn unit(self) -> &'static str {
        if self == Self::Share { " %" } else { "" }
    }

    /// Estimates the quantity of a bin; the mean has no bin. `None` without reports, or for a bin
    /// that these counts do not have.
    pub(crate) fn estimate(self, counts: &Counts, bin: usize) -> Option<Estimate> {
        let level = Level::default();
        if self == Self::Mean {
            return counts.integer(level).ok()?.mean;
        }
        let sum = *counts.sums().get(bin)?;
        let count = counts.mechanism().estimate(sum, counts.reports(), level);
        self.convert(&count, counts.reports())
    }

    /// Estimates every bin; one number for the mean.
    pub(crate) fn estimates(self, counts: &Counts) -> Vec<Option<Estimate>> {
        if self == Self::Mean {
            return vec![self.estimate(counts, 0)];
        }
        let bins = bin_estimates(counts).into_iter();
        bins.map(|count| self.convert(&count, counts.reports()))
            .collect()
    }

    fn convert(self, count: &Estimate, reports: u64) -> Option<Estimate> {
        match self {
            Self::Share => percent(count, reports),
            Self::Count | Self::Mean => Some(*count),
        }
    }

    /// Returns the interval within the possible range, for display.
    pub(crate) fn interval(self, estimate: &Estimate, reports: u64) -> Interval {
        match self {
            Self::Count => estimate.interval.clamp(0.0, reports as f64),
            Self::Share => estimate.interval.clamp(0.0, 100.0),
            Self::Mean => estimate.interval.clamp(0.0, f64::MAX),
        }
    }

    /// Formats an estimate for display, with as many decimals as its standard error supports.
    pub(crate) fn number(self, estimate: &Estimate) -> String {
        let decimals = self.decimals(estimate.standard_error);
        format!("{}{}", decimal(displayed(estimate), decimals), self.unit())
    }

    /// Formats an interval.
    pub(crate) fn range(self, estimate: &Estimate, reports: u64) -> String {
        let decimals = self.decimals(estimate.standard_error);
        let Interval { lower, upper } = self.interval(estimate, reports);
        let text = |value| decimal(value, decimals);
        format!("{} to {}{}", text(lower), text(upper), self.unit())
    }

    fn decimals(self, standard_error: f64) -> usize {
        if self == Self::Count {
            return 0;
        }
        match standard_error {
            error if error >= 1.0 => 1,
            error if error >= 0.05 => 2,
            _ => 3,
        }
    }
}

/// Returns the value that pages show. An unbiased estimate can be outside of its exact interval, and
/// below 0; it is then moved to the nearest end. Downloads and the page of a window have the unbiased
/// value, because totals and averages need it.
pub(crate) fn displayed(estimate: &Estimate) -> f64 {
    let Interval { lower, upper } = estimate.interval;
    estimate.value.max(lower).min(upper).max(0.0)
}

/// Estimates every bin. Equal sums of one window have equal estimates, and large metrics have many
/// equal sums, so each is computed once.
pub(crate) fn bin_estimates(counts: &Counts) -> Vec<Estimate> {
    let mut known: HashMap<u64, Estimate> = HashMap::new();
    let estimate = |sum: &u64| {
        let level = Level::default();
        *known
            .entry(*sum)
            .or_insert_with(|| counts.mechanism().estimate(*sum, counts.reports(), level))
    };
    counts.sums().iter().map(estimate).collect()
}

/// Converts a count to a share of the reports in percent. The number of reports is exact.
fn percent(count: &Estimate, reports: u64) -> Option<Estimate> {
    let per_100_000 = count.per_100_000(reports).ok()?;
    let percent = |value: f64| value / 1000.0;
    Some(Estimate {
        value: percent(per_100_000.value),
        standard_error: percent(per_100_000.standard_error),
        interval: Interval {
            lower: percent(per_100_000.interval.lower),
            upper: percent(per_100_000.interval.upper),
        },
    })
}

/// Returns the label of a bin, or its number.
pub(crate) fn bin_label(encoding: &MetricEncoding, bin: usize) -> String {
    if let Some(label) = encoding.labels.get(bin) {
        return label.clone();
    }
    // The field of a group: a membership bit, then the digits of the number.
    let field = 1 + encoding.bits.unwrap_or(0) as usize;
    match encoding.groups.get(bin / field) {
        Some(group) if bin.is_multiple_of(field) => format!("{group}: members"),
        Some(group) => format!("{group}: digit {}", bin % field - 1),
        None => format!("bin {bin}"),
    }
}
