//! The plan of a window: everything that its batches are a function of.

use crate::digest::Digest;
use crate::id::Instance;
use crate::time::{BatchTime, Window};
use serde::{Deserialize, Serialize};

/// A window's plan, JSON, created if absent: who loses the race adopts what is there.
///
/// Plans form a chain: that of a window is made when the window before is
/// done, and names every slab that none before names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Plan {
    /// Format number, 1.
    pub format: u64,
    /// Locality and ingestor.
    pub instance: Instance,
    /// The window.
    pub window: Window,
    /// The date in the names of its batches: the start of the window, or its end for peers that expect that.
    pub date: BatchTime,
    /// SHA-256 of the plan before; none at the first.
    pub previous: Option<Digest>,
    /// Generation of the encoders that write the batches.
    pub generation: u32,
    /// Which secret batch ids, packet ids and the order of packets follow from.
    pub secret: String,
    /// Version of the registry in force when the plan was made; for people.
    pub registry_version: u64,
    /// Into how many parts the batches are divided, to be written by as many jobs.
    pub partitions: u32,
    /// How batches are cut.
    pub cut: Cut,
    /// How far back a report is known as a replay, in lengths of this window: looked for in every window that ends later.
    pub replay_windows: u32,
    /// The slabs, sorted by name.
    pub slabs: Vec<PlannedSlab>,
}

/// A slab of a plan.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PlannedSlab {
    /// Its object name.
    pub key: String,
    /// Its length in bytes.
    pub size: u64,
}

/// How batches are cut.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Cut {
    /// Most packets of a batch.
    pub max_packets: u64,
    /// Most bytes of a batch's packet file.
    pub max_bytes: u64,
    /// Fewest packets of a batch: fewer are carried to the next window.
    pub min_packets: u64,
    /// For how many windows they are carried at most, before they are dropped.
    pub max_carry_windows: u32,
}

impl Plan {
    /// The format number of this version.
    pub const FORMAT: u64 = 1;

    /// The bytes of the object.
    ///
    /// # Errors
    /// None that this type can cause.
    pub fn to_json(&self) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(self)
    }

    /// Reads the bytes of the object.
    ///
    /// # Errors
    /// If they are no plan of this version.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let plan: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if plan.format != Self::FORMAT {
            return Err(format!(
                "format {} is unknown, this program reads {}",
                plan.format,
                Self::FORMAT
            ));
        }
        Ok(plan)
    }
}
