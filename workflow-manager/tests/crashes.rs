//! A crash or a lost response at every operation on a bucket or a queue: the next run loses no
//! task, and every task of a window names the same batches.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use support::{World, at, batch, hour, put};
use tallybox_model::extensions::{Extensions, RosterExtension, Sighting};
use tallybox_queue::{Delivery, Depth, Lease, MemoryQueue, QueueError, TaskQueue};
use tallybox_transport::faults::{FaultKind, Faults};
use tallybox_transport::memory;
use tallybox_workflow_manager::inventory::ManagerBuckets;
use tallybox_workflow_manager::start::QueueStarter;

/// A queue that fails at its `at`-th publication.
#[derive(Debug)]
struct FaultyQueue {
    inner: MemoryQueue,
    count: Arc<AtomicU64>,
    at: u64,
    kind: FaultKind,
}

#[async_trait]
impl TaskQueue for FaultyQueue {
    async fn publish(&self, body: Bytes) -> Result<(), QueueError> {
        let number = self.count.fetch_add(1, Ordering::SeqCst) + 1;
        let fails = self.at != 0
            && (number == self.at || (number > self.at && self.kind == FaultKind::Die));
        if !fails || self.kind == FaultKind::FailAfterEffect {
            self.inner.publish(body).await?;
        }
        match fails {
            true => Err(QueueError::Unavailable {
                queue: self.location(),
                operation: "publish",
                source: "it was made to fail".into(),
            }),
            false => Ok(()),
        }
    }

    async fn receive(&self, wait: Duration) -> Result<Option<Delivery>, QueueError> {
        self.inner.receive(wait).await
    }

    async fn ack(&self, lease: &Lease) -> Result<(), QueueError> {
        self.inner.ack(lease).await
    }

    async fn nack(&self, lease: &Lease, delay: Duration) -> Result<(), QueueError> {
        self.inner.nack(lease, delay).await
    }

    async fn extend(&self, lease: &Lease, by: Duration) -> Result<(), QueueError> {
        self.inner.extend(lease, by).await
    }

    async fn reject(&self, delivery: &Delivery, reason: &str) -> Result<(), QueueError> {
        self.inner.reject(delivery, reason).await
    }

    async fn depth(&self) -> Result<Depth, QueueError> {
        self.inner.depth().await
    }

    fn lease_time(&self) -> Duration {
        self.inner.lease_time()
    }

    fn location(&self) -> String {
        self.inner.location()
    }
}

/// Creates two aggregations with batches in two windows, one of them skipped by the peer.
async fn world(now: &str) -> World {
    let world = World::with(
        at(now),
        memory("ingestion"),
        memory("own"),
        memory("mailbox"),
    );
    for aggregation in ["cats", "dogs"] {
        for (number, time) in [(1, "07/00"), (2, "08/00"), (3, "08/30")] {
            let name = batch(aggregation, at(time), number);
            world.ingest(&name).await;
            if number != 3 {
                world.validate(&name).await;
            }
        }
        // The intake of these is done, so the windows name them.
        for (number, time) in [(4, "07/10"), (5, "08/10")] {
            world.both(&batch(aggregation, at(time), number)).await;
        }
    }
    world
}

/// Injects the planned failures into the buckets and queues.
fn break_at(
    world: &mut World,
    buckets: &Faults,
    publication: u64,
    kind: FaultKind,
) -> Arc<AtomicU64> {
    world.manager.buckets = ManagerBuckets {
        ingestion: buckets.wrap(world.ingestion.clone()),
        own: buckets.wrap(world.own.clone()),
        peer_validation_in: buckets.wrap(world.mailbox.clone()),
        records: world.manager.buckets.records.clone(),
    };
    let count = Arc::new(AtomicU64::new(0));
    let queue = |inner: &MemoryQueue| {
        Arc::new(FaultyQueue {
            inner: inner.clone(),
            count: count.clone(),
            at: publication,
            kind,
        })
    };
    world.manager.starter = Arc::new(QueueStarter {
        intake: queue(&world.intake),
        aggregate: queue(&world.aggregate),
        rejected: BTreeMap::new(),
    });
    count
}

fn heal(world: &mut World) {
    break_at(world, &Faults::new(0, FaultKind::Fail), 0, FaultKind::Fail);
}

/// Checks that every task has been started after a failed run and a complete one some minutes
/// later, and that all tasks of a window are identical.
async fn complete(mut world: World, what: &str) {
    heal(&mut world);
    // A batch has arrived meanwhile; a fixed window stays unchanged.
    let late = batch("cats", at("08/40"), 9);
    world.both(&late).await;
    world.set(at("09/12"));
    world.run().await;
    let intakes: BTreeSet<_> = world.intakes().await.into_iter().collect();
    assert_eq!(intakes.len(), 6, "{what}: {intakes:?}");
    let mut sums: BTreeMap<_, BTreeSet<Vec<_>>> = BTreeMap::new();
    for task in world.sums().await {
        let batches = task.batches.expect("without rosters");
        sums.entry(task.name).or_default().insert(batches);
    }
    assert_eq!(sums.len(), 4, "{what}: {sums:?}");
    assert!(
        sums.values().all(|lists| lists.len() == 1),
        "{what}: {sums:?}"
    );
    assert!(
        world.run().await.started.is_empty(),
        "{what}: the markers are there"
    );
}

#[tokio::test]
async fn a_crash_at_any_operation_on_a_bucket_loses_no_task() {
    let mut counted = world("09/10").await;
    let faults = Faults::new(0, FaultKind::Fail);
    break_at(&mut counted, &faults, 0, FaultKind::Fail);
    counted.run().await;
    let operations = faults.operations();
    assert!(operations > 50, "{operations}");
    for kind in [FaultKind::Fail, FaultKind::FailAfterEffect, FaultKind::Die] {
        for number in 1..=operations {
            let mut world = world("09/10").await;
            break_at(&mut world, &Faults::new(number, kind), 0, FaultKind::Fail);
            // The result does not matter; the objects that the run leaves do.
            let _ = world.manager.run_once().await;
            complete(world, &format!("{kind:?} at {number}")).await;
        }
    }
}

#[tokio::test]
async fn a_crash_at_any_publication_loses_no_task() {
    for kind in [FaultKind::Fail, FaultKind::FailAfterEffect, FaultKind::Die] {
        for number in 1..=10 {
            let mut world = world("09/10").await;
            break_at(&mut world, &Faults::new(0, FaultKind::Fail), number, kind);
            let summary = world.manager.run_once().await.unwrap();
            assert!(!summary.failed.is_empty());
            complete(world, &format!("{kind:?} at publication {number}")).await;
        }
    }
}

/// With rosters, the first run records the switch, and it never changes.
#[tokio::test]
async fn a_crash_while_the_switch_is_fixed_changes_nothing_about_it() {
    let since = |time: &str| RosterExtension {
        since: at(time),
        until: None,
    };
    for kind in [FaultKind::Fail, FaultKind::FailAfterEffect, FaultKind::Die] {
        for number in 1..=12 {
            let mut world = world("05/00").await;
            world.manager.announcements.ours = Some(since("08/00"));
            let roster = Some(since("07/20"));
            world.peer.set(Sighting::Announced(Extensions { roster }));
            break_at(&mut world, &Faults::new(number, kind), 0, FaultKind::Fail);
            let _ = world.manager.run_once().await;
            heal(&mut world);
            world.set(at("09/10"));
            world.run().await;
            let tasks = world.window_tasks().await;
            let starts: Vec<_> = tasks
                .iter()
                .map(|task| (task.kind.as_str(), task.name.window.start()))
                .collect();
            let expected = [
                ("aggregate", at("07/00")),
                ("aggregate", at("07/00")),
                ("roster", at("08/00")),
                ("roster", at("08/00")),
            ];
            assert_eq!(starts, expected, "{kind:?} at {number}");
            // The peer's announcement is not read any more.
            world.peer.set(Sighting::Unknown);
            put(&world.own, &hour("cats", at("08/00")).agreed()).await;
            world.run().await;
            assert_eq!(world.window_tasks().await.len(), 1);
        }
    }
}
