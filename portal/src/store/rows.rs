//! The rows of the store, as readers see them.

use serde::{Deserialize, Serialize};
use tallybox_model::id::{AggregationId, Instance};
use tallybox_model::role::Role;
use tallybox_model::time::Window;

/// What is known about a window of one aggregation and instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SumState {
    /// Both sum parts are there, verified and added.
    Summed,
    /// Only one processor has published its sum part so far.
    OneSide,
    /// Both sum parts are there and cannot be added; a finding says why.
    Refused,
    /// The sum counts fewer packets than the minimum. Its numbers are never shown.
    BelowMinimum,
    /// A signed correction has replaced the sum.
    Superseded,
}

/// A window of one aggregation and instance. Sums are empty unless the state is
/// [`SumState::Summed`] or [`SumState::Superseded`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct WindowRow {
    /// The pair of locality and ingestor.
    pub instance: Instance,
    /// The metric, with its version: `CodeVerified-v1`.
    pub aggregation: AggregationId,
    /// The window.
    pub window: Window,
    /// 0 for the first sum of the window, 1 for its first correction, and so on.
    pub version: u32,
    /// What is known.
    pub state: SumState,
    /// Number of reports in the sums.
    pub reports: u64,
    /// Number of reports that the processors rejected.
    pub rejected: u64,
    /// Number of batches in the sums.
    pub batches: u64,
    /// Parameter of the clients' randomised response.
    pub epsilon: f64,
    /// The sum of each bin, with the clients' noise.
    pub sums: Vec<u64>,
    /// The key of the evidence object; in state [`SumState::OneSide`], the name of the only sum
    /// part; in state [`SumState::Refused`], empty.
    pub evidence: String,
    /// When the portal added the window, in milliseconds since the epoch.
    pub added: i64,
}

impl WindowRow {
    /// Returns the processor whose sum part is missing, in state [`SumState::OneSide`].
    #[must_use]
    pub fn missing(&self) -> Option<Role> {
        let (stem, writer) = self.evidence.rsplit_once(".sum_")?;
        let writer = Role::ALL
            .into_iter()
            .find(|role| role.index().to_string() == writer && !stem.is_empty())?;
        (self.state == SumState::OneSide).then_some(writer.peer())
    }
}

/// Something that an operator or an epidemiologist should know, with both sides' figures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct FindingRow {
    /// The pair of locality and ingestor.
    pub instance: Instance,
    /// The metric.
    pub aggregation: AggregationId,
    /// The window.
    pub window: Window,
    /// The machine-readable kind, as `Finding::kind` returns it.
    pub kind: String,
    /// What was found, with the figures of both sides.
    pub message: String,
    /// The likely cause and the next step.
    pub next_step: String,
    /// When the portal first saw it, in milliseconds since the epoch.
    pub first_seen: i64,
    /// When the parts could be added after all.
    pub resolved: Option<i64>,
}
