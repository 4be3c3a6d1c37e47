//! Errors that stop the ingestor or a window, with their cause, exit code and reason code.

use tallybox_model::id::{BatchId, KeyId};
use tallybox_model::time::BatchTime;
use tallybox_service::exit::Exit;
use tallybox_service::key_file::FileError;
use tallybox_service::shell::CommandError;
use tallybox_service::{ConfigError, OutputError};
use tallybox_transport::batch::BatchError;
use tallybox_transport::{BucketError, Disposition};

/// An error that makes a command of the ingestor fail.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operator's configuration cannot be read.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The summary of a command cannot be printed.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// The operator's configuration names a key file or another file that cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// The operator's settings or command-line options contradict each other or are incomplete.
    #[error("{0}")]
    Setting(String),
    /// An operation on the spool or a mailbox failed.
    #[error(transparent)]
    Bucket(#[from] BucketError),
    /// A batch cannot be encoded: a bug in this program.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// Signing failed.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// An object of the spool is damaged, or another program wrote it. The run does not skip the
    /// object: the window waits for an operator.
    #[error("spool object {object} cannot be used: {problem}")]
    Damaged {
        /// Name of the object.
        object: String,
        /// The cause.
        problem: String,
    },
    /// A plan was made with a secret that the configuration no longer names.
    #[error(
        "window {window}: its plan needs secret {secret}, which the configuration does not name; add its \
         file to secrets"
    )]
    UnknownSecret {
        /// Start of the window.
        window: BatchTime,
        /// Id of the secret.
        secret: String,
    },
    /// An object was recorded by another generation of the encoder, which this program cannot
    /// reproduce byte for byte.
    #[error(
        "{object}: recorded by encoder generation {theirs}, but this program is generation {ours} and encodes \
         other bytes; nothing was published; complete the window with a program of generation {theirs}"
    )]
    Generation {
        /// Name of the object.
        object: String,
        /// This program's generation.
        ours: u32,
        /// Generation that the object states.
        theirs: u32,
    },
    /// The two keys of a pair have evaluation points from different pairs, so one processor would
    /// reject the other's packets.
    #[error(
        "packet keys {first} and {second} have evaluation points from different pairs: one processor would reject \
         these reports; change both keys together"
    )]
    Points {
        /// Id of the first processor's key.
        first: String,
        /// Id of the second processor's key.
        second: String,
    },
    /// The spool does not hold the objects of a window: there were none, or they have been pruned.
    #[error(
        "window {window}: the spool does not hold the objects of its batches; either no window starts at this \
         time, the window is not batched yet, or batches.keep-slabs-hours have passed"
    )]
    NotInSpool {
        /// Start of the window.
        window: BatchTime,
    },
    /// The window has no batch with the requested id.
    #[error(
        "window {window}: it has no batch {batch}; check the summary of `ingestor batch --json`"
    )]
    UnknownBatch {
        /// Start of the window.
        window: BatchTime,
        /// Id of the batch.
        batch: BatchId,
    },
    /// The server cannot listen on its address.
    #[error("cannot listen on {address}; check serve.listen and serve.operations")]
    Listen {
        /// The address.
        address: String,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// An internal task ended unexpectedly.
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

/// A failure to sign. Another attempt may succeed.
#[derive(Debug, thiserror::Error)]
#[error("cannot sign with key {key_id}: {problem}")]
pub struct SignError {
    /// Id of the key.
    pub key_id: KeyId,
    /// The cause.
    pub problem: String,
}

impl Error {
    /// Returns whether another attempt can succeed. `Reject` means that an operator has to act: the
    /// ingestor never drops a window because of an error.
    #[must_use]
    pub fn disposition(&self) -> Disposition {
        match self {
            Self::Bucket(error) => error.disposition(),
            Self::Batch(BatchError::Bucket(error)) => error.disposition(),
            Self::Damaged { .. }
            | Self::Generation { .. }
            | Self::Batch(_)
            | Self::Points { .. }
            | Self::NotInSpool { .. }
            | Self::UnknownBatch { .. } => Disposition::Reject,
            Self::Config(_)
            | Self::File(_)
            | Self::Setting(_)
            | Self::Sign(_)
            | Self::UnknownSecret { .. }
            | Self::Listen { .. }
            | Self::Output(_)
            | Self::Internal(_) => Disposition::Retry,
        }
    }

    /// Returns the exit code of a command that fails with this error.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Config(_)
            | Self::File(_)
            | Self::Setting(_)
            | Self::UnknownSecret { .. }
            | Self::Listen { .. }
            | Self::Points { .. } => Exit::Usage,
            Self::Generation { .. }
            | Self::Bucket(BucketError::Conflict { .. } | BucketError::NotReproduced { .. })
            | Self::Batch(BatchError::Bucket(
                BucketError::Conflict { .. } | BucketError::NotReproduced { .. },
            )) => Exit::Conflict,
            _ => match self.disposition() {
                Disposition::Retry => Exit::Retry,
                Disposition::Reject => Exit::Rejected,
            },
        }
    }

    /// Returns the reason code, for machines.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Config(_) | Self::File(_) | Self::Setting(_) => "config",
            Self::Bucket(BucketError::Conflict { .. }) => "conflict",
            Self::Bucket(BucketError::NotReproduced { .. }) => "not-reproduced",
            Self::Bucket(BucketError::Unverified { .. }) => "unverified",
            Self::Bucket(_) => "bucket",
            Self::Batch(_) => "batch",
            Self::Sign(_) => "sign",
            Self::Damaged { .. } => "damaged",
            Self::UnknownSecret { .. } => "unknown-secret",
            Self::Generation { .. } => "generation",
            Self::Points { .. } => "points",
            Self::NotInSpool { .. } => "not-kept",
            Self::UnknownBatch { .. } => "unknown-batch",
            Self::Listen { .. } => "listen",
            Self::Output(_) => "stdout",
            Self::Internal(_) => "internal",
        }
    }
}
