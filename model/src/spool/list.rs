//! The list of a partition's batches: what will be published, fixed before the first byte of it is.

use crate::digest::Digest;
use crate::id::{AggregationId, BatchId, KeyId};
use serde::{Deserialize, Serialize};

/// The batches of one partition of a window, JSON, created if absent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct BatchList {
    /// Format number, 1.
    pub format: u64,
    /// SHA-256 of the plan.
    pub plan: Digest,
    /// Which of the plan's partitions.
    pub partition: u32,
    /// Generation of the encoders that made the bytes.
    pub generation: u32,
    /// The batches, in order of aggregation, keys and ordinal.
    pub batches: Vec<ListedBatch>,
}

/// One batch, as both processors get it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ListedBatch {
    /// What it counts for.
    pub aggregation: AggregationId,
    /// Its id.
    pub id: BatchId,
    /// How many packets are in it.
    pub packets: u64,
    /// The keys that its shares are sealed to, the first processor's first.
    pub key_ids: [KeyId; 2],
    /// Packet file and header, for each processor in order of its index.
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
    /// That of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let (size, sha256) = (bytes.len() as u64, Digest::of(bytes));
        Self { size, sha256 }
    }
}

impl BatchList {
    /// The format number of this version.
    pub const FORMAT: u64 = 1;

    /// Reads the bytes of the object.
    ///
    /// # Errors
    /// If they are no list of this version.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let list: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if list.format != Self::FORMAT {
            return Err(format!(
                "format {} is unknown, this program reads {}",
                list.format,
                Self::FORMAT
            ));
        }
        Ok(list)
    }
}
