//! What an ingestor keeps between a report and its batch: plans, lists of batches, names in the spool.
//!
//! Slabs are container files of [`StoredReport`](crate::report::StoredReport) records. Everything else is small:
//! a [`Plan`] fixes what a window's batches are made of, a [`BatchList`] fixes what will be published.

mod list;
mod names;
mod plan;

pub use list::{BatchList, FixedObject, ListedBatch};
pub use names::{SlabName, SpoolNames};
pub use plan::{Cut, Plan, PlannedSlab};
