//! A processor whose peer is the predecessor, with queues in memory, and queues and buckets with
//! faults.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tallybox_facilitator::config::Config;
use tallybox_facilitator::config::worker::{RetryDelay, WorkerConfig};
use tallybox_facilitator::processor::Processor;
use tallybox_facilitator::worker::{Worker, run};
use tallybox_model::path::BatchName;
use tallybox_model::role::Role;
use tallybox_model::roster::WindowName;
use tallybox_model::task::{QueueKind, Task, TaskName, WindowKind};
use tallybox_queue::{Delivery, Depth, Lease, MemoryQueue, QueueError, SharedQueue, TaskQueue};
use tallybox_service::config::load;
use tallybox_tests::vectors::{BucketPaths, Case, write_config};
use tallybox_transport::intercept::{Decision, Intercepted, Interceptor, OperationKind, Request};
use tallybox_transport::{BucketError, SharedBucket, memory};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// A processor whose peer is the predecessor, and its queues.
pub(crate) struct World {
    pub(crate) case: Case,
    pub(crate) config: PathBuf,
    pub(crate) intake: MemoryQueue,
    pub(crate) aggregate: MemoryQueue,
    _root: tempfile::TempDir,
}

/// A running worker.
pub(crate) struct Running {
    pub(crate) worker: Arc<Worker>,
    pub(crate) stop: CancellationToken,
    pub(crate) task: JoinHandle<()>,
}

impl World {
    /// Creates a processor for a test case, with queues whose leases last for `lease`.
    pub(crate) fn new(case: &str, lease: Duration) -> Self {
        let (case, root, role) = (Case::load(case), tempfile::tempdir().unwrap(), Role::First);
        let paths = BucketPaths::beside_predecessor(&case, root.path(), role);
        Self {
            config: write_config(root.path(), role, &paths, "threads: 2\n"),
            case,
            intake: MemoryQueue::new("intake", lease),
            aggregate: MemoryQueue::new("aggregate", lease),
            _root: root,
        }
    }

    /// Returns the processor. The buckets to which it writes are in memory.
    pub(crate) fn processor(&self) -> Processor {
        let mut processor = Processor::open(&load::<Config>(&self.config).unwrap()).unwrap();
        processor.buckets.own = memory("own");
        processor.buckets.peer_validation_out = memory("out");
        processor.buckets.sum_parts = memory("sum");
        processor
    }

    pub(crate) fn worker(&self, processor: Processor) -> Arc<Worker> {
        let intake = Arc::new(self.intake.clone()) as SharedQueue;
        let aggregate = Arc::new(self.aggregate.clone()) as SharedQueue;
        Worker::new(
            processor,
            [
                (QueueKind::Intake, intake),
                (QueueKind::Aggregate, aggregate),
            ],
            config(),
        )
    }

    pub(crate) fn intake_task(&self, batch: &BatchName) -> Vec<u8> {
        let task = Task {
            trace_id: Uuid::nil(),
            name: TaskName::Intake(batch.clone()),
            batches: None,
        };
        task.to_json()
    }

    pub(crate) fn aggregate_task(&self, batches: &[BatchName]) -> Vec<u8> {
        let name = WindowName {
            aggregation: self.case.aggregation(),
            window: Case::window(),
        };
        let task = Task {
            trace_id: Uuid::nil(),
            name: TaskName::Window(WindowKind::Aggregate, name),
            batches: Some(batches.to_vec()),
        };
        task.to_json()
    }

    /// Publishes the intake tasks of all batches.
    pub(crate) async fn publish_intakes(&self) {
        for batch in self.case.batches() {
            let task = self.intake_task(&batch);
            self.intake.publish(task.into()).await.unwrap();
        }
    }

    /// Returns the rejected messages with their reasons.
    pub(crate) async fn rejected(queue: &MemoryQueue) -> Vec<(Bytes, String)> {
        let (rejected, mut all) = (queue.rejected(), Vec::new());
        while let Some(delivery) = rejected.receive(Duration::ZERO).await.unwrap() {
            rejected.ack(&delivery.lease).await.unwrap();
            all.push((delivery.body, delivery.reason.unwrap()));
        }
        all
    }
}

pub(crate) fn config() -> WorkerConfig {
    WorkerConfig {
        concurrency: 2,
        retry_delay: RetryDelay {
            min_secs: 1,
            max_secs: 600,
        },
        ..WorkerConfig::default()
    }
}

/// Starts the worker's loop on both queues.
pub(crate) fn start(worker: Arc<Worker>) -> Running {
    let stop = CancellationToken::new();
    let task = tokio::spawn(run(Arc::clone(&worker), &QueueKind::ALL, stop.clone()));
    Running { worker, stop, task }
}

impl Running {
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }

    /// Returns the value of a metric.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        metric(&self.worker, name)
    }
}

pub(crate) fn metric(worker: &Worker, name: &str) -> u64 {
    let text = worker.metrics.text();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{name} in {text}"))
        .parse()
        .unwrap()
}

/// Waits until a queue contains no message except rejected ones. With paused time, the limit is
/// many hours of virtual time.
pub(crate) async fn emptied(queue: &dyn TaskQueue) {
    let emptying = async {
        loop {
            let depth = queue.depth().await.unwrap();
            if (depth.ready, depth.held) == (Some(0), Some(0)) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    // With paused time, this limit takes no real time.
    let in_time = tokio::time::timeout(Duration::from_secs(50_000), emptying).await;
    in_time.expect("the queue is emptied in time");
}

/// A queue whose operations fail for a chosen number of times each, and which counts received
/// messages.
#[derive(Debug)]
pub(crate) struct Flaky {
    inner: SharedQueue,
    failures: Mutex<BTreeMap<&'static str, u32>>,
    pub(crate) received: AtomicU32,
}

impl Flaky {
    pub(crate) fn new(
        inner: SharedQueue,
        failures: impl IntoIterator<Item = (&'static str, u32)>,
    ) -> Arc<Self> {
        Arc::new(Self {
            inner,
            failures: Mutex::new(failures.into_iter().collect()),
            received: AtomicU32::new(0),
        })
    }

    fn fail(&self, operation: &'static str) -> Result<(), QueueError> {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        match failures.get_mut(operation) {
            Some(left) if *left > 0 => {
                *left -= 1;
                Err(QueueError::Unavailable {
                    queue: "flaky".to_owned(),
                    operation,
                    source: "transient test failure".into(),
                })
            }
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl TaskQueue for Flaky {
    async fn publish(&self, body: Bytes) -> Result<(), QueueError> {
        self.inner.publish(body).await
    }

    async fn receive(&self, wait: Duration) -> Result<Option<Delivery>, QueueError> {
        self.fail("receive")?;
        let received = self.inner.receive(wait).await?;
        if received.is_some() {
            self.received.fetch_add(1, Ordering::SeqCst);
        }
        Ok(received)
    }

    async fn ack(&self, lease: &Lease) -> Result<(), QueueError> {
        self.fail("ack")?;
        self.inner.ack(lease).await
    }

    async fn nack(&self, lease: &Lease, delay: Duration) -> Result<(), QueueError> {
        self.fail("nack")?;
        self.inner.nack(lease, delay).await
    }

    async fn extend(&self, lease: &Lease, by: Duration) -> Result<(), QueueError> {
        self.fail("extend")?;
        self.inner.extend(lease, by).await
    }

    async fn reject(&self, delivery: &Delivery, reason: &str) -> Result<(), QueueError> {
        self.fail("reject")?;
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

/// The fault of a bucket in every request for an object.
#[derive(Clone, Copy, Debug)]
pub(crate) enum BucketFault {
    /// The response is delayed.
    Slow(Duration),
    /// The request panics.
    Panic,
}

impl BucketFault {
    /// Wraps a bucket with this fault.
    pub(crate) fn wrap(self, inner: SharedBucket) -> SharedBucket {
        Intercepted::wrap(inner, self)
    }
}

#[async_trait]
impl Interceptor for BucketFault {
    async fn before(&self, request: &Request<'_>) -> Result<Decision, BucketError> {
        match (request.kind, self) {
            (OperationKind::Get, Self::Slow(time)) => tokio::time::sleep(*time).await,
            (OperationKind::Get, Self::Panic) => panic!("this bucket panics in every get"),
            _ => {}
        }
        Ok(Decision::Proceed)
    }
}
