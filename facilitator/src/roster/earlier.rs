//! Finds batches that a roster lists although an earlier window has closed them. A processor that
//! catches up writes several rosters at once, before it knows the result of the first of them.

use super::agreement::memory;
use super::policy::RosterPolicy;
use super::store::RosterStore;
use super::view::AgreementOutcome;
use crate::error::Error;
use serde::Serialize;
use std::collections::{BTreeSet, HashMap};
use tallybox_model::id::BatchId;
use tallybox_model::roster::DatedBatch;
use tallybox_model::time::Window;

/// The outcome of a batch in an earlier window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct EarlierOutcome {
    /// The window.
    pub window: Window,
    /// The outcome: [`AgreementOutcome::Summed`] or [`AgreementOutcome::Excluded`].
    pub outcome: AgreementOutcome,
}

/// Finds the batches among `listed` that an earlier window has summed or excluded, under any date.
///
/// # Errors
/// An error of the own bucket.
pub(super) async fn find_earlier_outcomes(
    store: &RosterStore<'_>,
    policy: &RosterPolicy,
    window: Window,
    listed: &BTreeSet<DatedBatch>,
) -> Result<HashMap<DatedBatch, EarlierOutcome>, Error> {
    if listed.is_empty() {
        return Ok(HashMap::new());
    }
    let from = policy.back(window, memory(policy.terms.maximum_age));
    let listing = store.list_own(from).await?;
    let mut outcomes: HashMap<BatchId, EarlierOutcome> = HashMap::new();
    for earlier in listing.agreed {
        if earlier.start() >= window.start() {
            continue;
        }
        let agreed = store.read_agreed(earlier).await?;
        for batch in agreed.settled() {
            let outcome = match agreed.excluded.contains(&batch) {
                true => AgreementOutcome::Excluded,
                false => AgreementOutcome::Summed,
            };
            outcomes.insert(
                batch.id,
                EarlierOutcome {
                    window: earlier,
                    outcome,
                },
            );
        }
    }
    let found = listed
        .iter()
        .filter_map(|batch| Some((*batch, *outcomes.get(&batch.id)?)));
    Ok(found.collect())
}
