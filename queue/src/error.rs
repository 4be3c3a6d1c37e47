//! Why a queue does not do what it is asked.

/// What a worker does with a message that met an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Disposition {
    /// The same may succeed later, as it is or once an operator has corrected something.
    Retry,
    /// The same can never succeed.
    Reject,
}

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
    /// The message is not text, and this queue carries only text.
    #[error("queue {queue}: carries only UTF-8 text without control characters, and this message is something else")]
    NotText {
        /// Where the queue is.
        queue: String,
    },
}

impl QueueError {
    /// Whether the same may succeed another time. A lost lease is `Retry`: whoever has the message now goes on with it.
    #[must_use]
    pub fn disposition(&self) -> Disposition {
        match self {
            Self::Unavailable { .. }
            | Self::PermissionDenied { .. }
            | Self::LeaseLost { .. }
            | Self::Setting { .. } => Disposition::Retry,
            Self::TooLarge { .. } | Self::NotText { .. } => Disposition::Reject,
        }
    }
}

/// An error and its causes, each said once.
#[cfg(feature = "gcp")]
pub(crate) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let said = cause.to_string();
        if !text.ends_with(&said) {
            text = format!("{text}: {said}");
        }
        next = cause.source();
    }
    text
}
