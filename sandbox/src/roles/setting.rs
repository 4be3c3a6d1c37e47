//! Opens the programs of a sandbox with its clock and its fault profile.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tallybox_facilitator::config::Config as ProcessorConfig;
use tallybox_facilitator::processor::Processor;
use tallybox_facilitator::worker::Worker;
use tallybox_ingestor::config::Config as IngestorConfig;
use tallybox_ingestor::ingestor::Ingestor;
use tallybox_model::task::QueueKind;
use tallybox_queue::{QueuePlace, SharedQueue};
use tallybox_service::clock::Clock;
use tallybox_service::config::load;
use tallybox_transport::SharedBucket;
use tallybox_workflow_manager::Manager;
use tallybox_workflow_manager::config::Config as ManagerConfig;
use tallybox_workflow_manager::leader::BucketLock;
use tallybox_workflow_manager::serve::{RunHeartbeat, Scheduler};
use tallybox_workflow_manager::start::QueueStarter;

use crate::error::Error;
use crate::fault_injection::{ChaosBucket, ChaosQueue, FaultInjector};

/// Scan interval of a workflow manager.
const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// Lease time of a leading workflow manager.
const LEASE_TIME: Duration = Duration::from_secs(3);
/// Maximum duration of one run of a workflow manager.
const MAX_RUN_TIME: Duration = Duration::from_secs(60);

/// The environment of the programs of a sandbox.
#[derive(Debug, Clone)]
pub struct Setting {
    /// The clock of all programs; clients may have another one.
    pub clock: Clock,
    /// Its rate relative to real time.
    pub rate: u32,
    /// The fault profile; `None` without fault injection.
    pub faults: Option<Arc<FaultInjector>>,
}

impl Setting {
    /// An environment without faults, with a clock at the rate of real time.
    #[must_use]
    pub fn without_faults(clock: &Clock) -> Self {
        Self {
            clock: clock.clone(),
            rate: 1,
            faults: None,
        }
    }

    /// Returns the clock of clients: the system clock if the sandbox clock is accelerated, so that
    /// external clients can post.
    #[must_use]
    pub fn clients_clock(&self) -> Clock {
        match self.rate {
            1 => self.clock.clone(),
            _ => Clock::system(),
        }
    }

    fn bucket(&self, inner: &SharedBucket) -> SharedBucket {
        ChaosBucket::shared(Arc::clone(inner), &self.clock, self.faults.as_ref())
    }

    fn queue(&self, location: &QueuePlace, directory: &Path) -> Result<SharedQueue, Error> {
        let queue = location.open(directory)?;
        Ok(match &self.faults {
            None => queue,
            Some(faults) => ChaosQueue::shared(queue, faults),
        })
    }

    /// Opens the ingestor of a configuration file.
    ///
    /// # Errors
    /// [`Error::Config`], [`Error::Ingestor`].
    pub fn ingestor(&self, file: &Path) -> Result<Ingestor, Error> {
        let config = load::<IngestorConfig>(file)?;
        let mut ingestor = Ingestor::open(&config).map_err(Error::ingestor)?;
        ingestor.clock = self.clock.clone();
        ingestor.clients_clock = Some(self.clients_clock());
        ingestor.spool = self.bucket(&ingestor.spool);
        for locality in ingestor.localities.values_mut() {
            locality.mailboxes = [0, 1].map(|side: usize| self.bucket(&locality.mailboxes[side]));
        }
        Ok(ingestor)
    }

    /// Opens the processor of a configuration file.
    ///
    /// # Errors
    /// [`Error::Config`], [`Error::Processor`].
    pub fn processor(&self, file: &Path) -> Result<Processor, Error> {
        let config = load::<ProcessorConfig>(file)?;
        let role = config.value.role;
        let opened = Processor::open(&config);
        let mut processor = opened.map_err(|source| Error::processor(role, source))?;
        processor.resources.clock = self.clock.clone();
        processor.buckets = processor.buckets.wrap(|bucket| self.bucket(&bucket));
        Ok(processor)
    }

    /// Opens a worker of the processor of a configuration file, for both queues.
    ///
    /// # Errors
    /// As [`Self::processor`], and [`Error::Queue`].
    pub fn worker(&self, file: &Path) -> Result<Arc<Worker>, Error> {
        let config = load::<ProcessorConfig>(file)?;
        let missing = || Error::Internal(format!("{} has no queues", file.display()));
        let locations = config.value.queues.as_ref().ok_or_else(missing)?;
        let queues = [
            (
                QueueKind::Intake,
                self.queue(&locations.intake, &config.directory)?,
            ),
            (
                QueueKind::Aggregate,
                self.queue(&locations.aggregate, &config.directory)?,
            ),
        ];
        Ok(Worker::new(
            self.processor(file)?,
            queues,
            config.value.worker.clone(),
        ))
    }

    /// Opens the workflow manager of a configuration file.
    ///
    /// # Errors
    /// [`Error::Config`], [`Error::Manager`], [`Error::Queue`].
    pub async fn manager(&self, file: &Path) -> Result<Manager, Error> {
        let config = load::<ManagerConfig>(file)?;
        let mut manager = Manager::open(&config).await.map_err(Error::manager)?;
        manager.clock = self.clock.clone();
        let buckets = &mut manager.buckets;
        for bucket in [
            &mut buckets.ingestion,
            &mut buckets.own,
            &mut buckets.peer_validation_in,
        ] {
            *bucket = self.bucket(bucket);
        }
        let missing = || Error::Internal(format!("{} has no queues", file.display()));
        let locations = config.value.queues.as_ref().ok_or_else(missing)?;
        manager.starter = Arc::new(QueueStarter {
            intake: self.queue(&locations.intake, &config.directory)?,
            aggregate: self.queue(&locations.aggregate, &config.directory)?,
            rejected: BTreeMap::new(),
        });
        Ok(manager)
    }

    /// Opens a workflow manager that runs continuously and takes part in leader election.
    ///
    /// # Errors
    /// As [`Self::manager`].
    pub async fn scheduler(&self, file: &Path) -> Result<Scheduler, Error> {
        let manager = self.manager(file).await?;
        // The lock counts in time of the sandbox clock, `LEASE_TIME` in real time.
        let lease = i64::try_from(LEASE_TIME.as_millis()).unwrap_or(i64::MAX);
        let election = BucketLock {
            own: Arc::clone(&manager.buckets.own),
            records: manager.buckets.records.clone(),
            holder: format!(
                "sandbox-{}-{:016x}",
                std::process::id(),
                rand::random::<u64>()
            ),
            lease_millis: lease.saturating_mul(i64::from(self.rate)),
            clock: self.clock.clone(),
        };
        Ok(Scheduler {
            manager,
            election: Arc::new(election),
            poll: POLL_INTERVAL,
            lease: LEASE_TIME,
            stuck: MAX_RUN_TIME,
            heartbeat: RunHeartbeat::default(),
        })
    }
}
