//! Errors of the workflow manager: whose fault each one is, and the exit code.

use tallybox_model::task::TaskError;
use tallybox_queue::QueueError;
use tallybox_service::exit::Exit;
use tallybox_service::key_file::FileError;
use tallybox_service::shell::CommandError;
use tallybox_service::{ConfigError, OutputError};
use tallybox_transport::{BucketError, Disposition};

/// Reasons why a command of the workflow manager fails.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The configuration file cannot be read. The operator's fault.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The summary of a command cannot be printed.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// The configuration names a file that cannot be used. The operator's fault.
    #[error(transparent)]
    File(#[from] FileError),
    /// The configuration or the command line is contradictory or incomplete. The operator's fault.
    #[error("{0}")]
    Setting(String),
    /// A bucket request failed.
    #[error(transparent)]
    Bucket(#[from] BucketError),
    /// A queue request failed.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// An object in the processor's own bucket is damaged, or another program wrote it.
    #[error("{object}: {problem}")]
    Damaged {
        /// The object key.
        object: String,
        /// The problem.
        problem: String,
    },
    /// A task is not valid.
    #[error(transparent)]
    Task(#[from] TaskError),
    /// A Kubernetes Job cannot be started, or a Lease cannot be acquired.
    #[error("kubernetes: {what}")]
    Kubernetes {
        /// The request.
        what: String,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
        /// True if a retry can succeed.
        passing: bool,
    },
    /// The requested object does not exist, or its state does not permit the request.
    #[error("{0}")]
    Nothing(String),
    /// The server cannot listen on its address.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: String,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// An internal failure.
    #[error("{0}")]
    Internal(String),
}

impl CommandError for Error {
    fn exit(&self) -> Exit {
        self.exit()
    }

    fn reason(&self) -> String {
        self.reason().to_owned()
    }
}

impl Error {
    /// Returns whether a retry can succeed.
    #[must_use]
    pub fn disposition(&self) -> Disposition {
        match self {
            Self::Bucket(error) => error.disposition(),
            Self::Queue(QueueError::TooLarge { .. })
            | Self::Damaged { .. }
            | Self::Task(_)
            | Self::Nothing(_) => Disposition::Reject,
            Self::Kubernetes { passing: false, .. } => Disposition::Reject,
            Self::Config(_)
            | Self::File(_)
            | Self::Setting(_)
            | Self::Queue(_)
            | Self::Kubernetes { .. }
            | Self::Listen { .. }
            | Self::Output(_)
            | Self::Internal(_) => Disposition::Retry,
        }
    }

    /// Returns whether a bucket, a queue or the cluster is out of reach or denies access, as far as
    /// the error shows.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        matches!(
            self,
            Self::Bucket(BucketError::Unavailable { .. } | BucketError::PermissionDenied { .. })
                | Self::Queue(QueueError::Unavailable { .. } | QueueError::PermissionDenied { .. })
                | Self::Kubernetes { passing: true, .. }
        )
    }

    /// Returns the program's exit code.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Config(_)
            | Self::File(_)
            | Self::Setting(_)
            | Self::Listen { .. }
            | Self::Queue(QueueError::Setting { .. }) => Exit::Usage,
            Self::Bucket(BucketError::InvalidUrl { .. } | BucketError::InvalidSettings { .. }) => {
                Exit::Usage
            }
            Self::Bucket(BucketError::Conflict { .. }) => Exit::Conflict,
            _ => match self.disposition() {
                Disposition::Retry => Exit::Retry,
                Disposition::Reject => Exit::Rejected,
            },
        }
    }

    /// Returns the machine-readable reason.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Config(_) | Self::File(_) | Self::Setting(_) => "config",
            Self::Bucket(BucketError::Conflict { .. }) => "conflict",
            Self::Bucket(_) => "bucket",
            Self::Queue(_) => "queue",
            Self::Damaged { .. } => "damaged",
            Self::Task(_) => "task",
            Self::Kubernetes { .. } => "kubernetes",
            Self::Nothing(_) => "nothing",
            Self::Listen { .. } => "listen",
            Self::Output(_) => "stdout",
            Self::Internal(_) => "internal",
        }
    }
}
