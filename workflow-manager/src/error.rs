//! Why the workflow manager cannot do what it is asked: whose fault it is, and what the program answers.

use tallybox_model::task::TaskError;
use tallybox_queue::QueueError;
use tallybox_service::ConfigError;
use tallybox_service::exit::Exit;
use tallybox_transport::{BucketError, Disposition};

/// Why a command of the workflow manager fails.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Our configuration cannot be read.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Our configuration, or the command line, says two things at once, or too little.
    #[error("{0}")]
    Setting(String),
    /// A bucket fails.
    #[error(transparent)]
    Bucket(#[from] BucketError),
    /// A queue fails.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// An object of the own bucket is not what it should be: damaged, or written by something else.
    #[error("{object}: {problem}")]
    Damaged {
        /// The object.
        object: String,
        /// What is wrong with it.
        problem: String,
    },
    /// What is asked for is no task.
    #[error(transparent)]
    Task(#[from] TaskError),
    /// Work cannot be started as a Kubernetes Job, or a Lease cannot be had.
    #[error("kubernetes: {what}")]
    Kubernetes {
        /// What was asked for.
        what: String,
        /// Why it failed.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
        /// Whether asking again can help.
        passing: bool,
    },
    /// What was asked for is not there, or not in a state in which it can be done.
    #[error("{0}")]
    Nothing(String),
    /// The server cannot listen.
    #[error("cannot listen on {address}")]
    Listen {
        /// Where.
        address: String,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// A part of the program failed in a way of its own.
    #[error("{0}")]
    Internal(String),
}

impl Error {
    /// Whether trying again can help.
    #[must_use]
    pub fn disposition(&self) -> Disposition {
        match self {
            Self::Bucket(error) => error.disposition(),
            Self::Queue(QueueError::TooLarge { .. }) | Self::Damaged { .. } | Self::Task(_) | Self::Nothing(_) => {
                Disposition::Reject
            }
            Self::Kubernetes { passing: false, .. } => Disposition::Reject,
            Self::Config(_)
            | Self::Setting(_)
            | Self::Queue(_)
            | Self::Kubernetes { .. }
            | Self::Listen { .. }
            | Self::Internal(_) => Disposition::Retry,
        }
    }

    /// Whether a bucket, a queue or the cluster cannot be reached, or refuses us, as far as this error says.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        matches!(
            self,
            Self::Bucket(BucketError::Unavailable { .. } | BucketError::PermissionDenied { .. })
                | Self::Queue(QueueError::Unavailable { .. } | QueueError::PermissionDenied { .. })
                | Self::Kubernetes { passing: true, .. }
        )
    }

    /// The program's exit code.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Config(_) | Self::Setting(_) | Self::Listen { .. } | Self::Queue(QueueError::Setting { .. }) => {
                Exit::Usage
            }
            Self::Bucket(BucketError::InvalidUrl { .. } | BucketError::InvalidSettings { .. }) => Exit::Usage,
            Self::Bucket(BucketError::Conflict { .. }) => Exit::Conflict,
            _ => match self.disposition() {
                Disposition::Retry => Exit::Retry,
                Disposition::Reject => Exit::Rejected,
            },
        }
    }

    /// A word for machines.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Config(_) | Self::Setting(_) => "config",
            Self::Bucket(BucketError::Conflict { .. }) => "conflict",
            Self::Bucket(_) => "bucket",
            Self::Queue(_) => "queue",
            Self::Damaged { .. } => "damaged",
            Self::Task(_) => "task",
            Self::Kubernetes { .. } => "kubernetes",
            Self::Nothing(_) => "nothing",
            Self::Listen { .. } => "listen",
            Self::Internal(_) => "internal",
        }
    }
}
