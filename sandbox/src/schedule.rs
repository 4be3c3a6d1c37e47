//! Names and dates of batches. They are constant, so that results do not depend on the clock.

use sha2::{Digest, Sha256};
use tallybox_model::id::{AggregationId, BatchId};
use tallybox_model::path::BatchName;
use tallybox_model::time::{BatchTime, Window};
use uuid::Builder;

use crate::error::Error;

/// Domain separation of batch ids that are derived from a seed.
const DOMAIN: &[u8] = b"tallybox sandbox batch v1";
/// 2026/01/01/00/00, in milliseconds since the Unix epoch.
const START_MILLIS: i64 = 1_767_225_600_000;
/// Length of the aggregation window: ENPA's eight hours.
const WINDOW_MINUTES: i64 = 8 * 60;

/// Returns the aggregation window of every sandbox: 2026/01/01/00/00 to 2026/01/01/08/00.
///
/// # Errors
/// Never in fact: the bounds are constants.
pub fn window() -> Result<Window, Error> {
    Window::new(minute(0)?, minute(WINDOW_MINUTES)?)
        .map_err(|error| Error::Internal(error.to_string()))
}

/// Returns the name of batch `ordinal` (from 0) of `batches` that are distributed evenly over the
/// window, and the time range of its packets.
///
/// # Errors
/// [`Error::Internal`] if `ordinal` is not below `batches`.
pub fn batch(
    seed: u64,
    aggregation: &AggregationId,
    ordinal: u64,
    batches: u64,
) -> Result<(BatchName, Window), Error> {
    if ordinal >= batches {
        return Err(Error::Internal(format!(
            "batch {ordinal} does not exist: there are {batches}"
        )));
    }
    // Both values are at most 480, because `ordinal` is below `batches`.
    let start = (u128::from(ordinal) * WINDOW_MINUTES as u128 / u128::from(batches)) as i64;
    let end = ((u128::from(ordinal) + 1) * WINDOW_MINUTES as u128 / u128::from(batches)) as i64;
    let interval = Window::new(minute(start)?, minute(end.max(start + 1))?);
    let interval = interval.map_err(|error| Error::Internal(error.to_string()))?;
    let id = batch_id(seed, aggregation, ordinal);
    Ok((
        BatchName {
            aggregation: aggregation.clone(),
            date: interval.start(),
            id,
        },
        interval,
    ))
}

fn batch_id(seed: u64, aggregation: &AggregationId, ordinal: u64) -> BatchId {
    let hash = Sha256::new()
        .chain_update(DOMAIN)
        .chain_update(seed.to_be_bytes());
    let hash = hash
        .chain_update(ordinal.to_be_bytes())
        .chain_update(aggregation.as_str());
    let digest: [u8; 32] = hash.finalize().into();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    BatchId(Builder::from_random_bytes(bytes).into_uuid())
}

fn minute(offset: i64) -> Result<BatchTime, Error> {
    let time = BatchTime::from_millis(START_MILLIS + offset * 60_000);
    time.ok_or_else(|| {
        Error::Internal(format!(
            "minute {offset} of the window is outside the supported range"
        ))
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn batches_lie_in_the_window_under_distinct_names() {
        let (aggregation, window) = ("a".parse().unwrap(), window().unwrap());
        assert_eq!(window.to_string(), "2026/01/01/00/00 to 2026/01/01/08/00");
        for batches in [1, 3, 10, 480, 1000] {
            let mut names = BTreeSet::new();
            for ordinal in 0..batches {
                let (name, interval) = batch(1, &aggregation, ordinal, batches).unwrap();
                assert!(window.contains(name.date) && interval.end() <= window.end());
                assert!(names.insert(name.id));
            }
        }
        assert!(batch(1, &aggregation, 3, 3).is_err());
    }

    #[test]
    fn identifiers_are_random_uuids_of_the_seed() {
        let aggregation = "a".parse().unwrap();
        let id = |seed, ordinal| batch_id(seed, &aggregation, ordinal);
        assert_eq!(id(1, 0), id(1, 0));
        assert!(id(1, 0) != id(2, 0) && id(1, 0) != id(1, 1));
        assert_eq!(id(1, 0).0.get_version_num(), 4);
    }
}
