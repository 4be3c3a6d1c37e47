//! Prepared batches: a processor's own sealed record of an intake.
//!
//! It holds what the peer was told and what was found inside the packets, so that a window can be summed without
//! opening a packet again, and so that what was published can be published again to the byte.
//!
//! ```text
//! 8 bytes   "TALLYPB1"
//! 32 bytes  SHA-256 of the ingestion header file (an input of the file key)
//! chunks    sealed one by one (AES-256-GCM-SIV, 16-byte tag), numbered from 0:
//!             messages  id (16) ‖ f ‖ g ‖ h (4 each, little-endian), for some packets in a row
//!             shares    the same packets' shares: First d elements of 4 bytes, Second the seed of 32
//!             rejects   id (16) ‖ reason code (1)
//!             sum       of all those shares, d elements of 4 bytes, little-endian
//!             footer    JSON: counts, what is fixed, the packet keys used, where each chunk is; always last
//! 12 bytes  offset of the footer (8) ‖ its chunk number (4), little-endian
//! ```

mod footer;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

pub use footer::{ChunkEntry, ChunkKind, FixedObject, FixedValidation, Footer, KeyUse};
pub(crate) use reader::collect;
pub use reader::{PreparedMessage, PreparedReader};
pub use writer::PreparedWriter;

use tallybox_crypto::prepared::FileKey;
use tallybox_crypto::{SealError, SealingKey};
use tallybox_model::digest::Digest;
use tallybox_model::id::Instance;
use tallybox_model::path::BatchName;
use tallybox_model::role::Role;
use tallybox_transport::BucketError;

/// The first bytes of a prepared batch.
const MAGIC: [u8; 8] = *b"TALLYPB1";
/// Magic and header digest.
const HEAD_BYTES: u64 = 40;
/// Offset and number of the footer.
const TAIL_BYTES: u64 = 12;
/// A message with its identifier.
const MESSAGE_BYTES: usize = 28;
/// A rejected packet with its reason.
const REJECT_BYTES: usize = 17;

/// Why a prepared batch cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PreparedError {
    /// The own bucket fails.
    #[error(transparent)]
    Bucket(#[from] BucketError),
    /// Damaged, or sealed with a key that we do not have any more.
    #[error("{object}: the prepared batch does not open")]
    Sealed {
        /// The object.
        object: String,
        /// What the cipher says.
        #[source]
        source: SealError,
    },
    /// It opens, but is not what this program writes.
    #[error("{object}: the prepared batch is malformed: {problem}")]
    Malformed {
        /// The object.
        object: String,
        /// What is wrong.
        problem: &'static str,
    },
}

/// Whose prepared batch: what goes into its file key, beside the sealing key.
#[derive(Clone, Copy, Debug)]
pub struct Owner<'a> {
    /// Locality and ingestor.
    pub instance: &'a Instance,
    /// Which processor.
    pub role: Role,
}

impl Owner<'_> {
    fn file_key(&self, sealing: &SealingKey, batch: &BatchName, ingestion_header: Digest) -> FileKey {
        let (role, batch_text) = (self.role.to_string(), batch.to_string());
        let context: [&[u8]; 5] = [
            b"tallybox prepared batch",
            self.instance.as_str().as_bytes(),
            role.as_bytes(),
            batch_text.as_bytes(),
            &ingestion_header.0,
        ];
        FileKey::derive(sealing, &context)
    }
}
