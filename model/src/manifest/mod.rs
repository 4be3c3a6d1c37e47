//! Manifests: the JSON documents in which servers publish their keys and mailboxes (ENPA,
//! kebab-case).
//!
//! All keys are known: an unknown or repeated key at any level makes the document invalid. Every
//! parser takes the document's name (for its errors) and a size limit. Serialisation is
//! deterministic: keys in the order of the format, map entries sorted, no white space.

mod error;
mod expiration;
mod ingestor;
mod json;
mod keys;
mod location;
mod object;
mod path;
mod portal;
mod processor;

pub use error::ManifestError;
pub use expiration::Expiration;
pub use ingestor::{IngestorIdentity, IngestorManifest};
pub use keys::{BatchSigningPublicKey, PacketEncryptionKey};
pub use location::{
    BaseUrl, BaseUrlError, GLOBAL_DOCUMENT, extensions_document, instance_document,
};
pub use path::{StorageLocation, StoragePath, StoragePathError};
pub use portal::PortalManifest;
pub use processor::{ProcessorGlobalManifest, ProcessorIdentity, ProcessorManifest};

/// The default limit on the size of a manifest, in bytes. Manifests in production stay below 10
/// KiB.
pub const DEFAULT_SIZE_LIMIT: usize = 256 * 1024;
