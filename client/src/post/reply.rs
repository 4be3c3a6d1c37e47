//! The response to a post.

use reqwest::StatusCode;
use tallybox_model::report::{Problem, ProblemKind, ReportResult, ReportsAnswer};

use super::Cause;

/// The response to a post.
pub(super) enum Reply {
    Results(Vec<ReportResult>),
    Problem(Problem),
    Nothing(Cause),
}

impl Reply {
    pub(super) fn too_large() -> Self {
        Self::Problem(ProblemKind::TooLarge.problem(""))
    }

    pub(super) fn failed(error: &reqwest::Error) -> Self {
        Self::Nothing(if error.is_timeout() {
            Cause::Timeout
        } else {
            Cause::Unreachable
        })
    }

    /// Reads a response to `reports` reports. Only a response in an ingestor's format finishes a
    /// report; those of a proxy or a captive portal do not.
    pub(super) fn read(status: StatusCode, bytes: &[u8], reports: usize) -> Self {
        if status != StatusCode::OK {
            return match serde_json::from_slice::<Problem>(bytes) {
                Ok(problem) => Self::Problem(problem),
                Err(_) => Self::Nothing(Cause::Status(status.as_u16())),
            };
        }
        let results = if reports == 1 {
            serde_json::from_slice::<ReportResult>(bytes).map(|result| vec![result])
        } else {
            serde_json::from_slice::<ReportsAnswer>(bytes).map(|answer| answer.results)
        };
        match results {
            Ok(results) if results.len() == reports => Self::Results(results),
            _ => Self::Nothing(Cause::Answer),
        }
    }
}
