//! Monitors whether the buckets answer, also when there are no tasks.

use super::Worker;
use crate::buckets::Buckets;
use std::sync::Arc;
use tallybox_model::cause::chain;
use tallybox_transport::SharedBucket;
use tallybox_transport::probe::Reachable;

/// Probes the buckets that tasks read from at regular intervals. A lasting failure makes the worker
/// not ready.
pub async fn watch_buckets(worker: Arc<Worker>) {
    tokio::join!(
        watch(&worker, "the ingestion bucket", |buckets| &buckets
            .ingestion),
        watch(&worker, "the own bucket", |buckets| &buckets.own),
        watch(&worker, "the peer-validation-in bucket", |buckets| &buckets
            .peer_validation_in),
    );
}

async fn watch(worker: &Worker, what: &str, bucket_of: fn(&Buckets) -> &SharedBucket) {
    let reachable = Reachable::default();
    let ask = || async {
        // Use the bucket of the current configuration, which a reload may have replaced.
        let bucket = Arc::clone(bucket_of(&worker.processor().buckets));
        reachable.ask(&*bucket).await.map_err(|error| chain(&error))
    };
    worker.reach.watch(what, ask).await;
}
