//! The state of the buckets, as far as scheduling needs it: complete batches, and the records of
//! each window.
//!
//! [`scan()`] fills the inventory from bounded listings. [`mod@crate::due`] reads nothing else.

mod batches;
mod buckets;
mod cache;
mod markers;
mod scan;
mod unknown_objects;
mod windows;

pub use buckets::ManagerBuckets;
pub use cache::ScanCache;
pub use scan::scan;
pub use unknown_objects::UnknownObjects;

use std::collections::BTreeMap;
use tallybox_model::extensions::RosterUse;
use tallybox_model::id::{AggregationId, BatchId};
use tallybox_model::path::BatchName;
use tallybox_model::roster::WindowName;
use tallybox_model::task::{WindowBatches, WindowKind};
use tallybox_model::time::{BatchTime, Window};

use crate::failure::FailedStart;
use crate::policy::Scope;

/// The state of the buckets.
#[derive(Clone, Debug)]
pub struct Inventory {
    /// The time ranges that were scanned.
    pub scope: Scope,
    /// The windows for which rosters are used.
    pub rosters: RosterUse,
    /// The aggregations with any object.
    pub aggregations: BTreeMap<AggregationId, Aggregation>,
    /// Objects and directories with unknown names.
    pub unknown_objects: UnknownObjects,
    /// Aggregations that could not be scanned.
    pub failed: Vec<FailedStart>,
}

/// The state of one aggregation.
#[derive(Clone, Debug, Default)]
pub struct Aggregation {
    /// The batches, ordered by date.
    pub batches: BTreeMap<(BatchTime, BatchId), BatchState>,
    /// The windows with any record, oldest first.
    pub windows: BTreeMap<Window, WindowState>,
    /// Windows that were given up because they passed the horizon without being done; true if an
    /// operator has acknowledged one.
    pub given_up: BTreeMap<Window, bool>,
}

/// The objects of a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct BatchState {
    /// The ingestion batch's header exists.
    pub header: bool,
    /// The ingestion batch's packets exist. Also true in buckets that cannot store the empty file
    /// of a batch without packets.
    pub packets: bool,
    /// The ingestion batch's signature exists.
    pub signature: bool,
    /// The signature of the peer's validation exists.
    pub validated: bool,
    /// A prepared batch exists: our intake is done.
    pub prepared: bool,
    /// The last marker of its intake.
    pub started: Option<Started>,
}

impl BatchState {
    /// Returns whether the ingestion batch is complete.
    #[must_use]
    pub fn ready(&self) -> bool {
        self.header && self.packets && self.signature
    }
}

/// The records of a window.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct WindowState {
    /// Nothing is left to do.
    pub done: bool,
    /// The sum part waits for an operator's release.
    pub held: bool,
    /// An operator has released the sum part.
    pub released: bool,
    /// Without rosters: the batches that its task names.
    pub fixed: Option<WindowBatches>,
    /// Our roster is written.
    pub our_roster: bool,
    /// The peer's roster is in our mailbox, or was copied from there.
    pub peer_roster: bool,
    /// The agreement of both rosters is recorded.
    pub agreed: bool,
    /// The last marker of each kind of task.
    pub started: BTreeMap<WindowKind, Started>,
}

/// The last marker of a task.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Started {
    /// The number of starts so far.
    pub attempt: u32,
    /// The time of the last start.
    pub at: StartedAt,
}

/// The time at which a task was last started.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StartedAt {
    /// Exactly this time.
    Time(BatchTime),
    /// This time or later, which is all that the schedule needs.
    Since(BatchTime),
    /// Unknown: ENPA's workflow manager started the task. Its marker has no time, and its task
    /// leaves no visible outcome.
    Predecessor,
}

impl Aggregation {
    /// Returns the batches of a window, ordered by date.
    pub fn batches_in(
        &self,
        window: Window,
    ) -> impl Iterator<Item = (BatchTime, BatchId, &BatchState)> {
        let lowest = BatchId::from_bytes([0; 16]);
        self.batches
            .range((window.start(), lowest)..(window.end(), lowest))
            .map(|((date, id), batch)| (*date, *id, batch))
    }
}

/// Returns the full name of a batch.
pub(crate) fn batch_name(aggregation: &AggregationId, date: BatchTime, id: BatchId) -> BatchName {
    BatchName {
        aggregation: aggregation.clone(),
        date,
        id,
    }
}

/// Returns the full name of a window.
pub(crate) fn window_name(aggregation: &AggregationId, window: Window) -> WindowName {
    WindowName {
        aggregation: aggregation.clone(),
        window,
    }
}
