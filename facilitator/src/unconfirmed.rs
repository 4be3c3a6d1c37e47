//! Notes of mailbox objects whose existence is only claimed by the mailbox.
//!
//! A processor may write to its peer's mailbox and cannot read it. Such a mailbox can answer
//! "exists" for an object that does not exist: two requests arrive at the same time, or a replica
//! lags behind a deletion. The processor notes such an object in the own bucket. Every later task
//! about a window of the aggregation writes the object again (`put_again`), until one write creates
//! it, or until the mailbox has given the same answer for an hour. Where rosters are used, the
//! peer's roster also lists the validation batches that it lacks (`roster::validations`).

use crate::buckets::Buckets;
use crate::error::Error;
use tallybox_model::path::Unconfirmed;
use tallybox_transport::{BucketError, Published};

/// The time for which a mailbox has to answer "exists" until the answer is trusted, in
/// milliseconds. No request is in flight for that long.
const TRUSTED_AFTER_MILLIS: i64 = 60 * 60_000;

/// Notes which of the objects of one batch or sum part exist only according to the mailbox. `rerun`
/// is true if an earlier run may have left notes; then only the objects that it noted are in doubt,
/// because it created the others.
pub(crate) async fn note(
    buckets: &Buckets,
    put: &[(Unconfirmed, Published)],
    rerun: bool,
) -> Result<(), Error> {
    let own = &*buckets.own;
    // Nothing is in doubt: every write created its object, and no earlier run can have left notes.
    if !rerun && put.iter().all(|(_, published)| !published.is_assumed()) {
        return Ok(());
    }
    let mut noted = Vec::new();
    for (object, published) in put {
        let note = object.note();
        let since = if rerun {
            buckets.read_text(&note).await?
        } else {
            None
        };
        noted.push((note, published.is_assumed(), since));
    }
    let is_first = noted.iter().all(|(_, _, since)| since.is_none());
    for (note, assumed, since) in noted {
        if !assumed {
            if since.is_some() {
                own.delete(&note).await?;
            }
            continue;
        }
        // The bucket's clock, because the clock of this machine may be wrong.
        let now = own.date().await?;
        match since {
            Some(since) if now.saturating_sub(since) >= TRUSTED_AFTER_MILLIS => {
                own.delete(&note).await?
            }
            None if is_first => {
                tracing::info!(object = %note, "mailbox object without confirmed existence; it is written again later");
                match buckets
                    .create_record(&note, now.to_string().as_bytes())
                    .await
                {
                    // Another run has already written the note.
                    Ok(_) | Err(BucketError::Conflict { .. }) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            _ => {}
        }
    }
    Ok(())
}
