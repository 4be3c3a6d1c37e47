//! How much a reader takes from a file that somebody else wrote.

use serde::{Deserialize, Serialize};

/// What a file has besides its records: schema, metadata, and in a batch of one object the header and the signature.
const FRAMING: u64 = 256 << 10;
/// The most bytes of an entry of a roster.
const ROSTER_ENTRY: u64 = 64 << 10;
/// The most bytes that a verification message takes in a file, in a block of its own.
const MESSAGE: u64 = 128;

/// Bounds on a container file. Everything beyond is refused before it is allocated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Limits {
    /// The whole object, in bytes as stored. Default 1 GiB.
    pub object_bytes: u64,
    /// A block, in bytes, before and after decompression. Default 64 MiB.
    pub block_bytes: u64,
    /// The strings and bytes of one record together, in bytes. Default 8 MiB.
    pub record_bytes: u64,
    /// Decompressed bytes for a compressed one. Default 100; blocks of up to 64 KiB are exempt.
    pub expansion_ratio: u64,
    /// Records in one file. Default 16,777,216.
    pub records: u64,
    /// All blocks of one file together, in bytes after decompression. Default 16 GiB.
    pub file_bytes: u64,
    /// Entries of a roster. Default 65,536, which is the most that a writer lists.
    pub roster_entries: u64,
    /// The entries of a roster together, in bytes as stored and after decompression. Default 32 MiB.
    pub roster_bytes: u64,
    /// Metadata of the file, its schema included, in bytes. Default 64 KiB.
    pub metadata_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            object_bytes: 1 << 30,
            block_bytes: 64 << 20,
            record_bytes: 8 << 20,
            expansion_ratio: 100,
            records: 1 << 24,
            file_bytes: 1 << 34,
            roster_entries: 1 << 16,
            roster_bytes: 32 << 20,
            metadata_bytes: 64 << 10,
        }
    }
}

impl Limits {
    /// The limits for a header, which is one small record: at most 16 MiB in all.
    #[must_use]
    pub fn for_header(&self) -> Self {
        let most = 16 << 20;
        Self {
            object_bytes: self.object_bytes.min(most),
            block_bytes: self.block_bytes.min(most),
            file_bytes: self.file_bytes.min(most),
            records: 1,
            ..self.clone()
        }
    }

    /// The limits for a signature object, which may hold a whole batch inline: one record, as large as a block.
    #[must_use]
    pub fn for_signature(&self) -> Self {
        Self {
            object_bytes: self.object_bytes.min(self.block_bytes.saturating_add(FRAMING)),
            record_bytes: self.block_bytes,
            records: 1,
            ..self.clone()
        }
    }

    /// The limits for a roster, which is a batch in one object. Its blocks are small, so that no more than a part of it is
    /// in memory twice.
    #[must_use]
    pub fn for_roster(&self) -> Self {
        Self {
            object_bytes: self.object_bytes.min(self.roster_bytes.saturating_add(FRAMING)),
            block_bytes: self.block_bytes.min(self.roster_bytes),
            file_bytes: self.file_bytes.min(self.roster_bytes),
            record_bytes: self.record_bytes.min(ROSTER_ENTRY),
            records: self.roster_entries,
            ..self.clone()
        }
    }

    /// The limits for a peer's file of so many packets at most, each of which has an identifier and a few numbers.
    #[must_use]
    pub fn for_messages(&self, packets: u64) -> Self {
        let most = FRAMING.saturating_add(packets.saturating_mul(MESSAGE));
        Self {
            object_bytes: self.object_bytes.min(most),
            block_bytes: self.block_bytes.min(most),
            file_bytes: self.file_bytes.min(most),
            ..self.clone()
        }
    }
}
