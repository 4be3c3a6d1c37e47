//! The plan of a window: all inputs that determine its batches.

use crate::digest::Digest;
use crate::id::Instance;
use crate::time::{BatchTime, Window};
use serde::{Deserialize, Serialize};

/// The plan of a window, as JSON in an object that is created if absent. A process that loses the
/// race adopts the existing plan.
///
/// Plans form a log. The plan of a window is written when the previous window is complete, and
/// names every slab that no earlier plan names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Plan {
    /// Format number, 1.
    pub format: u64,
    /// The pair of locality and ingestor.
    pub instance: Instance,
    /// The window.
    pub window: Window,
    /// The date in the names of its batches: the start of the window, or its end for peers that
    /// expect the end.
    pub date: BatchTime,
    /// SHA-256 of the previous plan; `None` for the first plan.
    pub previous: Option<Digest>,
    /// Generation of the encoders that write the batches.
    pub generation: u32,
    /// The id of the secret from which batch ids, packet ids and the order of packets are derived.
    pub secret: String,
    /// Version of the registry in force when the plan was written. For operators only.
    pub registry_version: u64,
    /// The number of partitions into which the batches are divided, one for each job.
    pub partitions: u32,
    /// The limits on the size of batches.
    pub cut: Cut,
    /// The range in which a report is recognised as a replay, in lengths of this window. Every
    /// window that ends later than that is searched.
    pub replay_windows: u32,
    /// The slabs, sorted by name.
    pub slabs: Vec<PlannedSlab>,
}

/// A slab of a plan.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PlannedSlab {
    /// The slab's object name.
    pub key: String,
    /// The slab's length in bytes.
    pub size: u64,
}

/// The limits on the size of batches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Cut {
    /// Maximum number of packets of a batch.
    pub max_packets: u64,
    /// Maximum size of a batch's packet file, in bytes.
    pub max_bytes: u64,
    /// Minimum number of packets of a batch. Smaller numbers are carried to the next window.
    pub min_packets: u64,
    /// Maximum number of windows for which packets are carried before they are dropped.
    pub max_carry_windows: u32,
}

impl Plan {
    /// The format number of this version.
    pub const FORMAT: u64 = 1;

    /// Serialises the plan to the bytes of the object.
    ///
    /// # Errors
    /// The serialiser's error, which values of this type never cause.
    pub fn to_json(&self) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(self)
    }

    /// Parses the bytes of the object.
    ///
    /// # Errors
    /// The reason, if the bytes are not a plan of this version.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let plan: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if plan.format != Self::FORMAT {
            return Err(format!(
                "format {} is not supported, only {}",
                plan.format,
                Self::FORMAT
            ));
        }
        Ok(plan)
    }
}
