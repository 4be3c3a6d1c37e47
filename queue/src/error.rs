//! Why a queue does not do what it is asked.

/// Why a queue does not do what it is asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QueueError {
    /// The queue cannot be reached, or fails for now.
    #[error("queue {queue}: {operation} failed")]
    Unavailable {
        /// Where the queue is.
        queue: String,
        /// What was asked.
        operation: &'static str,
        /// Why it failed.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Our permissions: the queue refuses us.
    #[error("queue {queue}: {operation} is not permitted")]
    PermissionDenied {
        /// Where the queue is.
        queue: String,
        /// What was asked.
        operation: &'static str,
    },
    /// The lease has run out: the message may be with somebody else.
    #[error("queue {queue}: the lease of this message has run out")]
    LeaseLost {
        /// Where the queue is.
        queue: String,
    },
    /// The message is larger than the queue carries.
    #[error("queue {queue}: a message of {size} bytes is larger than its {limit}")]
    TooLarge {
        /// Where the queue is.
        queue: String,
        /// The message's bytes.
        size: usize,
        /// The most that it carries.
        limit: usize,
    },
    /// Our configuration.
    #[error("queue {queue}: {problem}")]
    Setting {
        /// Where the queue is meant to be.
        queue: String,
        /// What is wrong.
        problem: String,
    },
}
