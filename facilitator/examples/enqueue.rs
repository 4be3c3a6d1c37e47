//! Publishes the tasks of a sandbox's `generated.json` to directory queues, for
//! `scripts/bench-workers`.
//!
//! usage: enqueue intake|roster|aggregate GENERATED QUEUE
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a tool of the bench"
)]

use serde::Deserialize;
use std::time::Duration;
use tallybox_model::id::{AggregationId, BatchId};
use tallybox_model::task::{AggregationTask, IntakeTask, RosterTask};
use tallybox_model::time::{BatchTime, Window};
use tallybox_queue::{DirectoryQueue, TaskQueue as _};
use uuid::Uuid;

#[derive(Deserialize)]
struct Generated {
    aggregation: AggregationId,
    window: Bounds,
    batches: Vec<Batch>,
}

#[derive(Deserialize)]
struct Bounds {
    start: BatchTime,
    end: BatchTime,
}

#[derive(Deserialize)]
struct Batch {
    id: BatchId,
    date: BatchTime,
}

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [what, generated, queue] = arguments.as_slice() else {
        panic!("usage: enqueue intake|roster|aggregate GENERATED QUEUE");
    };
    let generated = std::fs::read(generated).unwrap();
    let generated: Generated = serde_json::from_slice(&generated).unwrap();
    let queue = DirectoryQueue::new(queue, Duration::from_secs(600));
    let aggregation_id = generated.aggregation;
    let window = Window::new(generated.window.start, generated.window.end).unwrap();
    let trace_id = Uuid::nil();
    let task = match what.as_str() {
        "roster" => Some(
            RosterTask {
                trace_id,
                aggregation_id: aggregation_id.clone(),
                window,
            }
            .to_json(),
        ),
        // `agreed`: the task sums the agreed set, so it names no batches.
        "aggregate" => Some(
            AggregationTask {
                trace_id,
                aggregation_id: aggregation_id.clone(),
                window,
                batches: Vec::new(),
                agreed: true,
            }
            .to_json(),
        ),
        _ => None,
    };
    if let Some(task) = task {
        queue.publish(task.into()).await.unwrap();
        return;
    }
    for batch in generated.batches {
        let task = IntakeTask {
            trace_id,
            aggregation_id: aggregation_id.clone(),
            batch_id: batch.id,
            date: batch.date,
        };
        queue.publish(task.to_json().into()).await.unwrap();
    }
}
