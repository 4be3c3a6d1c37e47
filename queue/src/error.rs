//! The errors of queues.

/// The action that a worker takes after an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum QueueDisposition {
    /// The same operation may succeed later, either unchanged or after an operator has corrected
    /// something.
    Retry,
    /// The same operation can never succeed.
    Reject,
}

/// The reason why an operation on a queue failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QueueError {
    /// The queue is unreachable, or fails temporarily.
    #[error("queue {queue}: {operation} failed")]
    Unavailable {
        /// The location of the queue.
        queue: String,
        /// The operation.
        operation: &'static str,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The credentials do not permit the operation.
    #[error("queue {queue}: {operation} is not permitted")]
    PermissionDenied {
        /// The location of the queue.
        queue: String,
        /// The operation.
        operation: &'static str,
    },
    /// The lease has expired. Another receiver may have the message.
    #[error("queue {queue}: the lease of this message has expired")]
    LeaseLost {
        /// The location of the queue.
        queue: String,
    },
    /// The message exceeds the limit of the queue.
    #[error("queue {queue}: a message of {size} bytes exceeds the limit of {limit} bytes")]
    TooLarge {
        /// The location of the queue.
        queue: String,
        /// Size of the message in bytes.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The local configuration of the queue is invalid.
    #[error("queue {queue}: {problem}")]
    Setting {
        /// The configured location of the queue.
        queue: String,
        /// The problem and the next step.
        problem: String,
    },
    /// The message is not text, and this queue supports only text.
    #[error("queue {queue}: the message has to be UTF-8 text without control characters")]
    NotText {
        /// The location of the queue.
        queue: String,
    },
}

impl QueueError {
    /// Returns whether a later attempt may succeed. A lost lease is `Retry`, because the new
    /// receiver of the message processes it.
    #[must_use]
    pub fn disposition(&self) -> QueueDisposition {
        match self {
            Self::Unavailable { .. }
            | Self::PermissionDenied { .. }
            | Self::LeaseLost { .. }
            | Self::Setting { .. } => QueueDisposition::Retry,
            Self::TooLarge { .. } | Self::NotText { .. } => QueueDisposition::Reject,
        }
    }
}

/// Returns the error for a fault in the configuration of one queue.
pub(crate) fn setting(queue: impl std::fmt::Display, problem: impl Into<String>) -> QueueError {
    QueueError::Setting {
        queue: queue.to_string(),
        problem: problem.into(),
    }
}
