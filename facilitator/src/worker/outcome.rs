//! The outcome of a message.

use crate::error::Error;
use std::time::Duration;
use tallybox_model::cause::chain;
use tallybox_service::exit::Exit;

/// The outcome of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Done, in this run or an earlier one: the message is acknowledged.
    Done,
    /// Not possible yet: the message is given back for a retry.
    Retry {
        /// The delay before the retry; by default the configured delay for the attempt.
        delay: Option<Duration>,
        /// Why the task is not done.
        reason: String,
    },
    /// Never possible: the message moves to the rejected messages, with the reason.
    Reject {
        /// Why no retry can succeed.
        reason: String,
    },
}

impl Outcome {
    /// The outcome's name in logs and metrics.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Retry { .. } => "retry",
            Self::Reject { .. } => "reject",
        }
    }

    /// Maps the error of a task to an outcome.
    ///
    /// | exit | outcome |
    /// |---|---|
    /// | retry | retry |
    /// | usage | retry: the task is valid, and an operator can correct the configuration |
    /// | rejected | reject |
    /// | conflict | reject: an operator has to investigate; a redelivery finds the same bytes |
    /// | held | done: the window is marked as held until an operator releases it |
    /// | below the minimum | done: a valid result for the window; counted and logged |
    pub(super) fn from_error(error: &Error) -> Self {
        let reason = || format!("{}: {}", error.reason(), chain(error));
        match error.exit() {
            Exit::Done | Exit::BelowMinimum | Exit::Held => Self::Done,
            Exit::Retry | Exit::Usage => Self::Retry {
                delay: None,
                reason: reason(),
            },
            Exit::Rejected | Exit::Conflict => Self::Reject { reason: reason() },
        }
    }
}
