//! Sealed files of our own bucket that belong to a window: chunks, a footer that says where each is, and a tail.
//!
//! ```text
//! 8 bytes   what it is
//! 1 byte    length of the name of the sealing key
//! n bytes   the name of the sealing key
//! chunks    sealed one by one (AES-256-GCM-SIV, 16-byte tag), numbered from 0; the last is the footer, JSON
//! 12 bytes  offset of the footer (8) ‖ its chunk number (4), little-endian
//! ```
//!
//! The object's name does not name the key: of two runs with different keys only one can make the object.

mod reader;
#[cfg(test)]
mod tests;
mod writer;

pub(crate) use reader::SealedReader;
pub(crate) use writer::SealedWriter;

use serde::{Deserialize, Serialize};
use tallybox_crypto::prepared::FileKey;
use tallybox_crypto::{SealError, SealingKey};
use tallybox_model::id::Instance;
use tallybox_model::role::Role;
use tallybox_transport::BucketError;

/// Offset and number of the footer.
const TAIL_BYTES: u64 = 12;

/// Why a sealed file cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealedError {
    /// The own bucket fails.
    #[error(transparent)]
    Bucket(#[from] BucketError),
    /// Sealed with a key that we do not have any more.
    #[error("{object}: sealed with key {key}, which is not among prepared-sealing-key")]
    UnknownKey {
        /// The object.
        object: String,
        /// The key's name.
        key: String,
    },
    /// Damaged.
    #[error("{object}: the sealed file does not open")]
    Sealed {
        /// The object.
        object: String,
        /// What the cipher says.
        #[source]
        source: SealError,
    },
    /// It opens, but is not what this program writes.
    #[error("{object}: the sealed file is malformed: {problem}")]
    Malformed {
        /// The object.
        object: String,
        /// What is wrong.
        problem: &'static str,
    },
}

/// Where a chunk is, and what it holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SealedChunk<K> {
    /// What it holds.
    pub(crate) kind: K,
    /// Its first byte in the file.
    pub(crate) offset: u64,
    /// Its sealed length in bytes.
    pub(crate) length: u64,
    /// The place of its first byte among all bytes of its kind.
    pub(crate) first: u64,
    /// How many bytes it holds.
    pub(crate) bytes: u64,
}

/// What a sealed file is: what goes into its key beside the sealing key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sealed<'a> {
    /// The first bytes, different for each purpose.
    pub(crate) magic: [u8; 8],
    /// Locality and ingestor.
    pub(crate) instance: &'a Instance,
    /// Which processor.
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
