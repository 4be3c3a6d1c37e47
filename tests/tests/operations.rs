//! How many bucket operations a batch costs each processor on its way from intake to the sum part.
//!
//! Small batches are what clouds charge for: a thousand batches of twenty packets are a thousand times the operations of
//! one, and hardly any work. Listings are not counted: one covers many batches.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tallybox_facilitator::config::{Points, ValidationForm};
use tallybox_facilitator::processor::Processor;
use tallybox_facilitator::worker::{Kind, Outcome, Worker, WorkerConfig, step};
use tallybox_model::path::{BatchName, birth};
use tallybox_model::role::Role;
use tallybox_model::task::{AggregationTask, IntakeTask, TaskBatch};
use tallybox_model::time::{BatchTime, Window};
use tallybox_queue::{MemoryQueue, TaskQueue as _};
use tallybox_sandbox::generate::{GenerateOptions, Generated, generate};
use tallybox_sandbox::layout::Layout;
use tallybox_service::clock::Clock;
use tallybox_service::output::Output;
use tallybox_transport::recorded::{OperationKind, RecordedBucket};
use tallybox_transport::{SharedBucket, memory, publish_bytes};
use uuid::Uuid;

/// Windows that the batches are in.
const WINDOWS: i64 = 8;
/// Their length in minutes.
const MINUTES: i64 = 60;

/// One processor with everything that it does written down.
struct Side {
    worker: Arc<Worker>,
    recorded: BTreeMap<&'static str, Arc<RecordedBucket>>,
    intake: MemoryQueue,
    aggregate: MemoryQueue,
}

/// Requests by bucket and kind.
type Counts = BTreeMap<(&'static str, &'static str), usize>;

impl Side {
    async fn new(layout: &Layout, role: Role, mailboxes: &[SharedBucket; 2], form: ValidationForm, cache: u64) -> Self {
        let config = tallybox_service::config::load(&layout.config(role)).unwrap();
        let mut processor = Processor::open(&config).unwrap();
        // The own bucket is older than the batches, and these are of today.
        let own = memory("own");
        let born = birth(&processor.instance);
        publish_bytes(&*own, &born, "2025/12/01/00/00".into(), false)
            .await
            .unwrap();
        let now: BatchTime = "2026/01/01/08/30".parse().unwrap();
        processor.clock = Clock::manual(now.millis());
        processor.validation_form = form;
        let mut recorded = BTreeMap::new();
        let buckets = &mut processor.buckets;
        buckets.own = own;
        buckets.peer_validation_in = Arc::clone(&mailboxes[role.index()]);
        buckets.peer_validation_out = Arc::clone(&mailboxes[role.peer().index()]);
        buckets.sum_parts = memory("sum");
        for (name, bucket) in [
            ("ingestion", &mut buckets.ingestion),
            ("own", &mut buckets.own),
            ("validation-in", &mut buckets.peer_validation_in),
            ("validation-out", &mut buckets.peer_validation_out),
            ("sum-parts", &mut buckets.sum_parts),
        ] {
            let log = RecordedBucket::new(Arc::clone(bucket));
            recorded.insert(name, Arc::clone(&log));
            *bucket = log;
        }
        let queue = |name| MemoryQueue::new(name, Duration::from_secs(600));
        let (intake, aggregate) = (queue("intake"), queue("aggregate"));
        let queues = [
            (Kind::Intake, Arc::new(intake.clone()) as _),
            (Kind::Aggregate, Arc::new(aggregate.clone()) as _),
        ];
        let config = WorkerConfig {
            prepared_cache_mib: cache,
            ..WorkerConfig::default()
        };
        Self {
            worker: Worker::new(processor, queues, config),
            recorded,
            intake,
            aggregate,
        }
    }

    /// Does everything that is in a queue.
    async fn work(&self, kind: Kind) {
        while let Some(outcome) = step(&self.worker, kind, Duration::ZERO).await.unwrap() {
            assert_eq!(outcome, Outcome::Done);
        }
    }

    /// The requests since the last call.
    fn counts(&self) -> Counts {
        let mut counts = Counts::new();
        for (name, bucket) in &self.recorded {
            for operation in bucket.take() {
                let kind = match operation.kind {
                    OperationKind::Get => "get",
                    OperationKind::GetRange => "get-range",
                    OperationKind::Size => "size",
                    OperationKind::Commit => "put",
                    OperationKind::Delete => "delete",
                    // Starting or giving up a small upload asks nothing of the bucket.
                    _ => continue,
                };
                *counts.entry((*name, kind)).or_default() += 1;
            }
        }
        counts
    }
}

fn windows() -> Vec<Window> {
    let start: BatchTime = "2026/01/01/00/00".parse().unwrap();
    let at = |i: i64| start.plus_minutes(i * MINUTES).unwrap();
    (0..WINDOWS).map(|i| Window::new(at(i), at(i + 1)).unwrap()).collect()
}

/// Sends all batches the whole way; each side's requests of a batch.
async fn whole_way(layout: &Layout, generated: &Generated, form: ValidationForm, cache: u64) -> [f64; 2] {
    let mailboxes = [memory("for-first"), memory("for-second")];
    let first = Side::new(layout, Role::First, &mailboxes, form, cache).await;
    let sides = [first, Side::new(layout, Role::Second, &mailboxes, form, cache).await];
    let aggregation = &generated.aggregation;
    let mut totals = [0.0; 2];
    let mut told = Vec::new();
    for side in &sides {
        for batch in &generated.batches {
            let task = IntakeTask {
                trace_id: Uuid::nil(),
                aggregation_id: aggregation.clone(),
                batch_id: batch.id,
                date: batch.date,
            };
            side.intake.publish(task.to_json().into()).await.unwrap();
        }
        side.work(Kind::Intake).await;
        told.push(side.counts());
    }
    for (side, total) in sides.iter().zip(&mut totals) {
        for window in windows() {
            let inside = generated.batches.iter().filter(|batch| window.contains(batch.date));
            let batch = |batch: &tallybox_sandbox::generate::GeneratedBatch| TaskBatch {
                id: batch.id,
                time: batch.date,
            };
            let task = AggregationTask {
                trace_id: Uuid::nil(),
                aggregation_id: aggregation.clone(),
                window,
                batches: inside.map(batch).collect(),
                agreed: false,
            };
            side.aggregate.publish(task.to_json().into()).await.unwrap();
        }
        side.work(Kind::Aggregate).await;
        let intake = told.remove(0);
        let aggregate = side.counts();
        let all: usize = intake.values().chain(aggregate.values()).sum();
        *total = all as f64 / generated.batches.len() as f64;
        println!("{form:?}, {cache} MiB kept: {total:.3} a batch; intake {intake:?}, aggregate {aggregate:?}");
    }
    totals
}

fn options(batches: u64, packets: u64) -> GenerateOptions {
    GenerateOptions {
        packets,
        batches,
        bins: 2,
        seed: 20,
        points: Points::Pinned,
        aggregation: "org.example.small".parse().unwrap(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_small_batches_cost_at_most_twelve_operations_each_or_eight_as_single_objects() {
    let root = tempfile::tempdir().unwrap();
    let world = root.path().join("world");
    let generated = generate(&world, &options(1000, 20), Output::default()).await.unwrap();
    let (layout, generated) = (Layout::at(&world), generated.generated);
    for (form, cache, most) in [
        (ValidationForm::ThreeObjects, 32, 12.0),
        (ValidationForm::SingleObject, 32, 8.0),
        // Intake and aggregation in processes of their own: one more read a batch.
        (ValidationForm::ThreeObjects, 0, 12.1),
        (ValidationForm::SingleObject, 0, 8.1),
    ] {
        for total in whole_way(&layout, &generated, form, cache).await {
            assert!(
                total <= most,
                "{form:?} with {cache} MiB kept: {total} operations a batch"
            );
        }
    }
}

/// Where nothing is known of an earlier life of the own bucket, what was published in it is looked for.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_is_older_than_the_own_bucket_is_looked_for_in_the_peers_mailbox() {
    let root = tempfile::tempdir().unwrap();
    let world = root.path().join("world");
    let generated = generate(&world, &options(1, 20), Output::default())
        .await
        .unwrap()
        .generated;
    let (layout, mailboxes) = (Layout::at(&world), [memory("for-first"), memory("for-second")]);
    let batch = generated.batches[0];
    let name = BatchName {
        aggregation: generated.aggregation.clone(),
        date: batch.date,
        id: batch.id,
    };
    for (clock, looks) in [
        ("2026/01/01/08/30", false),
        ("2026/01/03/08/30", true),
        ("2025/12/31/08/30", true),
    ] {
        let side = Side::new(&layout, Role::First, &mailboxes, ValidationForm::ThreeObjects, 0).await;
        let processor = side.worker.processor();
        processor.clock.set(clock.parse::<BatchTime>().unwrap().millis());
        let progress = tallybox_facilitator::intake::no_progress();
        tallybox_facilitator::intake::intake(&processor, &name, progress)
            .await
            .unwrap();
        let signature = name.validation(Role::First).signature;
        let asked = side.recorded["validation-out"].take().into_iter();
        let first = asked
            .filter(|operation| operation.key == signature)
            .map(|operation| operation.kind)
            .next();
        assert_eq!(first == Some(OperationKind::Get), looks, "at {clock}: {first:?}");
    }
}
