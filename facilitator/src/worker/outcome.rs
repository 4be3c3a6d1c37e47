//! What becomes of a message.

use crate::error::Error;
use std::time::Duration;
use tallybox_service::cause::chain;
use tallybox_service::exit::Exit;

/// What becomes of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Done, now or before: it is acknowledged.
    Done,
    /// It can be done later: it is given back.
    Retry {
        /// When it comes back; by default what the configuration says for the attempt.
        delay: Option<Duration>,
        /// Why it is not done.
        reason: String,
    },
    /// It never can be done: it is set aside, with the reason.
    Reject {
        /// Why not.
        reason: String,
    },
}

impl Outcome {
    /// Its name in logs and metrics.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Retry { .. } => "retry",
            Self::Reject { .. } => "reject",
        }
    }

    /// What an error means for the task that met it.
    ///
    /// | exit | outcome |
    /// |---|---|
    /// | retry | retry |
    /// | usage | retry: the task is good, and our configuration gets mended |
    /// | rejected | reject |
    /// | conflict | reject: somebody has to look, and a redelivery finds the same bytes |
    /// | held | done: the window is marked as held, and an operator's release starts it again; it is counted and logged |
    /// | below the minimum | done: that is an answer about the window, no fault of the task; it is counted and logged |
    pub(super) fn of_error(error: &Error) -> Self {
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
