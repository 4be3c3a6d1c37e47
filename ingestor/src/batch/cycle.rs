//! Batching beside a server, on one machine: a run whenever a window has become due.

use std::collections::BTreeMap;
use std::time::Duration;

use tallybox_model::time::{BatchTime, aligned_window};
use tokio_util::sync::CancellationToken;

use super::{BatchOptions, batch};
use crate::ingestor::{Ingestor, Locality};

/// Batches what is due, again and again, until it is told to stop; a run that has begun is ended first. A locality that
/// fails is logged and tried again at the next turn, and holds up no other.
pub async fn cycle(ingestor: &Ingestor, shutdown: &CancellationToken) {
    let pause = Duration::from_secs(ingestor.batches.poll_secs);
    let mut done: BTreeMap<&str, BatchTime> = BTreeMap::new();
    loop {
        for (name, locality) in &ingestor.localities {
            let Some(due) = last_due(ingestor) else { continue };
            if done.get(name.as_str()) != Some(&due) && turn(ingestor, locality).await {
                done.insert(name, due);
            }
        }
        if shutdown.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
            return;
        }
    }
}

/// The end of the newest window that is due.
fn last_due(ingestor: &Ingestor) -> Option<BatchTime> {
    let settle = i64::try_from(ingestor.batches.settle_secs).ok()?;
    let settled = BatchTime::from_millis(ingestor.clock.millis().checked_sub(settle * 1000)?)?;
    aligned_window(settled, ingestor.batches.window_minutes).map(|window| window.start())
}

/// One run; whether all that was due is done.
async fn turn(ingestor: &Ingestor, locality: &Locality) -> bool {
    let instance = locality.instance.as_str();
    match batch(ingestor, locality, &BatchOptions::default()).await {
        Ok(summary) => {
            for window in &summary.windows {
                tracing::info!(
                    instance,
                    window = %window.window,
                    reports = window.reports,
                    batched = window.batched,
                    batches = window.batches.len(),
                    replays = window.replays.report + window.replays.ciphertext,
                    carried = window.carried,
                    dropped = window.dropped,
                    "window batched"
                );
            }
            summary.waiting.is_none()
        }
        Err(error) => {
            tracing::error!(instance, error = &error as &dyn std::error::Error, "window not batched");
            false
        }
    }
}
