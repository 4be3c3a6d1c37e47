//! Finds the objects of the batches that a roster may list.

use super::store::listing::list_batches;
use crate::buckets::Buckets;
use crate::error::Error;
use futures::TryStreamExt as _;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use tallybox_model::path::{BatchName, BatchPart};
use tallybox_model::roster::{DatedBatch, WindowName};
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
    buckets: &Buckets,
    name: &WindowName,
    dates: Window,
) -> Result<Candidates, Error> {
    let peer = buckets.role.peer();
    let mut candidates = Candidates::new();
    let mut ingested = list_batches(&*buckets.ingestion, name, dates).await?;
    while let Some(entry) = ingested.try_next().await? {
        if let Some(batch) = BatchName::from_ingestion_signature(&entry.key) {
            let batch = DatedBatch::from_batch(&batch);
            candidates.entry(batch).or_default().ingestion = true;
        }
    }
    let mut prepared = list_batches(&*buckets.own, name, dates).await?;
    while let Some(entry) = prepared.try_next().await? {
        if let Some(batch) = BatchName::from_prepared(&entry.key) {
            let batch = DatedBatch::from_batch(&batch);
            candidates.entry(batch).or_default().prepared = true;
        }
    }
    let most = candidates.len() + MOST_UNKNOWN_BATCHES;
    let mailbox = &*buckets.peer_validation_in;
    let mut validated = list_batches(mailbox, name, dates).await?;
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
