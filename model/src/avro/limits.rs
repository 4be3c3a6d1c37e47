//! How much a reader takes from a file that somebody else wrote.

use serde::{Deserialize, Serialize};

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
            records: 1,
            ..self.clone()
        }
    }

    /// The limits for a signature object, which may hold a whole batch inline: one record, as large as a block.
    #[must_use]
    pub fn for_signature(&self) -> Self {
        Self {
            record_bytes: self.block_bytes,
            records: 1,
            ..self.clone()
        }
    }
}
