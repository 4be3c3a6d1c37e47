//! The labels of what is counted.

use prometheus_client::encoding::EncodeLabelSet;

/// A locality, and a metric that the registry knows; none for all others.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct ReportLabels {
    /// The locality.
    pub locality: String,
    /// The metric; empty for one that the registry does not know.
    pub metric: String,
}

/// Why reports of a metric were rejected.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct RejectedLabels {
    /// The locality.
    pub locality: String,
    /// The metric; empty for one that the registry does not know.
    pub metric: String,
    /// The problem's name.
    pub reason: &'static str,
}

/// A locality.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct LocalityLabels {
    /// Its name.
    pub locality: String,
}

/// What became of reports in a window of a locality.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct FateLabels {
    /// The locality.
    pub locality: String,
    /// As the member of the summary is called.
    pub fate: &'static str,
}

/// Why a request was answered as a whole with a problem.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct ProblemLabels {
    /// The problem's name.
    pub reason: &'static str,
}

/// Why the server closed a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// No request was open.
    Idle,
    /// The client did not send its request, or did not take its answer.
    Late,
    /// All places were taken, or all memory, and the client was the latest.
    Evicted,
    /// The client's network has as many connections as one may have, all of them busy.
    Crowded,
}

impl Closed {
    /// All of them.
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
