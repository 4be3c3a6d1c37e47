//! How worn the pinned points are: failed proofs, counted for each packet key.
//!
//! A client that does not know the point of a key can try: a false proof that it builds for some points of its choice
//! holds if the point is among them, and fails else. So every failed proof may have been such a try, and the more of them
//! there were under a key, the more likely it is that one of the next succeeds. `docs/operating.md` has the numbers.
//!
//! The count of a batch with failed proofs is an object of the own bucket, `failed-proofs/{instance}/{key}/{agg}/{DATE}/
//! {id}.{count}`, made when the batch is judged. A batch that is judged again, in a rerun or for a later window, makes the
//! same object, so that it counts once, and a listing adds all of them up. A proof that fails in a batch that several keys
//! opened packets of counts for each of these keys.

use crate::aggregate::BatchVerdict;
use crate::error::Error;
use crate::prepared::KeyUse;
use crate::processor::{PacketKey, Processor};
use crate::reason::PacketReason;
use futures::TryStreamExt as _;
use std::collections::HashMap;
use std::sync::Arc;
use tallybox_model::id::BatchId;
use tallybox_model::path::{FailedProofs, failed_proofs_directory};
use tallybox_service::fault;
use tallybox_transport::{ListRange, Published};

/// For how long a sum of counts is used before they are listed again, in milliseconds.
const FRESH: i64 = 30 * 60_000;
/// Batches that are added up at most. More of them have more failed proofs than the alarm takes at 15 bins.
const LISTED: usize = 1 << 16;

/// After how many failed proofs something happens, times n, the smallest power of two above a key's bins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WearLimits {
    /// Somebody is called.
    pub alarm: u64,
    /// Further packets of the key are refused.
    pub refuse: u64,
}

impl Default for WearLimits {
    fn default() -> Self {
        Self {
            alarm: 1 << 20,
            refuse: 1 << 24,
        }
    }
}

impl WearLimits {
    /// The limits of a key of so many bins.
    #[must_use]
    pub fn of(self, bins: u32) -> Self {
        let points = u64::from(bins).saturating_add(1).next_power_of_two();
        Self {
            alarm: self.alarm / points,
            refuse: self.refuse / points,
        }
    }
}

/// Failed proofs by the fingerprint of the packet key.
pub(crate) type Failures = HashMap<String, u64>;

/// Writes how many proofs of a judged batch failed, for each pinned key that opened its packets, unless that is done.
///
/// # Errors
/// The own bucket's.
pub(crate) async fn count(processor: &Processor, verdict: &BatchVerdict, keys: &[KeyUse]) -> Result<(), Error> {
    let mut failed = verdict.rejections.count(PacketReason::InvalidProof);
    if fault::is_on("silence-wears") {
        failed += verdict.rejections.count(PacketReason::NoPeerMessage);
    }
    // Where each packet has a point of its own, a guess says nothing about the next packet's.
    for key in keys.iter().filter(|key| key.point.is_some() && failed > 0) {
        let count = FailedProofs {
            instance: processor.instance.clone(),
            key: key.key.clone(),
            batch: verdict.name.clone(),
            failed,
        };
        let text = format!("{{\"failed\":{failed}}}");
        let made = processor.create_record(&count.object(), text.as_bytes()).await?;
        if made == Published::New {
            processor.cache.add_failures(&key.key, failed);
        }
    }
    Ok(())
}

/// The failed proofs of all keys of this instance, as of at most half an hour ago.
///
/// # Errors
/// The own bucket's.
pub(crate) async fn known(processor: &Processor) -> Result<Arc<Failures>, Error> {
    let now = processor.clock.millis();
    if let Some(failures) = processor.cache.failures(now.saturating_sub(FRESH), now) {
        return Ok(failures);
    }
    let failures = Arc::new(list(processor).await?);
    processor.cache.keep_failures(now, &failures);
    for key in &processor.packet_keys {
        let failed = failures.get(&key.fingerprint).copied().unwrap_or_default();
        warn(processor, key, failed);
    }
    Ok(failures)
}

/// Whether no further packet of a key is taken.
pub(crate) fn is_worn_out(processor: &Processor, key: &PacketKey, failures: &Failures) -> bool {
    let failed = failures.get(&key.fingerprint).copied().unwrap_or_default();
    key.bins.is_some_and(|bins| failed >= processor.wear.of(bins).refuse)
}

async fn list(processor: &Processor) -> Result<Failures, Error> {
    let directory = failed_proofs_directory(&processor.instance);
    let mut entries = processor.buckets.own.list(&directory, ListRange::default()).await?;
    // A batch that was judged twice by different messages of the peer counts with the greater number.
    let mut of_batches: HashMap<(String, BatchId), u64> = HashMap::new();
    while let Some(entry) = entries.try_next().await? {
        if of_batches.len() >= LISTED {
            tracing::warn!(
                listed = LISTED,
                "more counts of failed proofs than are added up; delete those of keys that are gone"
            );
            break;
        }
        if let Some(count) = FailedProofs::parse(&entry.key) {
            let failed = of_batches.entry((count.key, count.batch.id)).or_default();
            *failed = count.failed.max(*failed);
        }
    }
    let mut failures = Failures::new();
    for ((key, _), failed) in of_batches {
        let sum = failures.entry(key).or_default();
        *sum = sum.saturating_add(failed);
    }
    Ok(failures)
}

fn warn(processor: &Processor, key: &PacketKey, failed: u64) {
    let Some(limits) = key.bins.map(|bins| processor.wear.of(bins)) else {
        return;
    };
    if failed >= limits.refuse {
        processor.cache.alarm("key-worn-out");
        tracing::error!(
            key = key.id,
            failed,
            limit = limits.refuse,
            "packet key is worn out: its packets are refused; rotate this key"
        );
    } else if failed >= limits.alarm {
        processor.cache.alarm("key-worn");
        tracing::error!(
            key = key.id,
            failed,
            limit = limits.alarm,
            refused_at = limits.refuse,
            "packet key is worn by failed proofs: rotate this key"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_follow_from_the_smallest_power_of_two_above_the_bins() {
        for (bins, points) in [(1, 2), (2, 4), (3, 4), (4, 8), (5, 8), (7, 8), (8, 16), (9, 16)] {
            let limits = WearLimits::default().of(bins);
            assert_eq!(
                (limits.alarm, limits.refuse),
                ((1 << 20) / points, (1 << 24) / points),
                "{bins}"
            );
        }
    }
}
