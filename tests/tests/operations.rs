//! Counts the bucket operations that a batch costs each processor between intake and sum part.
//!
//! Cloud providers charge for operations, so small batches are expensive: a thousand batches of
//! twenty packets need a thousand times the operations of one batch, and hardly any computation.
//! Listings are not counted, since one listing covers many batches.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tallybox_facilitator::config::worker::WorkerConfig;
use tallybox_facilitator::config::{Points, ValidationForm};
use tallybox_facilitator::limits::RosterRules;
use tallybox_facilitator::processor::Processor;
use tallybox_facilitator::worker::{Outcome, Worker, step};
use tallybox_model::path::{BatchName, bucket_created};
use tallybox_model::role::Role;
use tallybox_model::roster::WindowName;
use tallybox_model::task::{QueueKind, Task, TaskName, WindowKind};
use tallybox_model::time::{BatchTime, Window};
use tallybox_queue::{MemoryQueue, TaskQueue as _};
use tallybox_sandbox::generate::{GenerateOptions, GeneratedBatch, GeneratedBatches, generate};
use tallybox_sandbox::layout::Layout;
use tallybox_service::clock::Clock;
use tallybox_service::output::Output;
use tallybox_transport::recorded::{OperationKind, RecordedBucket};
use tallybox_transport::{SharedBucket, memory};
use uuid::Uuid;

/// The number of windows with batches.
const WINDOW_COUNT: i64 = 8;
/// The length of a window in minutes.
const WINDOW_MINUTES: i64 = 60;

/// A processor with recorded bucket operations.
struct Side {
    worker: Arc<Worker>,
    recorded: BTreeMap<&'static str, Arc<RecordedBucket>>,
    intake: MemoryQueue,
    aggregate: MemoryQueue,
}

/// The number of requests by bucket and kind.
type Counts = BTreeMap<(&'static str, &'static str), usize>;

impl Side {
    async fn new(layout: &Layout, role: Role, mailboxes: &[SharedBucket; 2], run: Run) -> Self {
        let config = tallybox_service::config::load(&layout.config(role)).unwrap();
        let mut processor = Processor::open(&config).unwrap();
        // The own bucket is older than the batches, and the batches are of today.
        let own = memory("own");
        let key = bucket_created(&processor.buckets.instance);
        let created = processor
            .buckets
            .records
            .create(&*own, &key, b"2025/12/01/00/00")
            .await;
        created.unwrap();
        let now: BatchTime = "2026/01/01/08/30".parse().unwrap();
        processor.resources.clock = Clock::manual(now.millis());
        processor.limits.validation_form = run.form;
        let rules = RosterRules {
            origin: Some(windows()[0].start()),
            period_minutes: 60,
            grace_minutes: 0,
            replay_horizon: 10,
            minimum: 1,
            maximum_age: 3,
        };
        processor.limits.rosters = (run.choice == Choice::Rosters).then_some(rules);
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
            (QueueKind::Intake, Arc::new(intake.clone()) as _),
            (QueueKind::Aggregate, Arc::new(aggregate.clone()) as _),
        ];
        let config = WorkerConfig {
            prepared_cache_mib: run.cache,
            ..WorkerConfig::default()
        };
        Self {
            worker: Worker::new(processor, queues, config),
            recorded,
            intake,
            aggregate,
        }
    }

    /// Runs all tasks in a queue.
    async fn work(&self, kind: QueueKind) {
        while let Some(outcome) = step(&self.worker, kind, Duration::ZERO).await.unwrap() {
            assert_eq!(outcome, Outcome::Done);
        }
    }

    /// Returns the requests since the last call.
    fn counts(&self) -> Counts {
        let mut counts = Counts::new();
        for (name, bucket) in &self.recorded {
            for operation in bucket.drain() {
                let kind = match operation.kind {
                    OperationKind::Get => "get",
                    OperationKind::GetRange => "get-range",
                    OperationKind::Size => "size",
                    OperationKind::Commit => "put",
                    OperationKind::Delete => "delete",
                    // Reading the bucket's clock writes an object and reads it.
                    OperationKind::Date => {
                        *counts.entry((*name, "date")).or_default() += 2;
                        continue;
                    }
                    // Starting or cancelling a small upload sends no request.
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
    let at = |i: i64| start.plus_minutes(i * WINDOW_MINUTES).unwrap();
    (0..WINDOW_COUNT)
        .map(|i| Window::new(at(i), at(i + 1)).unwrap())
        .collect()
}

/// How the batches of a window are selected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Choice {
    /// The task names them, as in ENPA.
    Named,
    /// The rosters agree on them.
    Rosters,
}

/// The parameters of a run: the form of validation batches, the selection of batches, and the cache
/// of prepared batches.
#[derive(Clone, Copy, Debug)]
struct Run {
    form: ValidationForm,
    choice: Choice,
    cache: u64,
}

/// Processes all batches from intake to sum part. Returns each side's requests per batch.
async fn run_pipeline(layout: &Layout, generated: &GeneratedBatches, run: Run) -> [f64; 2] {
    let mailboxes = [memory("for-first"), memory("for-second")];
    let first = Side::new(layout, Role::First, &mailboxes, run).await;
    let sides = [
        first,
        Side::new(layout, Role::Second, &mailboxes, run).await,
    ];
    let aggregation = &generated.aggregation;
    let batch_name = |batch: &GeneratedBatch| BatchName {
        aggregation: aggregation.clone(),
        date: batch.date,
        id: batch.id,
    };
    let window_name = |window: Window| WindowName {
        aggregation: aggregation.clone(),
        window,
    };
    for side in &sides {
        for batch in &generated.batches {
            let task = Task {
                trace_id: Uuid::nil(),
                name: TaskName::Intake(batch_name(batch)),
                batches: None,
            };
            side.intake.publish(task.to_json().into()).await.unwrap();
        }
        side.work(QueueKind::Intake).await;
    }
    let mut stages = sides.each_ref().map(|side| vec![side.counts()]);
    if run.choice == Choice::Rosters {
        // Each side writes its roster of a window, then reads the other's and agrees.
        for window in windows() {
            for side in [0, 1, 0] {
                let task = Task {
                    trace_id: Uuid::nil(),
                    name: TaskName::Window(WindowKind::Roster, window_name(window)),
                    batches: None,
                };
                // From here on the bucket's clock is that of this machine.
                side_at_real_time(&sides[side]);
                sides[side]
                    .aggregate
                    .publish(task.to_json().into())
                    .await
                    .unwrap();
                sides[side].work(QueueKind::Aggregate).await;
            }
        }
        for (side, stages) in sides.iter().zip(&mut stages) {
            stages.push(side.counts());
        }
    }
    for (side, stages) in sides.iter().zip(&mut stages) {
        for window in windows() {
            let inside = generated
                .batches
                .iter()
                .filter(|batch| window.contains(batch.date));
            let task = Task {
                trace_id: Uuid::nil(),
                name: TaskName::Window(WindowKind::Aggregate, window_name(window)),
                batches: (run.choice != Choice::Rosters).then(|| inside.map(batch_name).collect()),
            };
            side.aggregate.publish(task.to_json().into()).await.unwrap();
        }
        side.work(QueueKind::Aggregate).await;
        stages.push(side.counts());
        let summed = side.worker.metrics.text();
        let line = format!(
            "facilitator_packets_summed_total {}",
            generated.batches.len() * 20
        );
        assert!(summed.contains(&line), "{summed}");
    }
    stages.map(|stages| {
        let all: usize = stages.iter().flat_map(BTreeMap::values).sum();
        let total = all as f64 / generated.batches.len() as f64;
        println!("{run:?}: {total:.3} a batch; {stages:?}");
        total
    })
}

fn side_at_real_time(side: &Side) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    side.worker
        .processor()
        .resources
        .clock
        .set(i64::try_from(now.as_millis()).unwrap());
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
async fn a_thousand_small_batches_cost_at_most_thirteen_operations_each_or_nine_as_single_objects()
{
    let root = tempfile::tempdir().unwrap();
    let world = root.path().join("world");
    let generated = generate(&world, &options(1000, 20), Output::default())
        .await
        .unwrap();
    let (layout, generated) = (Layout::at(&world), generated.generated);
    // Without rosters each batch is claimed for its window, which needs one more object.
    for (choice, claim) in [(Choice::Named, 1.0), (Choice::Rosters, 0.0)] {
        for (form, cache, most) in [
            (ValidationForm::ThreeObjects, 32, 12.0),
            (ValidationForm::SingleObject, 32, 8.0),
        ] {
            let run = Run {
                form,
                choice,
                cache,
            };
            for total in run_pipeline(&layout, &generated, run).await {
                assert!(
                    total <= most + claim,
                    "{run:?}: {total} operations per batch"
                );
            }
        }
    }
}

/// Intake and aggregation in separate processes need one more read per batch.
#[tokio::test(flavor = "multi_thread")]
async fn without_memory_of_prepared_batches_each_costs_one_read_more() {
    let root = tempfile::tempdir().unwrap();
    let world = root.path().join("world");
    let generated = generate(&world, &options(80, 20), Output::default())
        .await
        .unwrap();
    let (layout, generated) = (Layout::at(&world), generated.generated);
    for form in [ValidationForm::ThreeObjects, ValidationForm::SingleObject] {
        let choice = Choice::Named;
        let with = run_pipeline(
            &layout,
            &generated,
            Run {
                form,
                choice,
                cache: 32,
            },
        )
        .await;
        let without = run_pipeline(
            &layout,
            &generated,
            Run {
                form,
                choice,
                cache: 0,
            },
        )
        .await;
        for (with, without) in with.into_iter().zip(without) {
            assert!((without - with - 1.0).abs() < 1e-9, "{with} and {without}");
        }
    }
}

/// If the own bucket may have been used before, the processor searches for objects that were
/// published then.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_is_older_than_the_own_bucket_is_looked_for_in_the_peers_mailbox() {
    let root = tempfile::tempdir().unwrap();
    let world = root.path().join("world");
    let generated = generate(&world, &options(1, 20), Output::default())
        .await
        .unwrap()
        .generated;
    let (layout, mailboxes) = (
        Layout::at(&world),
        [memory("for-first"), memory("for-second")],
    );
    let batch = generated.batches[0];
    let name = BatchName {
        aggregation: generated.aggregation.clone(),
        date: batch.date,
        id: batch.id,
    };
    for (clock, reads_first) in [
        ("2026/01/01/08/30", false),
        ("2026/01/03/08/30", true),
        ("2025/12/31/08/30", true),
    ] {
        let run = Run {
            form: ValidationForm::ThreeObjects,
            choice: Choice::Named,
            cache: 0,
        };
        let side = Side::new(&layout, Role::First, &mailboxes, run).await;
        let processor = side.worker.processor();
        processor
            .resources
            .clock
            .set(clock.parse::<BatchTime>().unwrap().millis());
        let progress = tallybox_facilitator::progress::no_progress();
        tallybox_facilitator::intake::intake(&processor, &name, progress)
            .await
            .unwrap();
        let signature = name.validation(Role::First).signature;
        let asked = side.recorded["validation-out"].drain().into_iter();
        let first = asked
            .filter(|operation| operation.key == signature)
            .map(|operation| operation.kind)
            .next();
        assert_eq!(
            first == Some(OperationKind::Get),
            reads_first,
            "at {clock}: {first:?}"
        );
    }
}
