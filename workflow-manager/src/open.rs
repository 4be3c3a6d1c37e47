//! Creates a manager from the configuration.

use std::sync::Arc;

use tallybox_model::cause::chain;
use tallybox_service::clock::Clock;
use tallybox_service::config::Loaded;
use tallybox_service::fetch::Document;
use tallybox_service::key_file::read_secret;

use crate::announcement::{FixedAnnouncement, PeerAnnouncement};
use crate::config::{Config, JobsConfig};
use crate::error::Error;
use crate::inventory::{ManagerBuckets, ScanCache};
use crate::manager::Manager;
use crate::metrics::Metrics;
use crate::start::{QueueStarter, Starter};
use crate::switch::Announcements;
use tallybox_model::extensions::{EXTENSIONS_SIZE_LIMIT, Sighting};
use tallybox_model::task::QueueKind;
use tallybox_transport::{RecordKey, Records};

impl Manager {
    /// Creates the manager that a configuration describes, on the system clock.
    ///
    /// # Errors
    /// [`Error`], caused by the configuration or by the cluster that `jobs` names.
    pub async fn open(config: &Loaded<Config>) -> Result<Self, Error> {
        let directory = &config.directory;
        let settings = &config.value;
        settings.check().map_err(Error::Setting)?;
        let starter: Arc<dyn Starter> = match (&settings.queues, &settings.jobs) {
            (Some(queues), _) => {
                // Some queues have no readable location for rejected tasks. Those tasks are then
                // not counted.
                let readable = |kind| {
                    let queue = queues.place(kind).open_rejected(directory).ok()?;
                    Some((kind, queue))
                };
                Arc::new(QueueStarter {
                    intake: queues.intake.open(directory)?,
                    aggregate: queues.aggregate.open(directory)?,
                    rejected: QueueKind::ALL.into_iter().filter_map(readable).collect(),
                })
            }
            (None, Some(jobs)) => jobs_starter(config, jobs).await?,
            (None, None) => {
                return Err(Error::Setting(
                    "set either queues or jobs, which start the work".to_owned(),
                ));
            }
        };
        let buckets = ManagerBuckets {
            ingestion: settings.buckets.ingestion.open(directory)?,
            own: settings.buckets.own.open(directory)?,
            peer_validation_in: settings.buckets.peer_validation_in.open(directory)?,
            records: records(config)?,
        };
        Ok(Self {
            instance: settings.instance.clone(),
            buckets,
            starter,
            policy: settings.policy(),
            announcements: Announcements {
                ours: settings.announced(),
                peer: peer(config)?,
            },
            concurrency: settings.schedule.concurrency,
            clock: Clock::system(),
            scan_cache: ScanCache::default(),
            metrics: Metrics::default(),
        })
    }
}

/// Loads the keys that authenticate and verify the records in the processor's own bucket.
fn records(config: &Loaded<Config>) -> Result<Records, Error> {
    let settings = &config.value;
    let keys = settings
        .record_keys
        .iter()
        .map(|key| read_secret(&config.resolve(&key.file), "record key", RecordKey::parse));
    let keys = keys.collect::<Result<Vec<_>, _>>()?;
    Records::of_processor(keys, &settings.instance, settings.role).ok_or_else(|| {
        Error::Setting("record-keys is empty: make a key with `facilitator key record`".to_owned())
    })
}

/// Returns the source of the peer's announcement.
fn peer(config: &Loaded<Config>) -> Result<Arc<dyn PeerAnnouncement>, Error> {
    let Some(roster) = &config.value.roster else {
        return Ok(Arc::new(FixedAnnouncement::new(Sighting::Absent)));
    };
    let document = Document::at(&roster.peer, &config.directory, EXTENSIONS_SIZE_LIMIT);
    let document =
        document.map_err(|error| Error::Setting(format!("roster.peer: {}", chain(&error))))?;
    Ok(Arc::new(document))
}

#[cfg(feature = "kubernetes")]
async fn jobs_starter(
    config: &Loaded<Config>,
    jobs: &JobsConfig,
) -> Result<Arc<dyn Starter>, Error> {
    let starter =
        crate::kubernetes::Jobs::open(&config.value, jobs, &config.resolve(&jobs.template)).await?;
    Ok(Arc::new(starter))
}

#[cfg(not(feature = "kubernetes"))]
#[allow(clippy::unused_async, reason = "one form with the feature and without")]
async fn jobs_starter(_: &Loaded<Config>, _: &JobsConfig) -> Result<Arc<dyn Starter>, Error> {
    Err(Error::Setting(
        "jobs: this build does not support Kubernetes Jobs; build with the cargo feature \"kubernetes\"".to_owned(),
    ))
}
