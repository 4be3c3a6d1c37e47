//! The list of a partition's batches: the content to publish, fixed before the first byte is
//! published.

use crate::digest::Digest;
use crate::id::{AggregationId, BatchId, KeyId};
use serde::{Deserialize, Serialize};

/// The batches of one partition of a window, as JSON in an object that is created if absent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct BatchList {
    /// Format number, 1.
    pub format: u64,
    /// SHA-256 of the plan.
    pub plan: Digest,
    /// The index of the plan's partition.
    pub partition: u32,
    /// Generation of the encoders that produced the bytes.
    pub generation: u32,
    /// The batches, in order of aggregation, keys and ordinal.
    pub batches: Vec<ListedBatch>,
}

/// One batch, as published to both processors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ListedBatch {
    /// The aggregation to which the batch belongs.
    pub aggregation: AggregationId,
    /// The batch's identifier.
    pub id: BatchId,
    /// The number of packets in the batch.
    pub packets: u64,
    /// The keys to which its shares are encrypted, the first processor's first.
    pub key_ids: [KeyId; 2],
    /// The packet file and the header, for each processor in order of its index.
    pub objects: Vec<[FixedObject; 2]>,
}

/// The length and digest of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct FixedObject {
    /// Length in bytes.
    pub size: u64,
    /// SHA-256.
    pub sha256: Digest,
}

impl FixedObject {
    /// Computes length and digest of these bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let (size, sha256) = (bytes.len() as u64, Digest::sha256(bytes));
        Self { size, sha256 }
    }
}

impl BatchList {
    /// The format number of this version.
    pub const FORMAT: u64 = 1;

    /// Parses the bytes of the object.
    ///
    /// # Errors
    /// The reason, if the bytes are not a list of this version.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let list: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if list.format != Self::FORMAT {
            return Err(format!(
                "format {} is not supported, only {}",
                list.format,
                Self::FORMAT
            ));
        }
        Ok(list)
    }
}
