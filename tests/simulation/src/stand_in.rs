//! A stand-in for workflow manager and workers.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::TryStreamExt as _;
use tallybox_facilitator::aggregate::{AggregateTask, aggregate};
use tallybox_facilitator::error::Error;
use tallybox_facilitator::intake::{intake, no_progress};
use tallybox_model::path::BatchName;
use tallybox_model::task::{AggregationTask, IntakeTask, TaskBatch, WindowTask};
use tallybox_model::time::{BatchTime, aligned_window};
use tallybox_queue::SharedQueue;
use tallybox_service::exit::Exit;
use tallybox_transport::{Bucket, ListRange, publish_bytes};
use uuid::Uuid;

use crate::machine::Desk;
use crate::time::MINUTE;

async fn keys(bucket: &dyn Bucket, prefix: &str) -> Option<Vec<String>> {
    let entries = bucket.list(prefix, ListRange::default()).await.ok()?;
    entries.map_ok(|entry| entry.key).try_collect().await.ok()
}

pub(crate) async fn manage(desk: &Desk) -> Option<bool> {
    let (own, ingestion) = (&*desk.processor.buckets.own, &*desk.processor.buckets.ingestion);
    let markers: BTreeSet<String> = keys(own, "task-markers").await?.into_iter().collect();
    let ready: Vec<BatchName> = keys(ingestion, "")
        .await?
        .iter()
        .filter_map(|key| BatchName::from_ingestion_signature(key))
        .collect();
    let peer = desk.processor.role.peer();
    let validations: BTreeSet<String> = keys(&*desk.processor.buckets.peer_validation_in, "")
        .await?
        .into_iter()
        .collect();
    for name in &ready {
        let marker = format!("task-markers/intake-{}-{}", name.aggregation, name.id);
        if !markers.contains(&marker) {
            let task = IntakeTask {
                trace_id: Uuid::nil(),
                aggregation_id: name.aggregation.clone(),
                batch_id: name.id,
                date: name.date,
            };
            desk.intake.publish(task.to_json().into()).await.ok()?;
            publish_bytes(own, &marker, "x".into(), false).await.ok()?;
        }
    }
    let windows: BTreeSet<_> = ready
        .iter()
        .filter_map(|name| Some((name.aggregation.clone(), aligned_window(name.date, 60)?.start())))
        .collect();
    for (aggregation, start) in windows {
        let window = aligned_window(start, 60)?;
        if window.end().millis() + 30 * MINUTE > desk.clock.millis() {
            continue;
        }
        let marker = format!("task-markers/aggregate-{aggregation}-{}", start.compact());
        let batches: Vec<_> = ready
            .iter()
            .filter(|name| name.aggregation == aggregation && window.contains(name.date))
            .filter(|name| validations.contains(&name.validation(peer).signature))
            .map(|name| TaskBatch {
                id: name.id,
                time: name.date,
            })
            .collect();
        if !markers.contains(&marker) && !batches.is_empty() {
            let task = AggregationTask {
                trace_id: Uuid::nil(),
                aggregation_id: aggregation,
                window,
                batches,
                agreed: false,
            };
            desk.aggregate.publish(task.to_json().into()).await.ok()?;
            publish_bytes(own, &marker, "x".into(), false).await.ok()?;
        }
    }
    Some(true)
}

pub(crate) async fn work(desk: &Desk, queue: &SharedQueue) -> Option<bool> {
    let Some(delivery) = queue.receive(Duration::ZERO).await.ok()? else {
        return Some(false);
    };
    let result = match IntakeTask::parse(&delivery.body) {
        Ok(task) => {
            let name = BatchName {
                aggregation: task.aggregation_id,
                date: task.date,
                id: task.batch_id,
            };
            intake(&desk.processor, &name, no_progress()).await.map(|_| ())
        }
        Err(_) => window(desk, &delivery.body).await,
    };
    match result {
        Ok(()) => queue.ack(&delivery.lease).await.ok()?,
        Err(error) if error.exit() == Exit::Retry => {
            queue.nack(&delivery.lease, Duration::from_secs(120)).await.ok()?;
        }
        Err(error) => queue.reject(&delivery, &error.to_string()).await.ok()?,
    }
    Some(true)
}

async fn window(desk: &Desk, body: &[u8]) -> Result<(), Error> {
    let Ok(WindowTask::Aggregation(task)) = WindowTask::parse(body) else {
        return Err(Error::Internal("no task".to_owned()));
    };
    let name = |batch: &TaskBatch| BatchName {
        aggregation: task.aggregation_id.clone(),
        date: batch.time,
        id: batch.id,
    };
    let task = AggregateTask {
        aggregation: task.aggregation_id.clone(),
        window: task.window,
        batches: task.batches.iter().map(name).collect(),
        dry_run: false,
    };
    let _: BatchTime = task.window.start();
    aggregate(&desk.processor, &task, no_progress()).await.map(|_| ())
}
