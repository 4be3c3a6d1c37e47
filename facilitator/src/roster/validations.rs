//! Publishes validation batches again that the peer lacks. If an intake is interrupted between the
//! prepared batch and the publication, only we could sum the batch.

use super::agreement::Roster;
use super::store::RosterStore;
use crate::error::Error;
use crate::intake::intake;
use crate::progress::no_progress;
use tallybox_model::roster::{DatedBatch, Listing, OpenReason};

/// The most validation batches that are published again for a window.
const MOST_VALIDATIONS: usize = 1024;

/// Publishes the validation batches again that the peer lacks according to its roster. Batches of
/// our own roster come first, because the peer determines the number of the others.
pub(super) async fn publish_validations_again(
    store: &RosterStore<'_>,
    ours: &Roster,
    theirs: &Roster,
) -> Result<(), Error> {
    let lacks = theirs
        .entries
        .iter()
        .filter(|(_, listing)| **listing == Listing::Open(OpenReason::NoValidation));
    let (ours_too, others): (Vec<&DatedBatch>, Vec<&DatedBatch>) = lacks
        .map(|(batch, _)| batch)
        .partition(|batch| ours.entries.contains_key(batch));
    for batch in ours_too.into_iter().chain(others).take(MOST_VALIDATIONS) {
        match intake(store.processor, &store.batch(*batch), no_progress()).await {
            Ok(_) => {}
            Err(error) if error.is_passing() || error.is_unverified() => return Err(error),
            // The problem of the batch is stated in our own roster.
            Err(error) => {
                let reason = error.reason();
                tracing::debug!(batch_id = %batch.id, reason, "validation batch is not published again");
            }
        }
    }
    Ok(())
}
