//! A processor with memory buckets and memory queues, and an ingestor, a peer and workers that only
//! create objects.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    dead_code,
    missing_docs,
    unreachable_pub
)]

#[cfg(feature = "kubernetes")]
pub mod cluster;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tallybox_model::extensions::{Extensions, RosterExtension, Sighting};
use tallybox_model::id::BatchId;
use tallybox_model::path::BatchName;
use tallybox_model::role::Role;
use tallybox_model::roster::WindowName;
use tallybox_model::task::{QueueKind, Task, TaskName, WindowKind};
use tallybox_model::time::{BatchTime, Window};
use tallybox_queue::{MemoryQueue, TaskQueue};
use tallybox_service::clock::Clock;
use tallybox_transport::{RecordKey, Records, SharedBucket, memory, publish_bytes};
use tallybox_workflow_manager::Manager;
use tallybox_workflow_manager::announcement::FixedAnnouncement;
use tallybox_workflow_manager::inventory::{ManagerBuckets, ScanCache};
use tallybox_workflow_manager::metrics::Metrics;
use tallybox_workflow_manager::policy::Policy;
use tallybox_workflow_manager::start::QueueStarter;
use tallybox_workflow_manager::summary::RunSummary;
use tallybox_workflow_manager::switch::Announcements;
use zeroize::Zeroizing;

/// Returns a time on 2026-03-01, from hours and minutes.
pub fn at(text: &str) -> BatchTime {
    day(1, text)
}

/// Returns a time on a day of March 2026, from hours and minutes.
pub fn day(day: u32, text: &str) -> BatchTime {
    format!("2026/03/{day:02}/{text}").parse().unwrap()
}

pub fn batch(aggregation: &str, date: BatchTime, number: u8) -> BatchName {
    BatchName {
        aggregation: aggregation.parse().unwrap(),
        date,
        id: BatchId::from_bytes([number; 16]),
    }
}

pub fn hour(aggregation: &str, start: BatchTime) -> WindowName {
    WindowName {
        aggregation: aggregation.parse().unwrap(),
        window: Window::new(start, start.plus_minutes(60).unwrap()).unwrap(),
    }
}

/// Hourly windows, ten minutes of grace; a task without an outcome is started again after half an
/// hour.
pub const POLICY: Policy = Policy {
    role: Role::First,
    period_minutes: 60,
    grace_minutes: 10,
    wait_minutes: 0,
    look_back_minutes: 3 * 24 * 60,
    horizon_minutes: 7 * 24 * 60,
    reenqueue_after_minutes: 30,
};

/// A task about a window, as received from its queue.
#[derive(Debug)]
pub struct WindowTask {
    pub kind: WindowKind,
    pub name: WindowName,
    pub batches: Option<Vec<BatchName>>,
}

impl WindowTask {
    /// Returns whether this is a roster task.
    pub fn is_roster(&self) -> bool {
        self.kind == WindowKind::Roster
    }

    /// Returns whether this is a sum of the batches on which both rosters agree.
    pub fn is_sum_agreed(&self) -> bool {
        self.kind == WindowKind::Aggregate && self.batches.is_none()
    }
}

pub struct World {
    pub manager: Manager,
    pub ingestion: SharedBucket,
    pub own: SharedBucket,
    pub mailbox: SharedBucket,
    pub intake: MemoryQueue,
    pub aggregate: MemoryQueue,
    pub peer: Arc<FixedAnnouncement>,
}

impl World {
    pub fn new(now: BatchTime) -> Self {
        Self::with(now, memory("ingestion"), memory("own"), memory("mailbox"))
    }

    pub fn with(
        now: BatchTime,
        ingestion: SharedBucket,
        own: SharedBucket,
        mailbox: SharedBucket,
    ) -> Self {
        let [intake, aggregate] =
            ["intake", "aggregate"].map(|name| MemoryQueue::new(name, Duration::from_secs(600)));
        let peer = Arc::new(FixedAnnouncement::new(Sighting::Absent));
        let manager = Manager {
            instance: "us-ca-example".parse().unwrap(),
            buckets: ManagerBuckets {
                ingestion: ingestion.clone(),
                own: own.clone(),
                peer_validation_in: mailbox.clone(),
                records: records(),
            },
            starter: Arc::new(QueueStarter {
                intake: Arc::new(intake.clone()),
                aggregate: Arc::new(aggregate.clone()),
                rejected: BTreeMap::new(),
            }),
            policy: POLICY,
            announcements: Announcements {
                ours: None,
                peer: peer.clone(),
            },
            concurrency: 1,
            clock: Clock::manual(now.millis()),
            scan_cache: ScanCache::default(),
            metrics: Metrics::default(),
        };
        Self {
            manager,
            ingestion,
            own,
            mailbox,
            intake,
            aggregate,
            peer,
        }
    }

    /// Creates a world in which both sides use rosters from a given time.
    pub fn with_rosters(now: BatchTime, since: BatchTime) -> Self {
        let mut world = Self::new(now);
        let roster = RosterExtension { since, until: None };
        world.manager.announcements.ours = Some(roster);
        world.peer.set(Sighting::Announced(Extensions {
            roster: Some(roster),
        }));
        world
    }

    pub fn set(&self, now: BatchTime) {
        self.manager.clock.set(now.millis());
    }

    pub async fn run(&self) -> RunSummary {
        let summary = self.manager.run_once().await.unwrap();
        assert!(summary.failed.is_empty(), "{summary:?}");
        summary
    }

    /// Adds a batch as the ingestor does.
    pub async fn ingest(&self, name: &BatchName) {
        let objects = name.ingestion();
        for key in [objects.packets, objects.header, objects.signature] {
            put(&self.ingestion, &key).await;
        }
    }

    /// Adds the peer's validation of a batch.
    pub async fn validate(&self, name: &BatchName) {
        let objects = name.validation(self.manager.policy.role.peer());
        for key in [objects.packets, objects.header, objects.signature] {
            put(&self.mailbox, &key).await;
        }
    }

    /// Adds the result of our intake of a batch.
    pub async fn prepare(&self, name: &BatchName) {
        put(&self.own, &name.prepared("0123abcd")).await;
    }

    /// Adds a batch whose intake and validation are done on both sides.
    pub async fn both(&self, name: &BatchName) {
        self.ingest(name).await;
        self.validate(name).await;
        self.prepare(name).await;
    }

    pub async fn done(&self, name: &WindowName) {
        put(&self.own, &name.done()).await;
    }

    /// Receives all intake tasks from their queue.
    pub async fn intakes(&self) -> Vec<BatchName> {
        let mut found = Vec::new();
        while let Some(delivery) = self.intake.receive(Duration::ZERO).await.unwrap() {
            let task = Task::parse(QueueKind::Intake, &delivery.body).unwrap();
            self.intake.ack(&delivery.lease).await.unwrap();
            match task.name {
                TaskName::Intake(batch) => found.push(batch),
                TaskName::Window(..) => panic!("{task:?}"),
            }
        }
        found
    }

    /// Receives all window tasks from their queue.
    pub async fn window_tasks(&self) -> Vec<WindowTask> {
        let mut found = Vec::new();
        while let Some(delivery) = self.aggregate.receive(Duration::ZERO).await.unwrap() {
            self.aggregate.ack(&delivery.lease).await.unwrap();
            let task = Task::parse(QueueKind::Aggregate, &delivery.body).unwrap();
            match task.name {
                TaskName::Window(kind, name) => found.push(WindowTask {
                    kind,
                    name,
                    batches: task.batches,
                }),
                TaskName::Intake(_) => panic!("{task:?}"),
            }
        }
        found
    }

    /// Returns the sums that were started.
    pub async fn sums(&self) -> Vec<WindowTask> {
        let tasks = self.window_tasks().await;
        let is_sum = |task: &WindowTask| task.kind == WindowKind::Aggregate;
        assert!(tasks.iter().all(is_sum), "{tasks:?}");
        tasks
    }
}

/// Returns the keys that authenticate and verify the records of the world's processor.
pub fn records() -> Records {
    let key = RecordKey::from_bytes(Zeroizing::new([7; 32]));
    Records::of_processor([key], &"us-ca-example".parse().unwrap(), Role::First).unwrap()
}

pub async fn put(bucket: &SharedBucket, key: &str) {
    publish_bytes(&**bucket, key, Bytes::from_static(b"x"), false)
        .await
        .unwrap();
}
