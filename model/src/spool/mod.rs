//! The objects that an ingestor stores between a report and its batch: plans, lists of batches, and
//! the names in the spool.
//!
//! Slabs are container files of [`StoredReport`](crate::report::StoredReport) records. The other
//! objects are small: a [`Plan`] fixes the input of a window's batches, and a [`BatchList`] fixes
//! the content to publish.

mod list;
mod names;
mod plan;

pub use list::{BatchList, FixedObject, ListedBatch};
pub use names::{SlabName, SpoolNames};
pub use plan::{Cut, Plan, PlannedSlab};
