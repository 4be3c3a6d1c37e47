//! Why the ingestor cannot start, or a window cannot be batched: whose fault it is, and what the program answers.

use tallybox_crypto::KeyError;
use tallybox_model::id::BatchId;
use tallybox_model::time::BatchTime;
use tallybox_service::ConfigError;
use tallybox_service::exit::Exit;
use tallybox_transport::batch::BatchError;
use tallybox_transport::{BucketError, Disposition};

/// Why a command of the ingestor fails.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Our configuration cannot be read.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Our configuration: a key cannot be used.
    #[error("{file}: cannot use this {what}")]
    Key {
        /// The key's file.
        file: String,
        /// What it should be.
        what: &'static str,
        /// Why it is not.
        #[source]
        source: KeyError,
    },
    /// Our configuration: a file cannot be read.
    #[error("{file}: cannot read")]
    File {
        /// The file.
        file: String,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// Our configuration says two things at once, or too little.
    #[error("{0}")]
    Setting(String),
    /// The spool or a mailbox fails.
    #[error(transparent)]
    Bucket(#[from] BucketError),
    /// A batch cannot be encoded: a bug of ours.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// A signature cannot be made.
    #[error(transparent)]
    Sign(#[from] crate::ingestor::SignError),
    /// An object of the spool is not what it should be: damaged, or written by something else. Nothing is skipped: the
    /// window waits for an operator.
    #[error("spool object {object} cannot be used: {problem}")]
    Damaged {
        /// The object.
        object: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A plan was made with a secret that the configuration does not name any more.
    #[error("the plan of window {window} needs secret {secret}, which the configuration does not name: add its file")]
    UnknownSecret {
        /// Start of the window.
        window: BatchTime,
        /// The secret's id.
        secret: String,
    },
    /// What was fixed by another encoder generation cannot be made by this program.
    #[error(
        "{object}: fixed by encoder generation {theirs}, but this program is generation {ours} and makes other bytes; nothing was published"
    )]
    Generation {
        /// The object that fixes it.
        object: String,
        /// This program's generation.
        ours: u32,
        /// The generation that fixed it.
        theirs: u32,
    },
    /// Two keys of one pair have points of different pairs: one processor would reject the other's packets.
    #[error(
        "packet keys {first} and {second} have evaluation points of different pairs: one processor would reject these reports; change both keys together"
    )]
    Points {
        /// The first processor's key.
        first: String,
        /// The second processor's key.
        second: String,
    },
    /// The spool does not hold what a window is made of: it never did, or it has been swept.
    #[error(
        "window {window}: the spool does not hold what its batches are made of: no window starts then, it is not batched yet, or batches.keep-slabs-hours have passed"
    )]
    NotKept {
        /// Start of the window.
        window: BatchTime,
    },
    /// The window has no such batch.
    #[error("window {window}: there is no batch {batch} in it")]
    UnknownBatch {
        /// Start of the window.
        window: BatchTime,
        /// The batch.
        batch: BatchId,
    },
    /// The server cannot listen.
    #[error("cannot listen on {address}")]
    Listen {
        /// Where.
        address: String,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// A part of the program ended unexpectedly.
    #[error("{0}")]
    Internal(String),
}

impl Error {
    /// Whether trying again can help. Nothing of a window is ever given up: only what needs an operator is `Reject`.
    #[must_use]
    pub fn disposition(&self) -> Disposition {
        match self {
            Self::Bucket(error) => error.disposition(),
            Self::Batch(BatchError::Bucket(error)) => error.disposition(),
            Self::Damaged { .. }
            | Self::Generation { .. }
            | Self::Batch(_)
            | Self::Points { .. }
            | Self::NotKept { .. }
            | Self::UnknownBatch { .. } => Disposition::Reject,
            Self::Config(_)
            | Self::Key { .. }
            | Self::File { .. }
            | Self::Setting(_)
            | Self::Sign(_)
            | Self::UnknownSecret { .. }
            | Self::Listen { .. }
            | Self::Internal(_) => Disposition::Retry,
        }
    }

    /// The program's exit code.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Config(_)
            | Self::Key { .. }
            | Self::File { .. }
            | Self::Setting(_)
            | Self::UnknownSecret { .. }
            | Self::Listen { .. }
            | Self::Points { .. } => Exit::Usage,
            Self::Generation { .. }
            | Self::Bucket(BucketError::Conflict { .. } | BucketError::NotReproduced { .. })
            | Self::Batch(BatchError::Bucket(BucketError::Conflict { .. } | BucketError::NotReproduced { .. })) => {
                Exit::Conflict
            }
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
            Self::Key { .. } => "key",
            Self::File { .. } => "file",
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
            Self::NotKept { .. } => "not-kept",
            Self::UnknownBatch { .. } => "unknown-batch",
            Self::Listen { .. } => "listen",
            Self::Internal(_) => "internal",
        }
    }
}
