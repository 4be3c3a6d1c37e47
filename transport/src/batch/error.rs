//! What can be wrong with a signed batch, and whose fault it is.

use crate::error::{BucketError, Disposition};
use tallybox_model::avro::AvroError;

/// Why a batch cannot be read or written. `batch` is the name of its header object.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BatchError {
    /// The bucket fails; nothing is said about the batch.
    #[error(transparent)]
    Bucket(#[from] BucketError),
    /// The signature object, and with it the batch, is not there (yet).
    #[error("{object}: the batch is not there yet")]
    NotThere {
        /// The signature object.
        object: String,
    },
    /// The signature names objects that are not there (yet).
    #[error("{object}: the signature is there, but this object is not")]
    Incomplete {
        /// The missing object.
        object: String,
    },
    /// The writer's fault: the object is not what its name says.
    #[error("{object}: malformed")]
    Malformed {
        /// The object.
        object: String,
        /// What is malformed.
        #[source]
        source: AvroError,
    },
    /// The writer's fault, or a manifest of ours is out of date.
    #[error("{object}: signed with key {key:?}, which is none of the writer's known keys")]
    UnknownKey {
        /// The signature object.
        object: String,
        /// The key's identifier.
        key: String,
    },
    /// The writer's fault, or somebody else wrote it.
    #[error("{object}: the signature does not verify with key {key:?}")]
    BadSignature {
        /// The signature object.
        object: String,
        /// The key's identifier.
        key: String,
    },
    /// The packets are not those that the header was signed for.
    #[error("{object}: the packets do not have the digest that the header names")]
    BadDigest {
        /// The packet object.
        object: String,
    },
    /// Our fault: a record of ours does not encode.
    #[error("{object}: cannot be encoded")]
    Encode {
        /// The object.
        object: String,
        /// What does not fit.
        #[source]
        source: AvroError,
    },
}

impl BatchError {
    /// Whether the same batch may be readable later.
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

    /// Whether bytes that were read are not what their writer signed. One bad read looks the same: what is rejected for
    /// this has been read twice.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        matches!(
            self,
            Self::Malformed { .. } | Self::UnknownKey { .. } | Self::BadSignature { .. } | Self::BadDigest { .. }
        )
    }

    /// A short name for counters and summaries.
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

    /// Sorts what the Avro layer says into the bucket's fault and the writer's.
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
