//! The labels of the metrics.

use prometheus_client::encoding::EncodeLabelSet;

/// A locality and a metric of the registry.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct ReportLabels {
    /// The locality.
    pub locality: String,
    /// The metric; empty if the registry does not contain it.
    pub metric: String,
}

/// The reason for which reports of a metric were rejected.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct RejectedLabels {
    /// The locality.
    pub locality: String,
    /// The metric; empty if the registry does not contain it.
    pub metric: String,
    /// The name of the problem.
    pub reason: &'static str,
}

/// A locality.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct LocalityLabels {
    /// Name of the locality.
    pub locality: String,
}

/// The outcome for reports in a window of a locality.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct BatchReportLabels {
    /// The locality.
    pub locality: String,
    /// The name of the corresponding member of the summary.
    pub fate: &'static str,
}

/// The problem with which a whole request was answered.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct ProblemLabels {
    /// The name of the problem.
    pub reason: &'static str,
}

/// The reason for which the server closed a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// No request was in progress for the idle time.
    Idle,
    /// The client did not send its request, or did not read its answer, in time.
    Late,
    /// The connection limit or the memory budget was reached, and the client was the slowest.
    Evicted,
    /// The client's network has reached its connection limit, and the server owes answers on all of
    /// its connections.
    Crowded,
}

impl Closed {
    /// All reasons.
    pub const ALL: [Self; 4] = [Self::Idle, Self::Late, Self::Evicted, Self::Crowded];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Late => "late",
            Self::Evicted => "evicted",
            Self::Crowded => "crowded",
        }
    }
}
