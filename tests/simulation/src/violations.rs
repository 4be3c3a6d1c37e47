//! The record of all violations of the rules in a run. The audit derives from it which properties
//! it can still demand.

use std::collections::{BTreeMap, BTreeSet};

use tallybox_model::id::{AggregationId, BatchId};
use tallybox_model::path::BatchName;
use tallybox_model::role::Role;
use tallybox_model::time::Window;

use crate::dishonest_ingestor::CopiedBatch;
use crate::dishonest_processor::{Tampering, TamperingKind};
use crate::editor::Edit;
use crate::machine::Storage;
use crate::stale::Stale;

/// All violations of the rules in a run.
#[derive(Clone, Debug, Default)]
pub struct Violations {
    /// Batches that a dishonest ingestor copied.
    pub copies: Vec<CopiedBatch>,
    /// Acts of tampering by dishonest processors.
    pub tampered: Vec<Tampering>,
    /// Batch names in ingestion mailboxes under which the ingestor signed nothing.
    pub garbage: BTreeSet<BatchName>,
    /// Records that an attacker with write access to an own bucket edited.
    pub edits: Vec<Edit>,
    /// Batches whose shares an ingestor sealed to a retired key of one side.
    pub stale: Vec<Stale>,
}

impl Violations {
    /// Returns the batches about which the two sides may legitimately disagree: those under two
    /// dates, of which each side accepts the one that it read first, and those whose validation
    /// batch was replaced.
    #[must_use]
    pub fn doubtful(&self) -> BTreeSet<BatchId> {
        let copies = self
            .copies
            .iter()
            .filter(|copy| copy.original.id == copy.to.id);
        let validations = self.tampered.iter().filter_map(|act| match &act.kind {
            TamperingKind::Validation(name) | TamperingKind::Oversized(name) => Some(name.id),
            TamperingKind::Roster(_)
            | TamperingKind::Replay(_)
            | TamperingKind::Flood(_)
            | TamperingKind::Entry(_)
            | TamperingKind::Terms(_) => None,
        });
        copies
            .map(|copy| copy.original.id)
            .chain(validations)
            .collect()
    }

    /// Returns whether rosters of an aggregation may have been delayed until the manipulated
    /// objects were restored.
    #[must_use]
    pub fn delayed(&self, aggregation: &AggregationId) -> bool {
        let edited = self
            .edits
            .iter()
            .any(|edit| edit.window.aggregation == *aggregation);
        edited
            || self.tampered.iter().any(|act| match &act.kind {
                TamperingKind::Roster(name)
                | TamperingKind::Replay(name)
                | TamperingKind::Flood(name) => name.aggregation == *aggregation,
                TamperingKind::Validation(_)
                | TamperingKind::Oversized(_)
                | TamperingKind::Entry(_)
                | TamperingKind::Terms(_) => false,
            })
    }

    /// Returns whether this is not a batch that both sides can take in: the ingestor did not sign
    /// it, or one side has no key for it.
    #[must_use]
    pub fn is_no_batch(&self, name: &BatchName) -> bool {
        self.garbage.contains(name) || self.stale.iter().any(|stale| stale.name == *name)
    }

    /// Returns whether a dishonest processor listed this batch, although the ingestor never wrote
    /// it.
    #[must_use]
    pub fn is_false_entry(&self, batch: &BatchName) -> bool {
        self.tampered
            .iter()
            .any(|act| matches!(&act.kind, TamperingKind::Entry(name) if name == batch))
    }

    /// Returns the aggregations of which the two sides have read different rosters, with the first
    /// such window. This happens if a roster was replaced before its reader had copied it.
    #[must_use]
    pub fn split(&self, storage: &Storage) -> BTreeMap<AggregationId, Window> {
        let mut split: BTreeMap<AggregationId, Window> = BTreeMap::new();
        for act in &self.tampered {
            let TamperingKind::Roster(name) = &act.kind else {
                continue;
            };
            let writer: Role = act.victim.peer();
            let copied = storage.own[act.victim.index()].made_at(&name.roster(writer));
            if copied.is_none_or(|copied| copied >= act.at) {
                let first = split.entry(name.aggregation.clone()).or_insert(name.window);
                *first = name.window.min(*first);
            }
        }
        split
    }
}
