//! The outcome of a report.

use std::fmt;
use std::time::Duration;

use tallybox_model::report::Problem;

use super::Prepared;

/// The outcome of a report.
#[derive(Debug)]
#[non_exhaustive]
pub enum PostOutcome {
    /// The report is durable and will be counted. Discard it.
    Accepted,
    /// The report was accepted earlier, and the response was lost. Discard it.
    AlreadyAccepted,
    /// Sampling excludes this client this time.
    NotSampled,
    /// The report will never be counted; the problem states why. Discard it.
    Dropped(Problem),
    /// The report may not be durable. Keep it, and send it again later with the same id.
    TryLater {
        /// The minimum delay.
        after: Duration,
        /// The report.
        report: Box<Prepared>,
        /// The cause.
        cause: Cause,
    },
}

/// Reasons why a report has to be sent again later.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// The connection could not be made, or broke.
    Unreachable,
    /// No response within the timeout.
    Timeout,
    /// A response that is not from an ingestor, such as a proxy's.
    Status(u16),
    /// A response without a result for this report.
    Answer,
    /// The ingestor reports a temporary problem.
    Problem(Problem),
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable => f.write_str("the ingestor is out of reach"),
            Self::Timeout => f.write_str("the ingestor did not answer in time"),
            Self::Status(status) => write!(f, "status {status} without a problem document"),
            Self::Answer => f.write_str("the response contains no result for the report"),
            Self::Problem(problem) => write!(f, "{}: {}", problem.title, problem.next),
        }
    }
}

impl PostOutcome {
    /// Returns whether the report is durable.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        matches!(self, Self::Accepted | Self::AlreadyAccepted)
    }
}
