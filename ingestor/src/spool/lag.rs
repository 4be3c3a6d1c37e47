//! The lag of batching, derived from the objects of the spool, for the operator's alerts. The
//! server measures the lag because a batch job that does not run cannot report it.

use std::collections::BTreeSet;

use futures::TryStreamExt as _;
use tallybox_model::spool::SpoolNames;
use tallybox_model::time::{BatchTime, aligned_window};
use tallybox_transport::{Bucket, BucketError, ListRange};

/// Returns the end of the oldest window that holds reports and has no record, in milliseconds, or
/// `None` if everything is batched. Late slabs of windows with a record do not count: the next plan
/// includes them.
///
/// # Errors
/// [`BucketError`] if the spool cannot be listed.
pub(super) async fn oldest_open(
    spool: &dyn Bucket,
    names: &SpoolNames,
    minutes: u32,
) -> Result<Option<i64>, BucketError> {
    let plans = starts(spool, &names.plans(), |key| names.parse_plan(key)).await?;
    let record = |key: &str| Some(names.parse_record(key)?.0);
    let records = starts(spool, &names.records(), record).await?;
    let end = |start: BatchTime| {
        aligned_window(start, minutes).map_or(start.millis(), |window| window.end().millis())
    };
    if let Some(open) = plans.difference(&records).next() {
        // A planned window ends where the next one begins, even if the configured length has
        // changed since.
        let next = plans.range(*open..).nth(1);
        return Ok(Some(next.map_or_else(|| end(*open), |next| next.millis())));
    }
    let start_at = plans.last().and_then(|last| {
        let next = BatchTime::from_millis(end(*last))?;
        Some(format!("{}/{next}", names.slabs()))
    });
    let range = ListRange {
        start_at,
        end_before: None,
    };
    let mut slabs = spool.list(&names.slabs(), range).await?;
    while let Some(entry) = slabs.try_next().await? {
        if let Some(slab) = names.parse_slab(&entry.key) {
            return Ok(Some(end(slab.window())));
        }
    }
    Ok(None)
}

/// Returns the windows in the names of a directory's objects.
async fn starts(
    spool: &dyn Bucket,
    directory: &str,
    parse: impl Fn(&str) -> Option<BatchTime>,
) -> Result<BTreeSet<BatchTime>, BucketError> {
    let entries = spool.list(directory, ListRange::default()).await?;
    let starts: Vec<_> = entries
        .map_ok(|entry| parse(&entry.key))
        .try_collect()
        .await?;
    Ok(starts.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use tallybox_model::spool::SlabName;
    use tallybox_transport::{memory, publish_bytes};

    use super::*;

    fn time(text: &str) -> BatchTime {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn the_oldest_window_without_record_is_found() {
        let spool = memory("spool");
        let names = SpoolNames::new("us-xx-ingestor".parse().unwrap());
        let put = async |key: String| {
            publish_bytes(&*spool, &key, vec![0].into(), false)
                .await
                .unwrap();
        };
        let open = async || oldest_open(&*spool, &names, 60).await.unwrap();
        let slab = |window: &str, number| {
            let (window, replica) = (time(window), 7);
            names.slab(&SlabName::Received {
                window,
                replica,
                number,
            })
        };
        assert_eq!(open().await, None);
        put(slab("2026/11/23/10/00", 0)).await;
        put(slab("2026/11/23/13/00", 1)).await;
        assert_eq!(open().await, Some(time("2026/11/23/11/00").millis()));
        // Two planned windows that are shorter than windows are now.
        put(names.plan(time("2026/11/23/10/00"))).await;
        put(names.plan(time("2026/11/23/10/15"))).await;
        assert_eq!(open().await, Some(time("2026/11/23/10/15").millis()));
        put(names.record(time("2026/11/23/10/00"), "00000000")).await;
        assert_eq!(open().await, Some(time("2026/11/23/11/00").millis()));
        // Both are complete: their slabs are still there, but only the later slab is open.
        put(names.record(time("2026/11/23/10/15"), "00000000")).await;
        assert_eq!(open().await, Some(time("2026/11/23/14/00").millis()));
        put(names.plan(time("2026/11/23/13/00"))).await;
        put(names.record(time("2026/11/23/13/00"), "00000000")).await;
        assert_eq!(open().await, None);
    }
}
