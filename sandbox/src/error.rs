//! Errors of the sandbox.

use std::path::PathBuf;

use tallybox_client::ClientError;
use tallybox_crypto::KeyError;
use tallybox_facilitator::error::Error as FacilitatorError;
use tallybox_model::role::Role;
use tallybox_service::ConfigError;
use tallybox_service::exit::Exit;
use tallybox_service::output::Failure;
use tallybox_transport::batch::BatchError;

/// An error that prevents a sandbox from being created or run, or a failed self-check.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The caller's mistake: the directory is not empty.
    #[error("{directory} is not empty: choose a new directory, or remove this one first")]
    Occupied {
        /// The directory.
        directory: PathBuf,
    },
    /// The caller's mistake: an invalid option, or options that exclude each other.
    #[error("{0}")]
    Setting(String),
    /// A file or directory of the sandbox cannot be created, read or written.
    #[error("{path}: cannot be created, read or written")]
    File {
        /// The file or directory.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// A client cannot create a report.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A newly generated key cannot be read back: a bug.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A batch cannot be written or read.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// A bucket cannot be read.
    #[error(transparent)]
    Bucket(#[from] tallybox_transport::BucketError),
    /// A newly written configuration cannot be read back: a bug.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A processor rejects valid input: a bug, or a full disk.
    #[error("the {role} processor: {source}")]
    Processor {
        /// The processor.
        role: Role,
        /// The processor's error.
        source: Box<FacilitatorError>,
    },
    /// The ingestor rejects valid input: a bug, or a full disk.
    #[error("the ingestor: {0}")]
    Ingestor(Box<tallybox_ingestor::error::Error>),
    /// A workflow manager cannot scan its buckets, or cannot start due work.
    #[error("a workflow manager: {0}")]
    Manager(Box<tallybox_workflow_manager::error::Error>),
    /// A queue cannot be read or written.
    #[error(transparent)]
    Queue(#[from] tallybox_queue::QueueError),
    /// The user interrupted the run.
    #[error("interrupted; the temporary directory is removed")]
    Interrupted,
    /// The results differ from the expected ones: a bug.
    #[error("the self-check failed: {0}")]
    Check(String),
    /// A bug.
    #[error("internal error: {0}")]
    Internal(String),
}

impl Error {
    /// Returns the exit code of the program.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Occupied { .. } | Self::Setting(_) | Self::File { .. } | Self::Config(_) => {
                Exit::Usage
            }
            Self::Processor { source, .. } => source.exit(),
            Self::Ingestor(source) => source.exit(),
            Self::Manager(source) => source.exit(),
            Self::Client(_) | Self::Key(_) | Self::Check(_) => Exit::Rejected,
            Self::Batch(_)
            | Self::Bucket(_)
            | Self::Queue(_)
            | Self::Internal(_)
            | Self::Interrupted => Exit::Retry,
        }
    }

    /// Returns the error as it is printed, with its machine-readable reason.
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

    /// Wraps an error of a processor; for `map_err`.
    pub(crate) fn processor(role: Role, source: FacilitatorError) -> Self {
        let source = Box::new(source);
        Self::Processor { role, source }
    }

    /// Wraps an error of the ingestor; for `map_err`.
    pub(crate) fn ingestor(source: tallybox_ingestor::error::Error) -> Self {
        Self::Ingestor(Box::new(source))
    }

    /// Wraps an error of a workflow manager; for `map_err`.
    pub(crate) fn manager(source: tallybox_workflow_manager::error::Error) -> Self {
        Self::Manager(Box::new(source))
    }

    /// Wraps an I/O error with the path of the file or directory; for `map_err`.
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
        assert_eq!(
            line,
            "rejected (self-check): the self-check failed: the sums are wrong"
        );
    }
}
