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
use tallybox_model::path::BatchName;
use tallybox_model::roster::WindowName;
use tallybox_model::task::{Task, TaskName, WindowKind};
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
    let window = WindowName {
        aggregation: generated.aggregation.clone(),
        window: Window::new(generated.window.start, generated.window.end).unwrap(),
    };
    let intake = |batch: Batch| {
        TaskName::Intake(BatchName {
            aggregation: generated.aggregation.clone(),
            date: batch.date,
            id: batch.id,
        })
    };
    let names: Vec<TaskName> = match what.as_str() {
        "roster" => vec![TaskName::Window(WindowKind::Roster, window)],
        "aggregate" => vec![TaskName::Window(WindowKind::Aggregate, window)],
        _ => generated.batches.into_iter().map(intake).collect(),
    };
    for name in names {
        // Without batches, a sum covers the agreed set.
        let task = Task {
            trace_id: Uuid::nil(),
            name,
            batches: None,
        };
        queue.publish(task.to_json().into()).await.unwrap();
    }
}
