//! The errors of signed batches, and the party that caused each of them.

use crate::error::{BucketError, Disposition};
use tallybox_model::avro::AvroError;

/// The reason why a batch cannot be read or written. `batch` is the name of its header object.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BatchError {
    /// The bucket fails. The error gives no information about the batch.
    #[error(transparent)]
    Bucket(#[from] BucketError),
    /// The signature object does not exist (yet), and therefore neither does the batch.
    #[error("{object}: the batch does not exist yet")]
    NotThere {
        /// The signature object.
        object: String,
    },
    /// The signature object exists, but an object of the same batch does not (yet).
    #[error("{object}: the batch's signature exists, but this object does not")]
    Incomplete {
        /// The missing object.
        object: String,
    },
    /// The writer's fault: the object does not have the format that its name implies.
    #[error("{object}: malformed")]
    Malformed {
        /// The object.
        object: String,
        /// The reason.
        #[source]
        source: AvroError,
    },
    /// The writer's fault, or the local copy of the writer's manifest is outdated.
    #[error(
        "{object}: signed with key {key:?}, which is not a known key of the writer; check the writer's manifest"
    )]
    UnknownKey {
        /// The signature object.
        object: String,
        /// The key's identifier.
        key: String,
    },
    /// The writer's fault, or another party wrote the object.
    #[error("{object}: the signature does not verify with key {key:?}")]
    BadSignature {
        /// The signature object.
        object: String,
        /// The key's identifier.
        key: String,
    },
    /// The digest of the packets differs from the digest in the signed header.
    #[error("{object}: the digest of the packets differs from the one in the header")]
    BadDigest {
        /// The packet object.
        object: String,
    },
    /// A local fault: a record does not fit its schema.
    #[error("{object}: cannot be encoded")]
    Encode {
        /// The object.
        object: String,
        /// The reason.
        #[source]
        source: AvroError,
    },
}

impl BatchError {
    /// Returns whether a later attempt to read the same batch may succeed.
    #[must_use]
    pub fn disposition(&self) -> Disposition {
        match self {
            Self::Bucket(error) => error.disposition(),
            Self::NotThere { .. } | Self::Incomplete { .. } => Disposition::Retry,
            Self::Malformed { .. }
            | Self::UnknownKey { .. }
            | Self::BadSignature { .. }
            | Self::BadDigest { .. }
            | Self::Encode { .. } => Disposition::Reject,
        }
    }

    /// Returns whether the bytes differ from those that their writer signed. A single corrupted
    /// read has the same effect, so callers read a batch twice before they reject it for this
    /// reason.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        matches!(
            self,
            Self::Malformed { .. }
                | Self::UnknownKey { .. }
                | Self::BadSignature { .. }
                | Self::BadDigest { .. }
        )
    }

    /// Returns a short name of the error for counters and summaries.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Bucket(BucketError::TooLarge { .. }) => "too-large",
            Self::Bucket(_) => "bucket",
            Self::NotThere { .. } => "not-there",
            Self::Incomplete { .. } => "incomplete",
            Self::Malformed { .. } => "malformed",
            Self::UnknownKey { .. } => "unknown-key",
            Self::BadSignature { .. } => "bad-signature",
            Self::BadDigest { .. } => "bad-digest",
            Self::Encode { .. } => "encode",
        }
    }

    /// Attributes an error of the Avro layer to the bucket or to the batch's writer.
    pub(super) fn read(object: &str, error: AvroError) -> Self {
        match error {
            AvroError::Io(error) => match BucketError::recover(error) {
                Ok(error) => Self::Bucket(error),
                Err(error) => Self::Malformed {
                    object: object.to_owned(),
                    source: AvroError::Io(error),
                },
            },
            source => Self::Malformed {
                object: object.to_owned(),
                source,
            },
        }
    }
}
