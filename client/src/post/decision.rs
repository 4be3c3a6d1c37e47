//! The reaction to a problem that an ingestor reports.

use tallybox_model::report::{Problem, ProblemKind};

/// The reaction to a problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decision {
    /// Post the same report again.
    Retry,
    /// Fetch the configuration, and make a new report.
    Renew,
    /// Post fewer reports at once.
    Halve,
    /// Keep the report for another day, because something on this machine has to change first.
    Postpone,
    /// Discard the report.
    Drop,
}

/// Returns the reaction to a problem. Unknown problems are classified by their HTTP status.
pub(super) fn decide(problem: &Problem) -> Decision {
    use ProblemKind as Kind;
    match problem.known() {
        Some(Kind::RateLimited | Kind::Overloaded | Kind::Unavailable | Kind::SlowBody) => {
            Decision::Retry
        }
        Some(Kind::OutdatedKey | Kind::ParameterMismatch | Kind::UnknownMetric) => Decision::Renew,
        Some(Kind::TooLarge) => Decision::Halve,
        Some(Kind::TooEarly) => Decision::Postpone,
        Some(_) => Decision::Drop,
        None if is_passing(problem.status) => Decision::Retry,
        None => Decision::Drop,
    }
}

/// Returns whether the same request may succeed later.
fn is_passing(status: u16) -> bool {
    matches!(status, 408 | 425 | 429 | 500..=599)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_decided_as_its_document_says() {
        for kind in ProblemKind::ALL {
            let problem = kind.problem("");
            let expected = match problem.next.as_str() {
                next if next.starts_with("send the same report again") => Decision::Retry,
                next if next.starts_with("fetch the configuration again") => Decision::Renew,
                next if next.starts_with("send fewer") => Decision::Halve,
                next if next.starts_with("set the clock") => Decision::Postpone,
                _ => Decision::Drop,
            };
            assert_eq!(decide(&problem), expected, "{}", kind.name());
        }
        let mut later = ProblemKind::Conflict.problem("");
        later.kind = "urn:tallybox:problem:ofALaterVersion".to_owned();
        assert_eq!(decide(&later), Decision::Drop);
        later.status = 503;
        assert_eq!(decide(&later), Decision::Retry);
    }
}
