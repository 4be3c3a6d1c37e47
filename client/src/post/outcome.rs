//! What became of a report.

use std::fmt;
use std::time::Duration;

use tallybox_model::report::Problem;

use super::Prepared;

/// What became of a report.
#[derive(Debug)]
#[non_exhaustive]
pub enum Outcome {
    /// It is durable, and will be counted. Forget it.
    Accepted,
    /// It was accepted before: an answer was lost. Forget it.
    AlreadyAccepted,
    /// By sampling, this client does not report this time.
    NotSampled,
    /// It will not be counted, and the same report never will: the problem says why. Forget it.
    Dropped(Problem),
    /// It is not known to be durable. Keep it, and send it again after a while, with the same id.
    TryLater {
        /// Not before.
        after: Duration,
        /// The report.
        report: Box<Prepared>,
        /// Why.
        cause: Cause,
    },
}

/// Why a report has to be sent again later.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// No connection, or it broke.
    Unreachable,
    /// No answer in time.
    Timeout,
    /// An answer that is no ingestor's: a proxy's, perhaps.
    Status(u16),
    /// An answer that says nothing about this report.
    Answer,
    /// The ingestor says so.
    Problem(Problem),
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable => f.write_str("the ingestor cannot be reached"),
            Self::Timeout => f.write_str("the ingestor did not answer in time"),
            Self::Status(status) => write!(f, "status {status} without a problem document"),
            Self::Answer => f.write_str("the answer says nothing about the report"),
            Self::Problem(problem) => write!(f, "{}: {}", problem.title, problem.next),
        }
    }
}

impl Outcome {
    /// Whether it is durable.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        matches!(self, Self::Accepted | Self::AlreadyAccepted)
    }
}
