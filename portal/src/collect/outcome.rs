//! What processing a window yields.

use crate::pair::Finding;
use crate::store::{FindingRow, WindowRow};

/// The kinds of findings that a run of `collect` opens, and resolves when they no longer hold.
/// Other parts of the portal have their own.
const KINDS: [&str; 24] = [
    "bad-digest",
    "bad-signature",
    "batches-differ",
    "changed",
    "counts-differ",
    "damaged-evidence",
    "encode",
    "evidence-conflict",
    "evidence-digest",
    "evidence-missing",
    "incomplete",
    "late",
    "malformed",
    "not-there",
    "one-key",
    "other-source",
    "other-window",
    "out-of-range",
    "parameters-differ",
    "rejected-differ",
    "renamed",
    "too-large",
    "unknown-key",
    "wrong-side",
];

/// Returns whether a run of `collect` opens findings of this kind.
pub(super) fn is_ours(kind: &str) -> bool {
    KINDS.contains(&kind)
}

/// Something wrong with a window, that becomes a finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// The machine-readable kind.
    pub kind: &'static str,
    /// What was found, with the figures of both sides.
    pub message: String,
    /// The likely cause and the next step.
    pub next_step: String,
}

impl From<&Finding> for Trouble {
    fn from(finding: &Finding) -> Self {
        Self {
            kind: finding.kind(),
            message: finding.to_string(),
            next_step: finding.next_step(),
        }
    }
}

impl Trouble {
    /// Returns whether a finding says the same.
    pub(super) fn is(&self, row: &FindingRow) -> bool {
        self.kind == row.kind && self.message == row.message
    }
}

/// How a window was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// Its sum was added.
    Added,
    /// Its sum is below the minimum.
    BelowMinimum,
    /// A correction has replaced its sum.
    Corrected,
    /// Only one side has published.
    OneSide,
    /// Its sum parts cannot be added, or contradict the evidence.
    Refused,
    /// It is as it was.
    Unchanged,
}

/// What processing a window yields.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    pub(super) ending: Ending,
    pub(super) rows: Vec<WindowRow>,
    pub(super) troubles: Vec<Trouble>,
}
