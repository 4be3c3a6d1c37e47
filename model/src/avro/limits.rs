//! The limits that a reader applies to a file from another organisation.

use serde::{Deserialize, Serialize};

/// Maximum size of the parts of a file other than its records, in bytes: schema, metadata, and the
/// header and the signature of a batch in one object.
const FRAMING_BYTES: u64 = 256 << 10;
/// Maximum size of an entry of a roster, in bytes.
const ROSTER_ENTRY_BYTES: u64 = 64 << 10;
/// Maximum size of a verification message in a file, in bytes, if it is alone in its block.
const MESSAGE_BYTES: u64 = 128;

/// Limits on a container file. A reader refuses larger content before it allocates memory for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct FileLimits {
    /// Size of the whole object as stored, in bytes. Default 1 GiB.
    pub object_bytes: u64,
    /// Size of a block, before and after decompression, in bytes. Default 64 MiB.
    pub block_bytes: u64,
    /// Total size of the strings and byte strings of one record, in bytes. Default 8 MiB.
    pub record_bytes: u64,
    /// Ratio of decompressed to compressed bytes. Default 100; blocks of up to 64 KiB are exempt.
    pub expansion_ratio: u64,
    /// Number of records in one file. Default 16,777,216.
    pub records: u64,
    /// Total size of all blocks of one file after decompression, in bytes. Default 16 GiB.
    pub file_bytes: u64,
    /// Number of entries of a roster. Default 65,536, which is also the limit of the writer.
    pub roster_entries: u64,
    /// Total size of the entries of a roster, as stored and after decompression, in bytes. Default
    /// 32 MiB.
    pub roster_bytes: u64,
    /// Size of the file's metadata, including its schema, in bytes. Default 64 KiB.
    pub metadata_bytes: u64,
}

impl Default for FileLimits {
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

impl FileLimits {
    /// Returns the limits for a header, which is one small record: at most 16 MiB in total.
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

    /// Returns the limits for a signature object, which can contain a whole batch inline: one
    /// record of up to the size of a block.
    #[must_use]
    pub fn for_signature(&self) -> Self {
        Self {
            object_bytes: self
                .object_bytes
                .min(self.block_bytes.saturating_add(FRAMING_BYTES)),
            record_bytes: self.block_bytes,
            records: 1,
            ..self.clone()
        }
    }

    /// Returns the limits for a roster, which is a batch in one object. Its blocks are small, so
    /// that only a part of the roster is in memory twice.
    #[must_use]
    pub fn for_roster(&self) -> Self {
        Self {
            object_bytes: self
                .object_bytes
                .min(self.roster_bytes.saturating_add(FRAMING_BYTES)),
            block_bytes: self.block_bytes.min(self.roster_bytes),
            file_bytes: self.file_bytes.min(self.roster_bytes),
            record_bytes: self.record_bytes.min(ROSTER_ENTRY_BYTES),
            records: self.roster_entries,
            ..self.clone()
        }
    }

    /// Returns the limits for a peer's file of at most `packets` packets, each of which has an
    /// identifier and a few numbers.
    #[must_use]
    pub fn for_messages(&self, packets: u64) -> Self {
        let most = FRAMING_BYTES.saturating_add(packets.saturating_mul(MESSAGE_BYTES));
        Self {
            object_bytes: self.object_bytes.min(most),
            block_bytes: self.block_bytes.min(most),
            file_bytes: self.file_bytes.min(most),
            ..self.clone()
        }
    }
}
