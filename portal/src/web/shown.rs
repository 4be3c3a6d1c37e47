//! Suppression: the one place where stored rows become rows that a reader may see.
//!
//! Pages, charts, downloads and totals are computed from [`Shown`] only. Numbers of a suppressed
//! window are dropped here, and the window takes part in no total. So no difference between a total
//! and its parts can reveal them.

use tallybox_estimate::{Counts, Mechanism};
use tallybox_model::id::{AggregationId, Instance};
use tallybox_model::time::Window;

use crate::store::{FindingRow, SumState, WindowRow};

/// A window as a reader may see it.
#[derive(Clone, Debug)]
pub(crate) struct Shown {
    pub(crate) instance: Instance,
    pub(crate) aggregation: AggregationId,
    pub(crate) window: Window,
    pub(crate) version: u32,
    pub(crate) state: SumState,
    /// The numbers, if the window has a sum that may be shown.
    pub(crate) numbers: Option<Numbers>,
    pub(crate) evidence: String,
    pub(crate) added: i64,
}

/// The numbers of a window.
#[derive(Clone, Debug)]
pub(crate) struct Numbers {
    pub(crate) rejected: u64,
    pub(crate) batches: u64,
    pub(crate) counts: Counts,
}

impl Shown {
    /// Drops the numbers of a row that has none or must not show them.
    ///
    /// `minimum` applies whatever the stored state says: a store that was filled with a lower
    /// minimum shows nothing below the present one.
    pub(crate) fn new(row: WindowRow, minimum: u64) -> Self {
        let has_sum = matches!(row.state, SumState::Summed | SumState::Superseded);
        let state = if has_sum && row.reports < minimum {
            SumState::BelowMinimum
        } else {
            row.state
        };
        let visible = has_sum && state != SumState::BelowMinimum;
        let numbers = visible.then(|| {
            let mechanism = Mechanism::new(row.epsilon).ok()?;
            Some(Numbers {
                rejected: row.rejected,
                batches: row.batches,
                counts: Counts::new(mechanism, row.reports, row.sums).ok()?,
            })
        });
        Self {
            instance: row.instance,
            aggregation: row.aggregation,
            window: row.window,
            version: row.version,
            state,
            numbers: numbers.flatten(),
            evidence: row.evidence,
            added: row.added,
        }
    }

    /// Converts the versions of one window. If the newest is suppressed, no version shows numbers:
    /// an older sum is nearly the suppressed one.
    pub(crate) fn versions(rows: Vec<WindowRow>, minimum: u64) -> Vec<Self> {
        let mut versions: Vec<Self> = rows
            .into_iter()
            .map(|row| Self::new(row, minimum))
            .collect();
        if versions
            .iter()
            .any(|version| version.state == SumState::BelowMinimum)
        {
            for version in &mut versions {
                version.numbers = None;
            }
        }
        versions
    }

    /// Returns the counts, if they may be shown.
    pub(crate) fn counts(&self) -> Option<&Counts> {
        self.numbers.as_ref().map(|numbers| &numbers.counts)
    }

    /// Returns the address of the page that explains the window's numbers.
    pub(crate) fn link(&self) -> String {
        window_link(&self.aggregation, &self.instance, &self.window)
    }
}

/// Returns the address of a window's page, whose last component is `{start}-{end}` as in the names
/// of sum parts. Names of metrics and instances need no escaping.
pub(crate) fn window_link(
    aggregation: &AggregationId,
    instance: &Instance,
    window: &Window,
) -> String {
    let (start, end) = (window.start().compact(), window.end().compact());
    format!("/metrics/{aggregation}/{instance}/{start}-{end}")
}

/// Returns a finding without figures if its window is suppressed: findings quote the counts of both
/// sides.
pub(crate) fn without_figures(mut finding: FindingRow, suppressed: bool) -> FindingRow {
    if suppressed {
        "the figures are withheld, because the window is suppressed"
            .clone_into(&mut finding.message);
    }
    finding
}

/// Describes a state in two or three words.
pub(crate) fn state_text(state: SumState) -> &'static str {
    match state {
        SumState::Summed => "summed",
        SumState::OneSide => "one side only",
        SumState::Refused => "refused",
        SumState::BelowMinimum => "suppressed",
        SumState::Superseded => "superseded",
    }
}

/// Returns the machine-readable name of a state, which is also its class in pages.
pub(crate) fn state_name(state: SumState) -> &'static str {
    match state {
        SumState::Summed => "summed",
        SumState::OneSide => "one-side",
        SumState::Refused => "refused",
        SumState::BelowMinimum => "below-minimum",
        SumState::Superseded => "superseded",
    }
}
