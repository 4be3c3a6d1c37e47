//! Sealed files of the own bucket: chunks, a footer with the location of each, and a tail.
//! `Container` and `Sealer` know this form, also for prepared batches; `SealedReader` and
//! `SealedWriter` the files of a window, whose head names the sealing key.
//!
//! ```text
//! 8 bytes   magic, different for each purpose
//! 1 byte    length of the sealing key's identifier
//! n bytes   the sealing key's identifier
//! chunks    sealed one by one (AES-256-GCM-SIV, 16-byte tag), numbered from 0;
//!           the last is the footer, JSON
//! 12 bytes  offset of the footer (8) ‖ its chunk number (4), little-endian
//! ```
//!
//! The object's name does not contain the key. Of two runs with different keys, only one can
//! therefore create the object.

mod container;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

pub(crate) use container::{Container, Sealer};
pub(crate) use reader::SealedReader;
pub(crate) use writer::SealedWriter;

use serde::{Deserialize, Serialize};
use tallybox_crypto::prepared::FileKey;
use tallybox_crypto::{SealError, SealingKey};
use tallybox_model::id::Instance;
use tallybox_model::role::Role;
use tallybox_transport::BucketError;

/// Why a sealed file cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealedError {
    /// The own bucket failed.
    #[error(transparent)]
    Bucket(#[from] BucketError),
    /// Sealed with a key that is not configured.
    #[error(
        "{object}: sealed with key {key}, which is not configured; add it to prepared-sealing-key"
    )]
    UnknownKey {
        /// The object.
        object: String,
        /// The key's identifier.
        key: String,
    },
    /// Damaged.
    #[error(
        "{object}: encryption or decryption of the sealed file failed; check instance, role and prepared-sealing-key"
    )]
    Sealed {
        /// The object.
        object: String,
        /// The cipher's error.
        #[source]
        source: SealError,
    },
    /// Decrypted, but not in the format that this program writes.
    #[error("{object}: the sealed file is malformed: {problem}")]
    Malformed {
        /// The object.
        object: String,
        /// The part that is malformed.
        problem: &'static str,
    },
}

/// The location and content of a chunk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SealedChunk<K> {
    /// The kind of content.
    pub(crate) kind: K,
    /// The offset of the chunk's first byte in the file.
    pub(crate) offset: u64,
    /// The length of the sealed chunk in bytes.
    pub(crate) length: u64,
    /// The offset of the chunk's first byte among all bytes of its kind.
    pub(crate) first: u64,
    /// The number of content bytes.
    pub(crate) bytes: u64,
}

/// The identity of a sealed file, as an input of its file key in addition to the sealing key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sealed<'a> {
    /// The first bytes of the file, different for each purpose.
    pub(crate) magic: [u8; 8],
    /// The locality and ingestor.
    pub(crate) instance: &'a Instance,
    /// The index of the processor.
    pub(crate) role: Role,
    /// The object's name.
    pub(crate) object: &'a str,
}

impl Sealed<'_> {
    fn key(&self, sealing: &SealingKey) -> FileKey {
        let role = self.role.to_string();
        let context: [&[u8]; 5] = [
            b"tallybox window file",
            &self.magic,
            self.instance.as_str().as_bytes(),
            role.as_bytes(),
            self.object.as_bytes(),
        ];
        FileKey::derive(sealing, &context)
    }

    fn malformed(&self, problem: &'static str) -> SealedError {
        SealedError::Malformed {
            object: self.object.to_owned(),
            problem,
        }
    }
}
