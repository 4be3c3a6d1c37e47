//! Finds batches that a roster lists although an earlier window has closed them. A processor that
//! catches up writes several rosters at once, before it knows the result of the first of them.

use super::agree::read_agreed;
use super::agreement::memory;
use super::policy::RosterPolicy;
use super::store::listing::list_window_objects;
use super::view::AgreementOutcome;
use crate::buckets::Buckets;
use crate::error::Error;
use serde::Serialize;
use std::collections::{BTreeSet, HashMap};
use tallybox_model::id::BatchId;
use tallybox_model::roster::{DatedBatch, WindowName};
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
    buckets: &Buckets,
    policy: &RosterPolicy,
    name: &WindowName,
    listed: &BTreeSet<DatedBatch>,
) -> Result<HashMap<DatedBatch, EarlierOutcome>, Error> {
    if listed.is_empty() {
        return Ok(HashMap::new());
    }
    let start = name.window.start();
    let back = i64::from(memory(policy.terms.maximum_age)) * i64::from(policy.terms.period_minutes);
    let from = start
        .plus_minutes(-back)
        .unwrap_or(start)
        .max(policy.terms.origin);
    let listing = list_window_objects(buckets, &*buckets.own, &name.aggregation, from).await?;
    let mut outcomes: HashMap<BatchId, EarlierOutcome> = HashMap::new();
    for window in listing
        .agreed
        .into_iter()
        .filter(|window| window.start() < start)
    {
        let earlier = WindowName {
            aggregation: name.aggregation.clone(),
            window,
        };
        let agreed = read_agreed(buckets, &earlier).await?;
        for batch in agreed.settled() {
            let outcome = match agreed.excluded.contains(&batch) {
                true => AgreementOutcome::Excluded,
                false => AgreementOutcome::Summed,
            };
            outcomes.insert(batch.id, EarlierOutcome { window, outcome });
        }
    }
    let found = listed
        .iter()
        .filter_map(|batch| Some((*batch, *outcomes.get(&batch.id)?)));
    Ok(found.collect())
}
