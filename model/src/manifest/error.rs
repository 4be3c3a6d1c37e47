//! Why a manifest was refused. Whoever publishes the document has to mend it; fetching again later may help.

use thiserror::Error;

/// A manifest that does not follow its format. Each variant names the document and, where there is one, the key
/// as a dotted path (`batch-signing-public-keys.key-1.expiration`).
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// More bytes than the caller allows; nothing was parsed.
    #[error("manifest {document}: {size} bytes are more than the limit of {limit}")]
    TooLarge {
        /// Name or URL of the document.
        document: String,
        /// Its size in bytes.
        size: usize,
        /// The caller's limit in bytes.
        limit: usize,
    },
    /// The bytes are not one JSON text.
    #[error("manifest {document}: not a JSON text")]
    NotJson {
        /// Name or URL of the document.
        document: String,
        /// Where the parser stopped.
        #[source]
        source: serde_json::Error,
    },
    /// A required key is not there.
    #[error("manifest {document}: key {key} is missing")]
    MissingKey {
        /// Name or URL of the document.
        document: String,
        /// Path of the key.
        key: String,
    },
    /// A key that the format does not have.
    #[error("manifest {document}: key {key} is unknown")]
    UnknownKey {
        /// Name or URL of the document.
        document: String,
        /// Path of the key.
        key: String,
    },
    /// One object has the same key twice, so readers could disagree about its value.
    #[error("manifest {document}: key {key} is repeated")]
    RepeatedKey {
        /// Name or URL of the document.
        document: String,
        /// Path of the key.
        key: String,
    },
    /// A value of another JSON type.
    #[error("manifest {document}: key {key} is {found}, not {expected}")]
    WrongType {
        /// Name or URL of the document.
        document: String,
        /// Path of the key.
        key: String,
        /// The JSON type that the format asks for.
        expected: &'static str,
        /// The JSON type that was found.
        found: &'static str,
    },
    /// A value of the right type that does not mean anything.
    #[error("manifest {document}: key {key}")]
    BadValue {
        /// Name or URL of the document.
        document: String,
        /// Path of the key.
        key: String,
        /// What is wrong with it.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// `format` is a number that this kind of manifest does not use.
    #[error("manifest {document}: format {format} is not supported, only {supported:?}")]
    UnsupportedFormat {
        /// Name or URL of the document.
        document: String,
        /// The number found.
        format: u64,
        /// The numbers that are read.
        supported: &'static [u64],
    },
    /// A processor names both a cloud's account and the other cloud's, so a peer cannot know which to trust.
    #[error("manifest {document}: key {key} has both aws-account-id and gcp-service-account-id")]
    TwoIdentities {
        /// Name or URL of the document.
        document: String,
        /// Path of the object that holds both.
        key: String,
    },
}
