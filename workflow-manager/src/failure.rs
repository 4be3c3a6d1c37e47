//! A failure that does not prevent the other work of a run.

use std::fmt;

use serde::Serialize;
use tallybox_model::cause::chain;
use tallybox_service::exit::Exit;

use crate::error::Error;

/// A failure of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct FailedStart {
    /// The batch, window or aggregation.
    pub what: String,
    /// The cause.
    pub problem: String,
    /// True if a bucket, a queue or the cluster was out of reach.
    #[serde(skip)]
    pub unreachable: bool,
}

impl FailedStart {
    pub(crate) fn from_error(what: &str, error: &Error) -> Self {
        Self {
            what: what.to_owned(),
            problem: chain(error),
            unreachable: error.is_unreachable(),
        }
    }

    /// Returns the exit code of a command with these failures: [`Exit::Retry`] if there are any.
    pub(crate) fn exit(failures: &[Self]) -> Exit {
        match failures.is_empty() {
            true => Exit::Done,
            false => Exit::Retry,
        }
    }
}

impl fmt::Display for FailedStart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.problem)
    }
}
