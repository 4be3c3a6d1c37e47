//! The reasons why a manifest is refused. The server that publishes the document has to correct it;
//! a later fetch may then succeed.

use thiserror::Error;

/// A violation of a manifest's format. Each variant names the document and, where there is one, the
/// key as a dotted path (`batch-signing-public-keys.key-1.expiration`).
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// The document exceeds the caller's size limit and was not parsed.
    #[error("manifest {document}: {size} bytes are more than the limit of {limit}")]
    TooLarge {
        /// Name or URL of the document.
        document: String,
        /// Its size in bytes.
        size: usize,
        /// The caller's limit in bytes.
        limit: usize,
    },
    /// The bytes are not a single JSON text.
    #[error("manifest {document}: not a JSON text")]
    NotJson {
        /// Name or URL of the document.
        document: String,
        /// The position and reason at which the parser stopped.
        #[source]
        source: serde_json::Error,
    },
    /// A required key is absent.
    #[error("manifest {document}: key {key} is missing")]
    MissingKey {
        /// Name or URL of the document.
        document: String,
        /// Path of the key.
        key: String,
    },
    /// The format does not define this key.
    #[error("manifest {document}: key {key} is unknown")]
    UnknownKey {
        /// Name or URL of the document.
        document: String,
        /// Path of the key.
        key: String,
    },
    /// An object contains the same key twice, so readers could disagree about its value.
    #[error("manifest {document}: key {key} is repeated")]
    RepeatedKey {
        /// Name or URL of the document.
        document: String,
        /// Path of the key.
        key: String,
    },
    /// A value has the wrong JSON type.
    #[error("manifest {document}: key {key} is {found}, not {expected}")]
    WrongType {
        /// Name or URL of the document.
        document: String,
        /// Path of the key.
        key: String,
        /// The JSON type that the format requires.
        expected: &'static str,
        /// The JSON type that was found.
        found: &'static str,
    },
    /// A value has the right type, but its content is invalid.
    #[error("manifest {document}: key {key}")]
    BadValue {
        /// Name or URL of the document.
        document: String,
        /// Path of the key.
        key: String,
        /// The reason why the content is invalid.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The number in `format` is not supported for this kind of manifest.
    #[error("manifest {document}: format {format} is not supported, only {supported:?}")]
    UnsupportedFormat {
        /// Name or URL of the document.
        document: String,
        /// The number in the document.
        format: u64,
        /// The supported numbers.
        supported: &'static [u64],
    },
    /// A processor has accounts in both clouds, so a peer cannot determine which one to trust.
    #[error("manifest {document}: key {key} has both aws-account-id and gcp-service-account-id")]
    TwoIdentities {
        /// Name or URL of the document.
        document: String,
        /// Path of the object that contains both.
        key: String,
    },
}
