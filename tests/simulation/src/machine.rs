//! Constructs the program of a process, with its configuration, keys and buckets, each time the
//! process starts.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use tallybox_crypto::{PacketPrivateKey, SealingKey, SigningKey, VerifyingKey};
use tallybox_facilitator::buckets::Buckets;
use tallybox_facilitator::budget::Budget;
use tallybox_facilitator::cache::Cache;
use tallybox_facilitator::config::{Points, ValidationForm};
use tallybox_facilitator::keys::{Keys, PacketKey};
use tallybox_facilitator::limits::{
    Limits, RejectionLimits, RosterRules, WearLimits, WrongKeyRule,
};
use tallybox_facilitator::processor::Processor;
use tallybox_facilitator::resources::Resources;

use tallybox_facilitator::config::worker::WorkerConfig;
use tallybox_facilitator::worker::Worker;
use tallybox_ingestor::config::{AcceptanceConfig, BatchConfig, ManifestConfig, ServeConfig};
use tallybox_ingestor::ingestor::{
    Ingestor, KeyPair, LiveRegistry, Locality, NamedPacketKey as IngestorKey,
};
use tallybox_ingestor::signer::{BatchSigner, SignError};
use tallybox_model::avro::FileLimits;
use tallybox_model::client_config::AttestationPolicy;
use tallybox_model::extensions::RosterExtension;
use tallybox_model::marker::ENCODER_GENERATION;
use tallybox_model::role::Role;
use tallybox_model::spool::SpoolNames;
use tallybox_model::task::QueueKind;
use tallybox_model::time::BatchTime;
use tallybox_queue::SharedQueue;
use tallybox_service::clock::Clock;
use tallybox_transport::{RecordKey, Records, SharedBucket};
use tallybox_workflow_manager::Manager;
use tallybox_workflow_manager::inventory::{ManagerBuckets, ScanCache};
use tallybox_workflow_manager::metrics::Metrics;
use tallybox_workflow_manager::policy::Policy;
use tallybox_workflow_manager::start::QueueStarter;
use tallybox_workflow_manager::switch::Announcements;
use tempfile::TempDir;

use crate::announcement::SimAnnouncement;
use crate::bucket::{SimBucket, StoredBucket, View};
use crate::keyring::{
    BINS, EPOCHS, INGESTOR, INSTANCE, Keyring, LOCALITY, ingestor_key_id, packet_key_id,
    signing_key_id,
};
use crate::process::Actor;
use crate::queue::{SimQueue, StoredQueue};
use crate::scenario::{
    GRACE_MINUTES, LEAVE_OUT_AFTER_MINUTES, MAX_ROSTER_ENTRIES, PERIOD_MINUTES,
    REPLAY_HORIZON_WINDOWS, Scenario,
};
use crate::schedule::{Life, Millis, Schedule};
use crate::time::MINUTE_MILLIS;
use crate::trouble::Trouble;

/// Every bucket and queue of a run.
#[derive(Debug)]
pub struct Storage {
    /// The ingestor's spool.
    pub spool: Arc<StoredBucket>,
    /// The mailboxes in which each processor receives ingestion batches.
    pub ingestion: [Arc<StoredBucket>; 2],
    /// The own bucket of each processor.
    pub own: [Arc<StoredBucket>; 2],
    /// The mailboxes in which each processor receives validation batches and rosters of its peer.
    pub validation: [Arc<StoredBucket>; 2],
    /// The portal's mailboxes, into which each processor writes its sum parts.
    pub sums: [Arc<StoredBucket>; 2],
    /// The queue of each processor's intake tasks.
    pub intake: [Arc<StoredQueue>; 2],
    /// The queue of each processor's roster and aggregation tasks.
    pub aggregate: [Arc<StoredQueue>; 2],
}

impl Storage {
    /// Returns every bucket.
    pub fn stored_buckets(&self) -> impl Iterator<Item = &Arc<StoredBucket>> {
        let sides = [&self.ingestion, &self.own, &self.validation, &self.sums];
        std::iter::once(&self.spool).chain(sides.into_iter().flatten())
    }
}

/// A running program with its in-memory state.
#[derive(Clone, Debug)]
pub enum Machine {
    /// The ingestor's batch job.
    Ingestor(Arc<Ingestor>),
    /// A processor's workflow manager.
    Manager(Arc<Manager>),
    /// A processor's worker, and the queue from which it takes tasks.
    Worker(Arc<Worker>, QueueKind),
}

/// Constructs the programs of a run.
#[derive(Debug)]
pub struct Machines<'w> {
    /// The parameters of the run.
    pub scenario: &'w Scenario,
    /// The buckets and queues of the run.
    pub storage: &'w Storage,
    /// The virtual time of the run.
    pub schedule: &'w Arc<Schedule>,
}

impl Machines<'_> {
    fn view(&self, reads: bool) -> View {
        let clouds = self.scenario.has(Trouble::Clouds);
        View {
            reads: reads || !clouds,
            empty_objects: !clouds,
            stale: if self.scenario.has(Trouble::StaleListings) {
                300
            } else {
                0
            },
            staleness: 20 * MINUTE_MILLIS,
            phantoms: if !reads && self.scenario.has(Trouble::Phantoms) {
                50
            } else {
                0
            },
            bad_reads: 0,
        }
    }

    /// Returns a mailbox as the worker of its owner sees it. Only these reads may return wrong
    /// bytes.
    fn inbox(&self, bucket: &Arc<StoredBucket>, life: &Arc<Life>) -> SharedBucket {
        let bad_reads = if self.scenario.has(Trouble::BadReads) {
            40
        } else {
            0
        };
        let view = View {
            bad_reads,
            ..self.view(true)
        };
        SimBucket::shared(bucket, self.schedule, life, view)
    }

    fn bucket(&self, bucket: &Arc<StoredBucket>, life: &Arc<Life>, reads: bool) -> SharedBucket {
        SimBucket::shared(bucket, self.schedule, life, self.view(reads))
    }

    /// Returns whether an event of the key rotation has happened.
    fn since(&self, at: impl Fn(&crate::scenario::Rotation) -> Millis) -> bool {
        let rotation = self.scenario.rotation.as_ref();
        rotation.is_some_and(|rotation| at(rotation) <= self.schedule.now())
    }

    /// Constructs the program of a process that starts now.
    #[must_use]
    pub fn start(&self, actor: Actor, life: &Arc<Life>, clock: &Clock) -> Machine {
        match actor {
            Actor::Batcher => Machine::Ingestor(Arc::new(self.ingestor(life, clock))),
            Actor::Manager(role) => Machine::Manager(Arc::new(self.manager(role, life, clock))),
            Actor::Intake(role) => Machine::Worker(
                self.worker(role, QueueKind::Intake, life, clock),
                QueueKind::Intake,
            ),
            Actor::Aggregate(role) => Machine::Worker(
                self.worker(role, QueueKind::Aggregate, life, clock),
                QueueKind::Aggregate,
            ),
        }
    }

    fn queue(&self, role: Role, kind: QueueKind, life: &Arc<Life>) -> SharedQueue {
        let stored = match kind {
            QueueKind::Intake => &self.storage.intake[role.index()],
            QueueKind::Aggregate => &self.storage.aggregate[role.index()],
        };
        SimQueue::shared(stored, self.schedule, life)
    }

    fn worker(&self, role: Role, kind: QueueKind, life: &Arc<Life>, clock: &Clock) -> Arc<Worker> {
        let config = WorkerConfig {
            concurrency: 1,
            ..WorkerConfig::default()
        };
        let queue = self.queue(role, kind, life);
        Worker::new(self.processor(role, life, clock), [(kind, queue)], config)
    }

    fn manager(&self, role: Role, life: &Arc<Life>, clock: &Clock) -> Manager {
        let (storage, side) = (self.storage, role.index());
        let horizon_minutes = self.scenario.horizon_minutes();
        Manager {
            instance: INSTANCE.parse().expect("an instance"),
            buckets: ManagerBuckets {
                ingestion: self.bucket(&storage.ingestion[side], life, true),
                own: self.bucket(&storage.own[side], life, true),
                peer_validation_in: self.bucket(&storage.validation[side], life, true),
                records: self.records(role),
            },
            starter: Arc::new(QueueStarter {
                intake: self.queue(role, QueueKind::Intake, life),
                aggregate: self.queue(role, QueueKind::Aggregate, life),
                rejected: BTreeMap::new(),
            }),
            policy: Policy {
                role,
                period_minutes: PERIOD_MINUTES,
                grace_minutes: GRACE_MINUTES,
                wait_minutes: 0,
                look_back_minutes: horizon_minutes.min(2 * 24 * 60),
                horizon_minutes,
                reenqueue_after_minutes: 45,
            },
            announcements: Announcements {
                ours: self.scenario.since[side].map(|since| RosterExtension { since, until: None }),
                peer: Arc::new(SimAnnouncement {
                    since: self.scenario.since[1 - side],
                    off: self
                        .scenario
                        .off
                        .filter(|(who, _)| *who == role.peer())
                        .map(|(_, at)| at),
                    schedule: Arc::clone(self.schedule),
                    life: Arc::clone(life),
                }),
            },
            concurrency: 1,
            clock: clock.clone(),
            scan_cache: ScanCache::default(),
            metrics: Metrics::default(),
        }
    }

    fn processor(&self, role: Role, life: &Arc<Life>, clock: &Clock) -> Processor {
        let (keyring, side) = (Keyring::get(), role.index());
        let keys = &keyring.processors[side];
        let held =
            if self.scenario.rotation.is_none() || self.since(|rotation| rotation.holds[side]) {
                EPOCHS
            } else {
                1
            };
        let now = self.schedule.now();
        let wrong = self.scenario.wrong_key;
        let wrong =
            wrong.is_some_and(|(who, from, until)| who == role && from <= now && now < until);
        let packet_key = |(epoch, metric): (usize, usize)| {
            // With a wrong key file, the processor loads its peer's key, which cannot decrypt its
            // packets.
            let keys = if wrong {
                &keyring.processors[1 - side]
            } else {
                keys
            };
            let key = &keys.packet[epoch][metric];
            PacketKey {
                id: packet_key_id(role, BINS[metric], epoch),
                key: copy_key(key),
                fingerprint: key.public().fingerprint(),
                bins: u32::try_from(BINS[metric]).ok(),
                created: Some(BatchTime::of_clock(self.scenario.start())),
            }
        };
        let held = (0..held).flat_map(|epoch| (0..BINS.len()).map(move |metric| (epoch, metric)));
        let signing = usize::from(self.since(|rotation| rotation.signs[side]));
        Processor {
            keys: Keys {
                packet: held.map(packet_key).collect(),
                signing_id: signing_key_id(role, signing),
                signing: keys.signing[signing].clone(),
                own: keyring.trusted(role),
                sealing: self.sealing_keys(role),
                ingestor: keyring.trusted_ingestor(),
                peer: keyring.trusted(role.peer()),
            },
            buckets: self.buckets(role, life),
            limits: self.limits(side),
            resources: Resources {
                pool: Arc::clone(&keyring.pool),
                budget: Budget::default(),
                cache: Cache::default(),
                clock: clock.clone(),
            },
        }
    }

    fn buckets(&self, role: Role, life: &Arc<Life>) -> Buckets {
        let (storage, side) = (self.storage, role.index());
        Buckets {
            instance: INSTANCE.parse().expect("an instance"),
            role,
            ingestion: self.inbox(&storage.ingestion[side], life),
            own: self.bucket(&storage.own[side], life, true),
            records: self.records(role),
            peer_validation_in: self.inbox(&storage.validation[side], life),
            peer_validation_out: self.bucket(&storage.validation[1 - side], life, false),
            sum_parts: self.bucket(&storage.sums[side], life, false),
        }
    }

    fn limits(&self, side: usize) -> Limits {
        Limits {
            points: Points::Pinned,
            registry: None,
            validation_form: ValidationForm::ThreeObjects,
            minimum_contributions: self.scenario.minimum[side],
            rejections: RejectionLimits {
                default: self.scenario.maximum_rejected_share,
                by_metric: std::collections::BTreeMap::new(),
            },
            rosters: self.rosters(side),
            // Batches contain a few packets only, so the rule applies from one packet on.
            wrong_key: WrongKeyRule {
                packets: 1,
                accept: false,
            },
            leave_out_after_minutes: LEAVE_OUT_AFTER_MINUTES,
            wear: WearLimits::default(),
            legacy_count: false,
            files: FileLimits {
                roster_entries: MAX_ROSTER_ENTRIES,
                ..FileLimits::default()
            },
            generation: ENCODER_GENERATION,
        }
    }

    fn sealing_keys(&self, role: Role) -> Vec<SealingKey> {
        let mut keys = Keyring::get().processors[role.index()].sealing.clone();
        if self.since(|rotation| rotation.seals[role.index()]) {
            keys.reverse();
        }
        keys
    }

    fn records(&self, role: Role) -> Records {
        let keys = self.sealing_keys(role);
        let keys = keys
            .iter()
            .map(|key| RecordKey::from_bytes(key.record_key()));
        Records::of_processor(keys, &INSTANCE.parse().expect("an instance"), role)
            .expect("a sealing key")
    }

    /// Returns the rules by which a processor agrees on windows, if it supports rosters.
    fn rosters(&self, side: usize) -> Option<RosterRules> {
        self.scenario.since[side]?;
        Some(RosterRules {
            origin: None,
            period_minutes: PERIOD_MINUTES,
            grace_minutes: GRACE_MINUTES,
            replay_horizon: REPLAY_HORIZON_WINDOWS,
            minimum: self.scenario.minimum[side],
            maximum_age: self.scenario.maximum_age[side],
        })
    }

    fn ingestor(&self, life: &Arc<Life>, clock: &Clock) -> Ingestor {
        let (storage, keyring) = (self.storage, Keyring::get());
        let epoch = usize::from(self.since(|rotation| rotation.ingestor));
        let instance: tallybox_model::id::Instance = INSTANCE.parse().expect("an instance");
        let mailbox = |side: usize| self.bucket(&storage.ingestion[side], life, false);
        let locality = Locality {
            name: LOCALITY.to_owned(),
            names: SpoolNames::new(instance.clone()),
            instance,
            attestation: AttestationPolicy::None,
            verifier: None,
            key_pairs: (0..EPOCHS)
                .flat_map(|epoch| (0..BINS.len()).filter_map(move |metric| key_pair(epoch, metric)))
                .collect(),
            mailboxes: [mailbox(0), mailbox(1)],
        };
        Ingestor {
            name: INGESTOR.to_owned(),
            serve: ServeConfig::default(),
            batches: BatchConfig {
                window_minutes: PERIOD_MINUTES,
                settle_secs: 300,
                max_packets: self.scenario.batch_packets.1,
                min_packets: self.scenario.batch_packets.0,
                max_carry_windows: self.scenario.carry,
                partition_bytes: self.scenario.partition_bytes,
                // The next run of the batch job retries. A retry within one run would sleep, which
                // virtual time does not support.
                write_tries: 1,
                ..BatchConfig::default()
            },
            acceptance: AcceptanceConfig::default(),
            manifest: ManifestConfig::default(),
            other_public_keys: keyring.trusted_ingestor(),
            signer: Arc::new(Signer {
                id: ingestor_key_id(epoch),
                key: keyring.ingestor[epoch].clone(),
            }),
            config_key: (ingestor_key_id(0), keyring.ingestor[0].clone()),
            secrets: vec![keyring.secret.clone()],
            records: spool_records(),
            registry: LiveRegistry::load(registry()).expect("a registry"),
            spool: self.bucket(&storage.spool, life, true),
            localities: [(LOCALITY.to_owned(), locality)].into(),
            clock: clock.clone(),
            clients_clock: None,
        }
    }
}

/// Returns the packet keys of an epoch for a metric, as the ingestor lists them.
fn key_pair(epoch: usize, metric: usize) -> Option<KeyPair> {
    let keys = Keyring::get().clients(metric, epoch).into_iter();
    let keys: Vec<_> = keys
        .map(|key| IngestorKey {
            id: key.key_id.unwrap_or_default(),
            public: key.public,
        })
        .collect();
    Some(KeyPair {
        bins: u32::try_from(BINS[metric]).ok()?,
        keys: keys.try_into().ok()?,
    })
}

/// Returns the authentication keys for the records of a processor's own bucket.
pub fn own_records(role: Role) -> Records {
    let keys = Keyring::get().processors[role.index()].sealing.iter();
    let keys = keys.map(|key| RecordKey::from_bytes(key.record_key()));
    Records::of_processor(keys, &INSTANCE.parse().expect("an instance"), role)
        .expect("a sealing key")
}

/// Returns the authentication keys for the records of the spool.
pub fn spool_records() -> Records {
    let secrets = std::slice::from_ref(&Keyring::get().secret);
    tallybox_ingestor::ingestor::records(secrets, INGESTOR).expect("a secret")
}

/// Copies a packet key. The type is not `Clone`, so the key is serialized and parsed, as at the
/// start of a program.
fn copy_key(key: &PacketPrivateKey) -> PacketPrivateKey {
    PacketPrivateKey::parse(&key.to_x963_base64()).expect("a key")
}

/// Returns the path of the ingestor's registry file.
fn registry() -> std::path::PathBuf {
    static DIRECTORY: LazyLock<TempDir> = LazyLock::new(|| {
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::write(directory.path().join("registry.yaml"), REGISTRY).expect("a file");
        directory
    });
    DIRECTORY.path().join("registry.yaml")
}

const REGISTRY: &str = "
version: 1
metrics:
  PeriodicExposureNotification-v1: { state: accept, encoding: { kind: histogram, bins: 5 }, epsilon: 8.0, cadence-hours: 24 }
  CodeVerified-v1: { state: accept, encoding: { kind: bit-vector, bins: 6 }, epsilon: 8.0, cadence-hours: 24 }
";

/// The ingestor's signing key.
#[derive(Debug)]
struct Signer {
    id: String,
    key: SigningKey,
}

#[async_trait]
impl BatchSigner for Signer {
    fn key_id(&self) -> &str {
        &self.id
    }

    fn verifying_key(&self) -> VerifyingKey {
        Keyring::get().trusted_ingestor()[&self.id].clone()
    }

    async fn sign(&self, header: &[u8]) -> Result<Vec<u8>, SignError> {
        Ok(self.key.sign(header))
    }
}
