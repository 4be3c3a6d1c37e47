//! Batching in the process of the server, for a single machine: a run whenever a window is due.

use std::collections::BTreeMap;
use std::time::Duration;

use tallybox_model::cause::chain;
use tallybox_model::time::{BatchTime, aligned_window};
use tokio_util::sync::CancellationToken;

use super::{BatchOptions, WindowSummary, batch};
use crate::ingestor::{Ingestor, Locality};
use crate::metrics::{BatchCounters, Metrics};

/// Batches the windows that are due, periodically, until `shutdown`. A run in progress completes
/// first. A locality that fails is logged and retried in the next cycle, and does not delay the
/// others.
pub async fn cycle(ingestor: &Ingestor, metrics: &Metrics, shutdown: &CancellationToken) {
    let interval = Duration::from_secs(ingestor.batches.poll_secs);
    let localities: Vec<_> = ingestor
        .localities
        .iter()
        .map(|(name, locality)| (name.as_str(), locality, metrics.batches(name)))
        .collect();
    let mut done: BTreeMap<&str, BatchTime> = BTreeMap::new();
    loop {
        for (name, locality, counters) in &localities {
            let Some(due) = last_due(ingestor) else {
                continue;
            };
            // Once all due windows are complete, the next run waits for another window to be due.
            if done.get(name) != Some(&due) && run_batch(ingestor, locality, counters).await {
                done.insert(name, due);
            }
        }
        if shutdown
            .run_until_cancelled(tokio::time::sleep(interval))
            .await
            .is_none()
        {
            return;
        }
    }
}

/// Returns the end of the newest window that is due.
fn last_due(ingestor: &Ingestor) -> Option<BatchTime> {
    let delay = i64::try_from(ingestor.batches.settle_secs).ok()?;
    let due_before = BatchTime::from_millis(ingestor.clock.millis().checked_sub(delay * 1000)?)?;
    aligned_window(due_before, ingestor.batches.window_minutes).map(|window| window.start())
}

/// Runs the batcher once and returns whether all windows that were due are complete.
async fn run_batch(ingestor: &Ingestor, locality: &Locality, counters: &BatchCounters) -> bool {
    let instance = locality.instance.as_str();
    match batch(ingestor, locality, &BatchOptions::default()).await {
        Ok(summary) => {
            for window in &summary.windows {
                count(window, counters);
                tracing::info!(
                    instance,
                    window = %window.window,
                    reports = window.reports,
                    batched = window.batched,
                    batches = window.batches.len(),
                    replays = window.replays.report + window.replays.ciphertext,
                    carried = window.carried,
                    dropped = window.dropped,
                    other_bins = window.other_bins,
                    "window batched"
                );
            }
            summary.waiting.is_none()
        }
        Err(error) => {
            counters.failures.inc();
            tracing::error!(instance, error = chain(&error), "batching failed");
            false
        }
    }
}

fn count(window: &WindowSummary, counters: &BatchCounters) {
    counters.windows.inc();
    counters.conflicts.inc_by(window.replays.conflicts);
    counters.batched.inc_by(window.batched);
    counters.replayed_reports.inc_by(window.replays.report);
    counters
        .replayed_ciphertexts
        .inc_by(window.replays.ciphertext);
    counters.carried.inc_by(window.carried);
    counters.dropped.inc_by(window.dropped);
    counters.other_bins.inc_by(window.other_bins);
}
