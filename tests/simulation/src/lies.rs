//! What was done against the rules in a run, and what can still be promised then.

use std::collections::{BTreeMap, BTreeSet};

use tallybox_model::id::{AggregationId, BatchId};
use tallybox_model::path::BatchName;
use tallybox_model::role::Role;
use tallybox_model::time::Window;

use crate::editor::Edit;
use crate::liar::Copy;
use crate::machine::Places;
use crate::stale::Stale;
use crate::tamper::{Lie, Told};

/// All lies of a run.
#[derive(Clone, Debug, Default)]
pub struct Lies {
    /// Of the ingestor.
    pub copies: Vec<Copy>,
    /// Of the processors.
    pub told: Vec<Told>,
    /// Names in ingestion mailboxes under which the ingestor signed nothing.
    pub garbage: BTreeSet<BatchName>,
    /// Of somebody who can write to an own bucket.
    pub edits: Vec<Edit>,
    /// Batches of an ingestor that seals shares to a retired key.
    pub stale: Vec<Stale>,
}

impl Lies {
    /// Batches of which the sides need not find the same: those under two dates, of which each side takes the one that it
    /// saw first, and those whose validation was replaced.
    #[must_use]
    pub fn doubtful(&self) -> BTreeSet<BatchId> {
        let copies = self.copies.iter().filter(|copy| copy.of.id == copy.to.id);
        let validations = self.told.iter().filter_map(|told| match &told.lie {
            Lie::Validation(name) | Lie::Oversized(name) => Some(name.id),
            Lie::Roster(_) | Lie::Replay(_) | Lie::Flood(_) | Lie::Entry(_) | Lie::Terms(_) => None,
        });
        copies.map(|copy| copy.of.id).chain(validations).collect()
    }

    /// Whether rosters of an aggregation may have waited until everything was set right.
    #[must_use]
    pub fn delayed(&self, aggregation: &AggregationId) -> bool {
        let edited = self.edits.iter().any(|edit| edit.window.aggregation == *aggregation);
        edited
            || self.told.iter().any(|told| match &told.lie {
                Lie::Roster(name) | Lie::Replay(name) | Lie::Flood(name) => name.aggregation == *aggregation,
                Lie::Validation(_) | Lie::Oversized(_) | Lie::Entry(_) | Lie::Terms(_) => false,
            })
    }

    /// Whether this is no batch of the ingestor's that both sides could take in: nobody signed it, or one side has no key
    /// for it.
    #[must_use]
    pub fn is_no_batch(&self, name: &BatchName) -> bool {
        self.garbage.contains(name) || self.stale.iter().any(|stale| stale.name == *name)
    }

    /// Whether a processor lists this batch, and the ingestor never made it.
    #[must_use]
    pub fn is_false_entry(&self, batch: &BatchName) -> bool {
        self.told
            .iter()
            .any(|told| matches!(&told.lie, Lie::Entry(name) if name == batch))
    }

    /// The aggregations of which the sides have read different rosters, and the first such window: a roster was replaced
    /// before its reader had a copy of it.
    #[must_use]
    pub fn split(&self, places: &Places) -> BTreeMap<AggregationId, Window> {
        let mut split: BTreeMap<AggregationId, Window> = BTreeMap::new();
        for told in &self.told {
            let Lie::Roster(name) = &told.lie else {
                continue;
            };
            let writer: Role = told.victim.peer();
            let copied = places.own[told.victim.index()].made_at(&name.roster(writer));
            if copied.is_none_or(|copied| copied >= told.at) {
                let first = split.entry(name.aggregation.clone()).or_insert(name.window);
                *first = name.window.min(*first);
            }
        }
        split
    }
}
