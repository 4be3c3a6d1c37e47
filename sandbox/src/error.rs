//! Why a sandbox cannot be made or run.

use std::path::PathBuf;

use tallybox_client::ClientError;
use tallybox_crypto::KeyError;
use tallybox_facilitator::error::Error as FacilitatorError;
use tallybox_service::ConfigError;
use tallybox_service::exit::Exit;
use tallybox_service::output::Failure;
use tallybox_transport::batch::BatchError;

/// Why a sandbox cannot be made or run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The caller's choice: the directory is in use.
    #[error("{directory} is not empty: name a new directory, or remove this one first")]
    Occupied {
        /// The directory.
        directory: PathBuf,
    },
    /// The caller's choice: options that do not go together.
    #[error("{0}")]
    Setting(String),
    /// A file or directory of the sandbox cannot be made or read.
    #[error("{path}: cannot be written or read")]
    File {
        /// The file or directory.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// A report cannot be made.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A key that was just made cannot be read back: a bug.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A batch cannot be written or read.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// A bucket cannot be read.
    #[error(transparent)]
    Bucket(#[from] tallybox_transport::BucketError),
    /// A configuration that was just written cannot be read back: a bug.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A processor refuses what it should take: a bug, or a full disk.
    #[error("the {role} processor: {source}")]
    Processor {
        /// Which of them.
        role: tallybox_model::role::Role,
        /// What it says.
        source: Box<FacilitatorError>,
    },
    /// The ingestor refuses what it should take: a bug, or a full disk.
    #[error("the ingestor: {0}")]
    Ingestor(Box<tallybox_ingestor::error::Error>),
    /// A workflow manager cannot look, or not start what is due.
    #[error("a workflow manager: {0}")]
    Manager(Box<tallybox_workflow_manager::error::Error>),
    /// A queue cannot be used.
    #[error(transparent)]
    Queue(#[from] tallybox_queue::QueueError),
    /// The caller has had enough.
    #[error("interrupted; the temporary directory is removed")]
    Interrupted,
    /// What came out is not what went in: a bug.
    #[error("the self-check failed: {0}")]
    Check(String),
    /// A bug.
    #[error("internal error: {0}")]
    Internal(String),
}

impl Error {
    /// What the program answers.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Occupied { .. } | Self::Setting(_) | Self::File { .. } | Self::Config(_) => Exit::Usage,
            Self::Processor { source, .. } => source.exit(),
            Self::Ingestor(source) => source.exit(),
            Self::Manager(source) => source.exit(),
            Self::Client(_) | Self::Key(_) | Self::Check(_) => Exit::Rejected,
            Self::Batch(_) | Self::Bucket(_) | Self::Queue(_) | Self::Internal(_) | Self::Interrupted => Exit::Retry,
        }
    }

    /// The same as a line for people and machines.
    #[must_use]
    pub fn failure(&self) -> Failure {
        let reason = match self {
            Self::Occupied { .. } => "directory-in-use",
            Self::Setting(_) => "setting",
            Self::File { .. } => "file",
            Self::Client(_) | Self::Key(_) | Self::Config(_) | Self::Internal(_) => "internal",
            Self::Batch(error) => error.reason(),
            Self::Bucket(_) => "bucket",
            Self::Processor { .. } => "processor",
            Self::Ingestor(_) => "ingestor",
            Self::Manager(_) => "workflow-manager",
            Self::Queue(_) => "queue",
            Self::Interrupted => "interrupted",
            Self::Check(_) => "self-check",
        };
        Failure::from_error(self.exit(), reason, self)
    }

    /// For `map_err`: the ingestor's error.
    pub(crate) fn ingestor(source: tallybox_ingestor::error::Error) -> Self {
        Self::Ingestor(Box::new(source))
    }

    /// For `map_err`: a workflow manager's error.
    pub(crate) fn manager(source: tallybox_workflow_manager::error::Error) -> Self {
        Self::Manager(Box::new(source))
    }

    /// For `map_err`: the file or directory that an operation was about.
    pub(crate) fn file(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, source }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_self_check_is_no_success() {
        let error = Error::Check("the sums are wrong".to_owned());
        assert_eq!(error.exit(), Exit::Rejected);
        let line = error.failure().to_string();
        assert_eq!(line, "rejected (self-check): the self-check failed: the sums are wrong");
    }
}
