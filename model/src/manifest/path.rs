//! Storage paths: the form in which manifests name a bucket, with an optional prefix for its keys.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};
use thiserror::Error;

/// The location of a mailbox as written in a manifest.
///
/// The original text is preserved. `s3://r/b/p` and `s3://r/b/p/` are therefore different texts of
/// equal [locations](StoragePath::location).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoragePath {
    text: String,
    location: StorageLocation,
}

/// The parsed form of a [`StoragePath`]. `prefix` is either empty or ends in a slash, and precedes
/// every object key.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum StorageLocation {
    /// `s3://{region}/{bucket}[/{prefix}]`
    S3 {
        /// Region of the bucket, for example `us-west-2`.
        region: String,
        /// Name of the bucket.
        bucket: String,
        /// Prefix of its keys.
        prefix: String,
    },
    /// `gs://{bucket}[/{prefix}]`
    Gcs {
        /// Name of the bucket.
        bucket: String,
        /// Prefix of its keys.
        prefix: String,
    },
    /// A relative or absolute directory, for tests. A program that writes to the location given in
    /// a foreign manifest has to refuse it.
    Local {
        /// The directory.
        directory: String,
    },
}

/// The reason why a text is not a valid [`StoragePath`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum StoragePathError {
    /// The text is empty or contains a control character.
    #[error("storage path {0:?} is empty or contains a control character")]
    Unprintable(String),
    /// A URL whose scheme is neither `s3` nor `gs`. (The predecessor takes it for a directory.)
    #[error("storage path {0:?} is neither s3://, gs:// nor a directory")]
    UnknownScheme(String),
    /// The region of an S3 bucket is missing or does not have the form of a region name.
    #[error("storage path {0:?} has no region of the form xx-name-1")]
    BadRegion(String),
    /// The bucket name is missing.
    #[error("storage path {0:?} has no bucket name")]
    NoBucket(String),
}

impl StoragePath {
    /// Returns the parsed location.
    #[must_use]
    pub fn location(&self) -> &StorageLocation {
        &self.location
    }

    /// Returns the text as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for StoragePath {
    type Err = StoragePathError;

    fn from_str(text: &str) -> Result<Self, StoragePathError> {
        if text.is_empty() || text.contains(char::is_control) {
            return Err(StoragePathError::Unprintable(text.to_owned()));
        }
        let location = if let Some(rest) = text.strip_prefix("s3://") {
            let (region, rest) = rest.split_once('/').unwrap_or((rest, ""));
            if !is_region(region) {
                return Err(StoragePathError::BadRegion(text.to_owned()));
            }
            let (bucket, prefix) = bucket_and_prefix(text, rest)?;
            StorageLocation::S3 {
                region: region.to_owned(),
                bucket,
                prefix,
            }
        } else if let Some(rest) = text.strip_prefix("gs://") {
            let (bucket, prefix) = bucket_and_prefix(text, rest)?;
            StorageLocation::Gcs { bucket, prefix }
        } else if text.contains("://") {
            return Err(StoragePathError::UnknownScheme(text.to_owned()));
        } else {
            StorageLocation::Local {
                directory: text.to_owned(),
            }
        };
        Ok(Self {
            text: text.to_owned(),
            location,
        })
    }
}

fn bucket_and_prefix(text: &str, rest: &str) -> Result<(String, String), StoragePathError> {
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    if bucket.is_empty() {
        return Err(StoragePathError::NoBucket(text.to_owned()));
    }
    let slash = if prefix.is_empty() || prefix.ends_with('/') {
        ""
    } else {
        "/"
    };
    Ok((bucket.to_owned(), format!("{prefix}{slash}")))
}

/// Returns whether a text has the form of an AWS region name. The predecessor uses a fixed list,
/// but new regions appear every year.
fn is_region(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let [first, middle @ .., last] = parts.as_slice() else {
        return false;
    };
    let letters = |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase());
    let number = !last.is_empty() && last.len() <= 2 && last.bytes().all(|b| b.is_ascii_digit());
    first.len() == 2 && letters(first) && !middle.is_empty() && middle.iter().all(letters) && number
}

impl fmt::Display for StoragePath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl Serialize for StoragePath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    fn location(text: &str) -> StorageLocation {
        let path: StoragePath = text.parse().unwrap();
        assert_eq!(path.to_string(), text);
        path.location().clone()
    }

    fn s3(region: &str, bucket: &str, prefix: &str) -> StorageLocation {
        StorageLocation::S3 {
            region: region.to_owned(),
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
        }
    }

    #[test]
    fn reads_s3_with_and_without_prefix() {
        assert_eq!(
            location("s3://us-west-2/bucket"),
            s3("us-west-2", "bucket", "")
        );
        assert_eq!(
            location("s3://us-west-2/bucket/"),
            s3("us-west-2", "bucket", "")
        );
        assert_eq!(
            location("s3://us-gov-east-1/b/a/b"),
            s3("us-gov-east-1", "b", "a/b/")
        );
        assert_eq!(
            location("s3://ap-southeast-10/b/a/b/"),
            s3("ap-southeast-10", "b", "a/b/")
        );
    }

    #[test]
    fn reads_gcs_and_directories() {
        let gcs = |prefix: &str| StorageLocation::Gcs {
            bucket: "bucket".to_owned(),
            prefix: prefix.to_owned(),
        };
        assert_eq!(location("gs://bucket"), gcs(""));
        assert_eq!(location("gs://bucket/p"), gcs("p/"));
        for directory in ["/var/mailbox", "relative/mailbox", "."] {
            assert_eq!(
                location(directory),
                StorageLocation::Local {
                    directory: directory.to_owned()
                }
            );
        }
    }

    #[test]
    fn refuses_the_rest() {
        use StoragePathError as E;
        let refused = |text: &str| text.parse::<StoragePath>().unwrap_err();
        for text in ["", "a\0b", "gs://a\nb"] {
            assert!(matches!(refused(text), E::Unprintable(_)), "{text}");
        }
        for text in [
            "az://container",
            "S3://us-west-2/b",
            "https://example.org/b",
            "memory://",
        ] {
            assert!(matches!(refused(text), E::UnknownScheme(_)), "{text}");
        }
        for text in [
            "s3://",
            "s3://bucket",
            "s3://bucket/prefix",
            "s3:///bucket",
            "s3://us-west/b",
            "s3://US-west-2/b",
        ] {
            assert!(matches!(refused(text), E::BadRegion(_)), "{text}");
        }
        for text in [
            "s3://us-west-2",
            "s3://us-west-2/",
            "s3://us-west-2//p",
            "gs://",
            "gs:///p",
        ] {
            assert!(matches!(refused(text), E::NoBucket(_)), "{text}");
        }
    }
}
