//! Counts failed proofs for each packet key, which measure how far a pinned point may have been
//! guessed.
//!
//! A client that does not know the point of a key can guess it: a false proof that it builds for
//! some points of its choice is valid if the point is among them, and fails otherwise. So every
//! failed proof may have been such a guess, and the more guesses fail under a key, the more likely
//! it is that one of the next succeeds. `docs/operating.md` has the numbers.
//!
//! The count of a batch with failed proofs is an object of the own bucket,
//! `failed-proofs/{instance}/{key}/{agg}/{DATE}/{id}.{count}`, written when the result of the batch
//! is computed. When the result is computed again, in a rerun or for a later window, the same
//! object results, so that the batch counts once. A listing adds all counts. If packets of a batch
//! were opened with several keys, its failed proofs count for each of these keys.

use crate::buckets::Buckets;
use crate::cache::Failures;
use crate::error::Error;
use crate::keys::PacketKey;
use crate::limits::Limits;
use crate::prepared::KeyUse;
use crate::processor::Processor;
use crate::resources::Resources;
use futures::TryStreamExt as _;
use std::collections::HashMap;
use std::sync::Arc;
use tallybox_model::id::BatchId;
use tallybox_model::path::{BatchName, FailedProofs, failed_proofs_directory};
use tallybox_transport::{ListRange, Published};

/// The time for which a total is used before the counts are listed again, in milliseconds.
const MAX_AGE_MILLIS: i64 = 30 * 60_000;
/// The most batches that are added. More batches have more failed proofs than the alarm limit at 15
/// bins.
const MOST_LISTED_COUNTS: usize = 1 << 16;

/// Records the number of failed proofs of a batch for each pinned key that opened its packets,
/// unless that record exists.
///
/// # Errors
/// An error of the own bucket.
pub(crate) async fn count(
    buckets: &Buckets,
    resources: &Resources,
    batch: &BatchName,
    failed: u64,
    keys: &[KeyUse],
) -> Result<(), Error> {
    // With a point for each packet, a guess gives no information about the next packet's point.
    for key in keys.iter().filter(|key| key.point.is_some() && failed > 0) {
        let count = FailedProofs {
            instance: buckets.instance.clone(),
            key: key.key.clone(),
            batch: batch.clone(),
            failed,
        };
        let text = format!("{{\"failed\":{failed}}}");
        let made = buckets
            .create_record(&count.object(), text.as_bytes())
            .await?;
        if made == Published::New {
            resources.cache.add_failures(&key.key, failed);
        }
    }
    Ok(())
}

/// Returns the failed proofs of all keys of this instance; the numbers are at most half an hour
/// old.
///
/// # Errors
/// An error of the own bucket.
pub(crate) async fn read_failures(processor: &Processor) -> Result<Arc<Failures>, Error> {
    let now = processor.resources.clock.millis();
    if let Some(failures) = processor
        .resources
        .cache
        .failures(now.saturating_sub(MAX_AGE_MILLIS), now)
    {
        return Ok(failures);
    }
    let failures = Arc::new(list(&processor.buckets).await?);
    processor.resources.cache.store_failures(now, &failures);
    for key in &processor.keys.packet {
        let failed = failures.get(&key.fingerprint).copied().unwrap_or_default();
        warn(&processor.limits, &processor.resources, key, failed);
    }
    Ok(failures)
}

/// Returns whether further packets under a key are rejected.
pub(crate) fn is_worn_out(limits: &Limits, key: &PacketKey, failures: &Failures) -> bool {
    let failed = failures.get(&key.fingerprint).copied().unwrap_or_default();
    key.bins
        .is_some_and(|bins| failed >= limits.wear.for_bins(bins).refuse)
}

async fn list(buckets: &Buckets) -> Result<Failures, Error> {
    let directory = failed_proofs_directory(&buckets.instance);
    let mut entries = buckets.own.list(&directory, ListRange::default()).await?;
    // A batch that was checked twice against different messages of the peer counts with the greater
    // number.
    let mut by_batch: HashMap<(String, BatchId), u64> = HashMap::new();
    while let Some(entry) = entries.try_next().await? {
        if by_batch.len() >= MOST_LISTED_COUNTS {
            tracing::warn!(
                listed = MOST_LISTED_COUNTS,
                "too many counts of failed proofs to add; delete those of keys that are no longer \
                 used"
            );
            break;
        }
        if let Some(count) = FailedProofs::parse(&entry.key) {
            let failed = by_batch.entry((count.key, count.batch.id)).or_default();
            *failed = count.failed.max(*failed);
        }
    }
    let mut failures = Failures::new();
    for ((key, _), failed) in by_batch {
        let sum = failures.entry(key).or_default();
        *sum = sum.saturating_add(failed);
    }
    Ok(failures)
}

fn warn(limits: &Limits, resources: &Resources, key: &PacketKey, failed: u64) {
    let Some(limits) = key.bins.map(|bins| limits.wear.for_bins(bins)) else {
        return;
    };
    if failed >= limits.refuse {
        resources.cache.alarm("key-worn-out");
        tracing::error!(
            key = key.id,
            failed,
            limit = limits.refuse,
            "too many failed proofs under a packet key: its packets are rejected; rotate this key"
        );
    } else if failed >= limits.alarm {
        resources.cache.alarm("key-worn");
        tracing::error!(
            key = key.id,
            failed,
            limit = limits.alarm,
            refused_at = limits.refuse,
            "many failed proofs under a packet key; rotate this key before its packets are rejected"
        );
    }
}
