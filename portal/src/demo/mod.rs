//! Generated data for a demonstration of the pages: the predecessor's metrics over 60 days, with
//! everything that goes wrong in practice. The data is the same for every run on one day.
//!
//! | module | contents |
//! |---|---|
//! | `answers` | true answers of imaginary phones, and their randomised response |
//! | `world` | which windows exist, and which are missing, refused, suppressed or corrected |
//! | `evidence` | real signed sum parts of a row, verified and added |

mod answers;
mod evidence;
mod world;

use tallybox_model::registry::Registry;

use crate::error::Error;
use crate::web::Memory;

/// Windows with fewer reports than this are suppressed in the demo.
pub const MINIMUM: u64 = 100;

const REGISTRY: &str = include_str!("../../demo/registry.json");

/// Generates the data that a portal would have at a time in milliseconds since the epoch.
///
/// # Errors
/// [`Error::Demo`] if the program's own demo data is faulty.
pub fn generate(now: i64) -> Result<Memory, Error> {
    let registry: Registry = serde_json::from_str(REGISTRY).map_err(Error::Demo)?;
    let (rows, findings) = world::generate(&registry, now);
    Ok(Memory::new(registry, rows, findings, evidence::prover()))
}
