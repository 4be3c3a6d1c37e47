//! Finds the objects of the batches that a roster may list.

use super::store::RosterStore;
use crate::error::Error;
use futures::TryStreamExt as _;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use tallybox_model::path::{BatchName, BatchPart};
use tallybox_model::roster::DatedBatch;
use tallybox_model::time::Window;

/// The most batches per window of which only the peer's validation batch is known.
const MOST_UNKNOWN_BATCHES: usize = 4096;

/// The objects of a batch that exist.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ExistingObjects {
    pub(super) ingestion: bool,
    pub(super) prepared: bool,
    pub(super) validation: bool,
    /// True if an earlier roster of ours listed the batch, so that its signature has been verified.
    pub(super) listed: bool,
}

/// The objects of each batch that a roster may list.
pub(super) type Candidates = BTreeMap<DatedBatch, ExistingObjects>;

/// Lists the objects of batches with these dates in all buckets. The keys are not collected, because
/// other parties determine their number.
pub(super) async fn list_candidates(
    store: &RosterStore<'_>,
    dates: Window,
) -> Result<Candidates, Error> {
    let buckets = &store.processor.buckets;
    let peer = buckets.role.peer();
    let mut candidates = Candidates::new();
    let mut ingested = store.list_batches(&*buckets.ingestion, dates).await?;
    while let Some(entry) = ingested.try_next().await? {
        if let Some(batch) = BatchName::from_ingestion_signature(&entry.key) {
            let batch = DatedBatch::from_batch(&batch);
            candidates.entry(batch).or_default().ingestion = true;
        }
    }
    let mut prepared = store.list_batches(&*buckets.own, dates).await?;
    while let Some(entry) = prepared.try_next().await? {
        if let Some(batch) = BatchName::from_prepared(&entry.key) {
            let batch = DatedBatch::from_batch(&batch);
            candidates.entry(batch).or_default().prepared = true;
        }
    }
    let most = candidates.len() + MOST_UNKNOWN_BATCHES;
    let mailbox = &*buckets.peer_validation_in;
    let mut validated = store.list_batches(mailbox, dates).await?;
    while let Some(entry) = validated.try_next().await? {
        let Some((batch, BatchPart::Signature)) = BatchName::validation_part(&entry.key, peer)
        else {
            continue;
        };
        let is_full = candidates.len() >= most;
        match candidates.entry(DatedBatch::from_batch(&batch)) {
            Entry::Occupied(mut entry) => entry.get_mut().validation = true,
            Entry::Vacant(_) if is_full => {}
            Entry::Vacant(entry) => entry.insert(ExistingObjects::default()).validation = true,
        }
    }
    Ok(candidates)
}
