//! The results of earlier windows: closed batches, reported dates, and the terms in force.

use std::collections::HashMap;
use tallybox_model::id::BatchId;
use tallybox_model::roster::{AgreedWindow, DatedBatch, RosterTerms};
use tallybox_model::time::Window;

/// The results of earlier windows.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// Batches that were summed or excluded. Either closes the identifier, because a batch counts
    /// under one date only.
    settled: HashMap<BatchId, Window>,
    /// Batches that expired under a date. An expiry does not close other dates of the identifier:
    /// the entry in the roster is signed by the processor that lists it, not by the ingestor.
    expired: HashMap<DatedBatch, Window>,
    /// Dates that were reported because an identifier has several.
    reported: HashMap<DatedBatch, Window>,
    terms: Option<[RosterTerms; 2]>,
}

impl History {
    /// Adds the agreed set of a window that is later than all previous ones.
    pub fn push(&mut self, agreed: &AgreedWindow) {
        let window = agreed.window;
        // The latest window replaces earlier ones: a processor that reads further back than the
        // other has to get the same answer.
        for batch in agreed.settled() {
            self.settled.insert(batch.id, window);
        }
        for expired in &agreed.expired {
            self.expired.insert(expired.batch, window);
        }
        for several in &agreed.several_dates {
            let batch = |date: &_| DatedBatch {
                date: *date,
                id: several.batch,
            };
            let dates = several.dates.iter().map(batch);
            self.reported.extend(dates.map(|dated| (dated, window)));
        }
        self.terms = agreed.terms;
    }

    /// Returns whether the batch is closed under this date, so that no later window can contain it.
    #[must_use]
    pub fn is_closed(&self, batch: &DatedBatch) -> bool {
        self.closed_in(batch).is_some()
    }

    /// Returns the last window that summed or excluded the batch under any date, or in which it
    /// expired under this date.
    #[must_use]
    pub fn closed_in(&self, batch: &DatedBatch) -> Option<Window> {
        let settled = self.settled.get(&batch.id).copied();
        settled.max(self.expired.get(batch).copied())
    }

    /// Returns the last window that reported this date as one of several of its identifier.
    #[must_use]
    pub fn reported_in(&self, batch: &DatedBatch) -> Option<Window> {
        self.reported.get(batch).copied()
    }

    /// Returns the terms in force, once both processors have written their first roster.
    #[must_use]
    pub fn terms(&self) -> Option<[RosterTerms; 2]> {
        self.terms
    }
}
