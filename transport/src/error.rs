//! What can go wrong with a bucket, and whether trying again can help.

use std::error::Error as StdError;
use std::io;

use crate::record::RecordFault;

/// What a worker does with a task that met an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Disposition {
    /// The same task may succeed later, as it is or once an operator has corrected something.
    Retry,
    /// The same task can never succeed: set it aside with its reason.
    Reject,
}

/// An operation on a bucket failed. Messages name the bucket and the object, never a secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BucketError {
    /// There is no such object (yet).
    #[error("{bucket}: there is no object {key}")]
    NotFound {
        /// Key of the object.
        key: String,
        /// Location of the bucket.
        bucket: String,
    },

    /// The object exists already, with other bytes than those we were to publish. Nothing was changed.
    #[error("{bucket}: object {key} exists with other bytes: ours have sha256 {}, theirs {}", hex(.ours), hex(.theirs))]
    Conflict {
        /// Key of the object.
        key: String,
        /// Location of the bucket.
        bucket: String,
        /// SHA-256 of the bytes that were to be published.
        ours: [u8; 32],
        /// SHA-256 of the bytes found.
        theirs: [u8; 32],
    },

    /// The bytes we made are not those that were fixed before. Nothing was published. A bug of ours, or another
    /// encoder generation.
    #[error("{bucket}: object {key} was fixed with sha256 {} ({expected_size} bytes) but came out as {} ({actual_size} bytes)", hex(.expected), hex(.actual))]
    NotReproduced {
        /// Key of the object.
        key: String,
        /// Location of the bucket.
        bucket: String,
        /// SHA-256 that was fixed.
        expected: [u8; 32],
        /// Length that was fixed, in bytes.
        expected_size: u64,
        /// SHA-256 of what was made now.
        actual: [u8; 32],
        /// Length of what was made now, in bytes.
        actual_size: u64,
    },

    /// The object of our own bucket or spool is no record of ours, or belongs elsewhere: somebody else wrote there, or a key
    /// is missing from our configuration.
    #[error(
        "{bucket}: object {key} cannot be trusted: {source}; restore it from a backup, or delete it once it is clear who \
         wrote it and what follows"
    )]
    Unverified {
        /// Key of the object.
        key: String,
        /// Location of the bucket.
        bucket: String,
        /// What is wrong with it.
        source: RecordFault,
    },

    /// The credentials do not allow the operation: the bucket owner's or our configuration. S3 says so also of an
    /// absent object, to those who may not list the bucket.
    #[error("{bucket}: permission denied for {key}")]
    PermissionDenied {
        /// Key or prefix asked for.
        key: String,
        /// Location of the bucket.
        bucket: String,
        /// What the file system or the cloud said.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },

    /// The object is larger than the caller accepts.
    #[error("{bucket}: object {key} is larger than {limit} bytes")]
    TooLarge {
        /// Key of the object.
        key: String,
        /// Location of the bucket.
        bucket: String,
        /// The caller's limit in bytes.
        limit: u64,
    },

    /// The text cannot be an object's key in any bucket.
    #[error("object key {key:?} is not usable: {reason}")]
    InvalidKey {
        /// The text.
        key: String,
        /// The rule it breaks.
        reason: &'static str,
    },

    /// The text of our configuration is not the location of a bucket.
    #[error("bucket location {url:?} is not usable: {reason}")]
    InvalidUrl {
        /// The text, cut where a secret could stand.
        url: String,
        /// The rule it breaks.
        reason: String,
    },

    /// The settings of our configuration do not fit the bucket.
    #[error("{bucket}: {reason}")]
    InvalidSettings {
        /// Location of the bucket.
        bucket: String,
        /// What does not fit.
        reason: String,
    },

    /// This program was built without the cloud that the location names.
    #[error("{bucket}: this build cannot reach it, build with the cargo feature \"{feature}\"")]
    FeatureMissing {
        /// Location of the bucket.
        bucket: String,
        /// The cargo feature of `tallybox-transport` that is needed.
        feature: &'static str,
    },

    /// The bucket said that the object exists, or that another request for it is under way, and the object cannot be
    /// seen. Nothing was made by us; the same request may succeed later.
    #[error(
        "{bucket}: object {key} is neither made nor known to exist: the bucket answered with a conflict that settles nothing; it is put again by the next run"
    )]
    NotSettled {
        /// Key of the object.
        key: String,
        /// Location of the bucket.
        bucket: String,
        /// The last answer, if it was more than "exists".
        #[source]
        source: Option<Box<dyn StdError + Send + Sync>>,
    },

    /// The file system, the network or the cloud failed; nothing is known about the object.
    #[error("{bucket}: cannot reach {key}")]
    Unavailable {
        /// Key or prefix asked for.
        key: String,
        /// Location of the bucket.
        bucket: String,
        /// What failed.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
}

impl BucketError {
    /// Whether a task that met this error is tried again or set aside.
    ///
    /// Faults of our own configuration are `Retry`: the task is good, and it succeeds once they are corrected.
    pub fn disposition(&self) -> Disposition {
        match self {
            Self::NotFound { .. }
            | Self::PermissionDenied { .. }
            | Self::InvalidUrl { .. }
            | Self::InvalidSettings { .. }
            | Self::FeatureMissing { .. }
            | Self::NotSettled { .. }
            | Self::Unavailable { .. }
            // A key that has not reached this replica yet, for all we know.
            | Self::Unverified {
                source: RecordFault::UnknownKey { .. },
                ..
            } => Disposition::Retry,
            Self::Conflict { .. }
            | Self::NotReproduced { .. }
            | Self::Unverified { .. }
            | Self::TooLarge { .. }
            | Self::InvalidKey { .. } => Disposition::Reject,
        }
    }

    /// Takes a `BucketError` back out of an [`io::Error`] that it travelled in (see [`crate::BlockingReader`]), through
    /// any number of wrappings; an error of other origin comes back unchanged.
    pub fn recover(error: io::Error) -> Result<Self, io::Error> {
        match error.downcast::<Self>() {
            Ok(found) => Ok(found),
            Err(other) => match other.downcast::<io::Error>() {
                Ok(inner) => Self::recover(inner),
                Err(other) => Err(other),
            },
        }
    }

    pub(crate) fn not_found(bucket: &str, key: &str) -> Self {
        Self::NotFound {
            key: key.to_owned(),
            bucket: bucket.to_owned(),
        }
    }

    pub(crate) fn not_settled(bucket: &str, key: &str, source: Option<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::NotSettled {
            key: key.to_owned(),
            bucket: bucket.to_owned(),
            source,
        }
    }

    pub(crate) fn unavailable(bucket: &str, key: &str, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Unavailable {
            key: key.to_owned(),
            bucket: bucket.to_owned(),
            source: source.into(),
        }
    }

    /// The meaning of an operating system's error for one object.
    pub(crate) fn from_file(bucket: &str, key: &str, error: io::Error) -> Self {
        let key = key.to_owned();
        match error.kind() {
            // `NotADirectory`: a part of the path is itself an object, so there is nothing under it.
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Self::not_found(bucket, &key),
            io::ErrorKind::PermissionDenied => Self::PermissionDenied {
                key,
                bucket: bucket.to_owned(),
                source: error.into(),
            },
            // A directory cannot be made where an object stands, or an object where a directory stands.
            io::ErrorKind::AlreadyExists | io::ErrorKind::IsADirectory => Self::InvalidKey {
                key,
                reason: "an object cannot stand above or below another in a directory",
            },
            io::ErrorKind::InvalidFilename => Self::InvalidKey {
                key,
                reason: "a component is too long for the file system",
            },
            _ => Self::unavailable(bucket, &key, error),
        }
    }
}

impl From<BucketError> for io::Error {
    fn from(error: BucketError) -> Self {
        io::Error::other(error)
    }
}

/// An error and its causes, each said once.
pub(crate) fn causes(error: &dyn StdError) -> String {
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

/// Lower-case hexadecimal, for messages.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_error_survives_the_way_through_io() {
        let through: io::Error = BucketError::not_found("memory:", "a/b").into();
        assert!(matches!(
            BucketError::recover(through).unwrap(),
            BucketError::NotFound { key, .. } if key == "a/b"
        ));
        let wrapped = io::Error::other(io::Error::from(BucketError::not_found("memory:", "a")));
        assert!(matches!(
            BucketError::recover(wrapped),
            Ok(BucketError::NotFound { .. })
        ));
        let foreign = BucketError::recover(io::Error::from(io::ErrorKind::UnexpectedEof)).unwrap_err();
        assert_eq!(foreign.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn a_conflict_names_the_object_and_both_digests() {
        let error = BucketError::Conflict {
            key: "a/b".into(),
            bucket: "memory:".into(),
            ours: [0x0f; 32],
            theirs: [0xa0; 32],
        };
        let text = error.to_string();
        assert!(
            text.contains("a/b") && text.contains("0f0f") && text.contains("a0a0"),
            "{text}"
        );
        assert_eq!(error.disposition(), Disposition::Reject);
    }
}
