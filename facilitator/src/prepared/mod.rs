//! Prepared batches: a processor's own sealed record of an intake.
//!
//! A prepared batch contains the verification messages for the peer and the shares inside the
//! packets. A window can therefore be summed without decrypting packets again, and the validation
//! batch can be published again with the same bytes.
//!
//! ```text
//! 8 bytes   "TALLYPB1"
//! 32 bytes  SHA-256 of the ingestion header file (an input of the file key)
//! chunks    sealed one by one (AES-256-GCM-SIV, 16-byte tag), numbered from 0:
//!             messages  id (16) ‖ f ‖ g ‖ h (4 each, little-endian), for some packets in a row
//!             shares    of the same packets: First d elements of 4 bytes, Second a 32-byte seed
//!             rejects   id (16) ‖ reason code (1)
//!             sum       of all those shares, d elements of 4 bytes, little-endian
//!             footer    JSON: counts, the fixed validation batch, the packet keys used, and the
//!                       location of each chunk; always last
//! 12 bytes  offset of the footer (8) ‖ its chunk number (4), little-endian
//! ```

mod footer;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

pub use footer::{ChunkEntry, ChunkKind, FixedFile, FixedValidation, Footer, KeyUse};
pub use reader::{PreparedMessage, PreparedReader};
pub use writer::PreparedWriter;

use crate::sealed::SealedError;
use tallybox_crypto::SealingKey;
use tallybox_crypto::prepared::FileKey;
use tallybox_model::digest::Digest;
use tallybox_model::id::Instance;
use tallybox_model::path::BatchName;
use tallybox_model::role::Role;
use tallybox_transport::BucketError;

/// The first bytes of a prepared batch.
const MAGIC: [u8; 8] = *b"TALLYPB1";
/// The length of the magic and the header digest.
const HEAD_BYTES: u64 = 40;
/// The length of a verification message with its packet identifier.
const MESSAGE_BYTES: usize = 28;
/// The length of a rejected packet's identifier with its reason code.
const REJECT_BYTES: usize = 17;

/// Why a prepared batch cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct PreparedError(#[from] pub(crate) SealedError);

impl From<BucketError> for PreparedError {
    fn from(error: BucketError) -> Self {
        Self(error.into())
    }
}

/// The owner of a prepared batch, as an input of its file key in addition to the sealing key.
#[derive(Clone, Copy, Debug)]
pub struct Owner<'a> {
    /// The locality and ingestor.
    pub instance: &'a Instance,
    /// The index of the processor.
    pub role: Role,
}

impl Owner<'_> {
    fn file_key(
        &self,
        sealing: &SealingKey,
        batch: &BatchName,
        ingestion_header: Digest,
    ) -> FileKey {
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
