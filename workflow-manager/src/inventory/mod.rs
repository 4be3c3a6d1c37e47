//! What stands in the buckets, as far as scheduling needs it: which batches are complete, which windows have what.
//!
//! [`take`] fills it from bounded listings; [`mod@crate::due`] looks at it and at nothing else.

mod foreign;
mod listing;
mod take;

pub use foreign::Foreign;
pub(crate) use take::fixed_batches;
pub use take::{Buckets, Known, take};

use std::collections::BTreeMap;
use tallybox_model::extensions::RosterUse;
use tallybox_model::id::{AggregationId, BatchId};
use tallybox_model::path::BatchName;
use tallybox_model::roster::WindowName;
use tallybox_model::task::{WindowBatches, WindowKind};
use tallybox_model::time::{BatchTime, Window};

use crate::policy::Scope;

/// What stands in the buckets.
#[derive(Clone, Debug)]
pub struct Inventory {
    /// What was looked at.
    pub scope: Scope,
    /// For which windows rosters are used.
    pub rosters: RosterUse,
    /// The aggregations that have anything.
    pub aggregations: BTreeMap<AggregationId, Aggregation>,
    /// Objects and directories that are none of ours.
    pub foreign: Foreign,
    /// Aggregations that could not be looked at, and why.
    pub failed: Vec<Unseen>,
}

/// An aggregation that could not be looked at.
#[derive(Clone, Debug)]
pub struct Unseen {
    /// Which.
    pub aggregation: AggregationId,
    /// Why.
    pub problem: String,
    /// Whether a bucket could not be reached.
    pub unreachable: bool,
}

/// What stands in the buckets of one aggregation.
#[derive(Clone, Debug, Default)]
pub struct Aggregation {
    /// Its batches, in the order of their dates.
    pub batches: BTreeMap<(BatchTime, BatchId), Batch>,
    /// Its windows of which anything is known beside batches, oldest first.
    pub windows: BTreeMap<Window, WindowState>,
    /// Windows that passed the horizon without being done, and whether an operator has acknowledged that.
    pub given_up: BTreeMap<Window, bool>,
}

/// What there is of a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Batch {
    /// Of its ingestion objects: the header.
    pub header: bool,
    /// The packets, or a bucket in which no packets need no object.
    pub packets: bool,
    /// The signature.
    pub signature: bool,
    /// The peer's validation, its signature being there.
    pub validated: bool,
    /// Our record of its intake.
    pub prepared: bool,
    /// The last marker of its intake.
    pub started: Option<Started>,
}

impl Batch {
    /// Whether the ingestion batch is complete.
    #[must_use]
    pub fn ready(&self) -> bool {
        self.header && self.packets && self.signature
    }
}

/// What there is of a window.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct WindowState {
    /// Nothing is left to do.
    pub done: bool,
    /// Its sum part waits for an operator's release.
    pub held: bool,
    /// An operator has released it.
    pub released: bool,
    /// Without rosters: the batches that its task names.
    pub fixed: Option<WindowBatches>,
    /// Our roster is fixed.
    pub our_roster: bool,
    /// The peer's roster is in our mailbox, or copied from there.
    pub peer_roster: bool,
    /// What both agree on is known.
    pub agreed: bool,
    /// The last marker of each kind of task.
    pub started: BTreeMap<WindowKind, Started>,
}

/// The last marker of a task.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Started {
    /// How many times the task has been started.
    pub attempt: u32,
    /// When it was last.
    pub at: StartedAt,
}

/// When a task was last started.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StartedAt {
    /// Then.
    Time(BatchTime),
    /// At this time or later, which is all that is needed to know.
    Since(BatchTime),
    /// By the predecessor's program, which says no time and leaves no outcome that we could see.
    Predecessor,
}

impl Aggregation {
    /// The batches of a window, in the order of their dates.
    pub fn batches_in(&self, window: Window) -> impl Iterator<Item = (BatchTime, BatchId, &Batch)> {
        let lowest = BatchId::from_bytes([0; 16]);
        self.batches
            .range((window.start(), lowest)..(window.end(), lowest))
            .map(|((date, id), batch)| (*date, *id, batch))
    }
}

/// The full name of a batch.
pub(crate) fn batch_name(aggregation: &AggregationId, date: BatchTime, id: BatchId) -> BatchName {
    BatchName {
        aggregation: aggregation.clone(),
        date,
        id,
    }
}

/// The full name of a window.
pub(crate) fn window_name(aggregation: &AggregationId, window: Window) -> WindowName {
    WindowName {
        aggregation: aggregation.clone(),
        window,
    }
}
