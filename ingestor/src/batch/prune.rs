//! Pruning of the spool: slabs some time after their window is complete, and records as soon as
//! none of their reports can be replayed.

use futures::{StreamExt, TryStreamExt, stream};
use tallybox_model::time::BatchTime;
use tallybox_transport::Bucket;

use super::Job;
use super::plan_log::{PlanLog, keys};
use crate::error::Error;

/// Most objects that are deleted at the same time.
const CONCURRENT_DELETES: usize = 16;

/// Prunes the spool and returns the number of objects deleted.
///
/// The plan is deleted last of a window's objects, so the next run continues an interrupted
/// pruning. The newest plan stays, since the next plan follows from it. Absent lists mark it as
/// pruned.
pub(super) async fn prune(job: &Job<'_>, plan_log: &PlanLog<'_>) -> Result<u64, Error> {
    let spool = &*job.ingestor.spool;
    let names = &job.locality.names;
    let now = job.ingestor.clock.millis();
    let keep = i64::from(job.ingestor.batches.keep_slabs_hours) * 3_600_000;
    let mut deleted = 0;
    let newest = plan_log.plans.last_key_value().map(|(start, _)| *start);
    for (start, fixed) in &plan_log.plans {
        let window = &fixed.plan.window;
        let old = window.end().millis().saturating_add(keep) < now;
        if !old || !plan_log.records.contains_key(start) {
            continue;
        }
        let lists = keys(spool, &names.lists(*start)).await?;
        let stays = Some(*start) == newest;
        // An earlier run has pruned this window and left only its plan.
        if stays && lists.is_empty() {
            continue;
        }
        let mut objects: Vec<String> = fixed
            .plan
            .slabs
            .iter()
            .map(|slab| slab.key.clone())
            .collect();
        objects.extend(keys(spool, &names.written(*start)).await?);
        deleted += delete(spool, objects).await?;
        deleted += delete(spool, lists).await?;
        if !stays {
            deleted += delete(spool, vec![names.plan(*start)]).await?;
        }
    }
    deleted += delete(spool, expired_records(job, plan_log, now)).await?;
    Ok(deleted)
}

/// Returns the records that are older than twice the time for which replays are looked up.
fn expired_records(job: &Job<'_>, plan_log: &PlanLog<'_>, now: i64) -> Vec<String> {
    let Some((_, last)) = plan_log.plans.last_key_value() else {
        return Vec::new();
    };
    let window = &last.plan.window;
    let length = window.end().millis() - window.start().millis();
    let horizon = length.saturating_mul(2 * i64::from(last.plan.replay_windows));
    let old = |start: &BatchTime| {
        start.millis().saturating_add(horizon) < now.min(window.start().millis())
    };
    let records = plan_log
        .records
        .iter()
        .filter(|(start, _)| old(start) && !plan_log.plans.contains_key(*start));
    records
        .map(|(start, secret)| job.locality.names.record(*start, secret))
        .collect()
}

async fn delete(spool: &dyn Bucket, objects: Vec<String>) -> Result<u64, Error> {
    let count = objects.len() as u64;
    let deletions = objects
        .into_iter()
        .map(|object| async move { spool.delete(&object).await });
    let deletions: Vec<_> = deletions.collect();
    stream::iter(deletions)
        .buffer_unordered(CONCURRENT_DELETES)
        .try_collect::<Vec<()>>()
        .await?;
    Ok(count)
}
