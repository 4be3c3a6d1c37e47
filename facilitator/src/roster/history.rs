//! What earlier windows have decided: which batches are closed, which dates were reported, which terms hold.

use std::collections::HashMap;
use tallybox_model::id::BatchId;
use tallybox_model::roster::{AgreedWindow, DatedBatch, RosterTerms};
use tallybox_model::time::Window;
use tallybox_service::fault;

/// What is known of the windows before.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// Batches that were summed or excluded. That closes the identifier, since a batch counts under one date only.
    settled: HashMap<BatchId, Window>,
    /// Batches that expired under a date. That says nothing about another date: a name under which a batch is listed
    /// is signed by the side that lists it, not by the ingestor.
    expired: HashMap<DatedBatch, Window>,
    /// Dates that were reported as one of several of an identifier.
    reported: HashMap<DatedBatch, Window>,
    terms: Option<[RosterTerms; 2]>,
}

impl History {
    /// Takes what was agreed on a window, which is later than those before.
    pub fn push(&mut self, agreed: &AgreedWindow) {
        let window = agreed.window;
        // The last one counts: a side that looks further back than the other must not come to another answer.
        for batch in agreed.settled() {
            self.settled.insert(batch.id, window);
        }
        for expired in &agreed.expired {
            if fault::is_on("expiry-closes-id") {
                self.settled.insert(expired.batch.id, window);
            }
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

    /// Whether no later window can hold the batch under this date.
    #[must_use]
    pub fn is_closed(&self, batch: &DatedBatch) -> bool {
        self.closed_in(batch).is_some()
    }

    /// The last window that settled the batch under any date, or saw it expire under this one.
    #[must_use]
    pub fn closed_in(&self, batch: &DatedBatch) -> Option<Window> {
        let settled = self.settled.get(&batch.id).copied();
        settled.max(self.expired.get(batch).copied())
    }

    /// The last window that reported this date as one of several of its identifier.
    #[must_use]
    pub fn reported_in(&self, batch: &DatedBatch) -> Option<Window> {
        self.reported.get(batch).copied()
    }

    /// The terms that hold, once both chains have begun.
    #[must_use]
    pub fn terms(&self) -> Option<[RosterTerms; 2]> {
        self.terms
    }
}
