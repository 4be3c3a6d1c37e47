//! The processor's configuration: one YAML file. Every key is documented; unknown keys are an
//! error.

pub mod worker;

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use tallybox_model::avro::FileLimits;
use tallybox_model::id::{AggregationId, Instance, KeyId};
use tallybox_model::role::Role;
use tallybox_model::time::BatchTime;
use tallybox_service::config::{NamedKey, OneOrMany};
use tallybox_transport::BucketPlace;
use worker::{WorkerConfig, WorkerQueues};

/// The whole configuration file. Relative paths are relative to the folder of the file.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Config {
    /// Locality and ingestor, `{locality}-{ingestor}`: the first component of the names of sum
    /// parts.
    pub instance: Instance,
    /// `first` (the health authority's side) or `second` (the facilitator).
    pub role: Role,
    /// The private keys that open packets. With pinned points, a packet that names one of these
    /// keys is opened with that key only. Otherwise the identifier in the packet is a hint, and the
    /// keys are tried in this order.
    pub packet_decryption_keys: Vec<NamedKey>,
    /// The key that signs the batches of this processor.
    pub batch_signing_key: NamedKey,
    /// The key or keys of the prepared batches. The first key seals; every key in the list opens.
    pub prepared_sealing_key: OneOrMany<SealingKeyFile>,
    /// The public halves of earlier signing keys of this processor, by identifier. With them, a
    /// command that is run again recognises the batches that those keys signed. Default: none.
    #[serde(default)]
    pub earlier_public_keys: BTreeMap<KeyId, PathBuf>,
    /// The five buckets of the processor.
    pub buckets: BucketSet,
    /// The ingestor's public signing keys, by identifier: files in any public key encoding.
    pub ingestor_public_keys: BTreeMap<KeyId, PathBuf>,
    /// The peer's public signing keys, by identifier.
    pub peer_public_keys: BTreeMap<KeyId, PathBuf>,
    /// `pinned` (default): all packets of the ingestor under one packet key have the same
    /// evaluation point, the first one seen, and each packet key is a document that names its
    /// instance and its number of bins. `per-packet`: for foreign ingestors that draw a point for
    /// each packet; needs `accept-replay-risk`.
    #[serde(default)]
    pub points: Points,
    /// `true` accepts the replay risk of `points: per-packet` (`docs/operating.md`, "One point per
    /// packet key"). Without it, `per-packet` is refused. Default `false`.
    #[serde(default)]
    pub accept_replay_risk: bool,
    /// The metric registry. A batch is rejected if its metric is not in the registry or its header
    /// differs from the metric's entry. Default: none; then every header is accepted as the
    /// ingestor wrote it.
    #[serde(default)]
    pub registry: Option<RegistryFile>,
    /// Where the ingestor publishes its client configuration: an `https://` URL or a file. Workers
    /// compare its packet keys with those of this processor at the start and every ten minutes;
    /// `check-config` compares them once. Default: no comparison.
    #[serde(default)]
    pub client_configuration: Option<String>,
    /// The form of the validation batches: `three-objects` (default), or `single-object` for peers
    /// that can read it.
    #[serde(default)]
    pub validation_form: ValidationForm,
    /// The fewest accepted packets for which a sum part is released. Default 100.
    #[serde(default = "default_minimum")]
    pub minimum_contributions: u64,
    /// The largest fraction of packets that may be lost because of the peer, of those for which
    /// this processor has a message. Above it the sum part is held until an operator releases it.
    /// Greater than 0, at most 1. Default 0.75.
    #[serde(default = "default_rejected_share")]
    pub maximum_rejected_share: f64,
    /// The same limit for single metrics, by name. Default: none.
    #[serde(default)]
    pub maximum_rejected_share_by_metric: BTreeMap<AggregationId, f64>,
    /// The rules by which this processor and its peer agree on windows. Default: no rosters; then
    /// both processors have to be given the batches to sum, as in ENPA.
    #[serde(default)]
    pub rosters: Option<Rosters>,
    /// Without rosters: the number of minutes after a window's end for which a batch that the task
    /// names waits for a packet key that opens it, or for the peer's validation batch. After that
    /// the window is summed without the batch. Default 240: the workflow manager's grace and
    /// waiting time, plus two hours. 0 leaves the batch out at once.
    #[serde(default = "default_leave_out_after")]
    pub leave_out_after_minutes: u32,
    /// `true` counts packets as the predecessor does in `total_individual_clients`: packets with
    /// both verification messages, valid or not. Default `false`: accepted packets. The minimum
    /// always refers to accepted packets.
    #[serde(default)]
    pub legacy_count: bool,
    /// Size limits for files that other parties wrote.
    #[serde(default)]
    pub limits: FileLimits,
    /// Number of threads that open packets. Default: one per core.
    #[serde(default)]
    pub threads: Option<usize>,
    /// The queues of the workers. Other commands do not need this section.
    #[serde(default)]
    pub queues: Option<WorkerQueues>,
    /// Settings of the workers.
    #[serde(default)]
    pub worker: WorkerConfig,
}

impl Config {
    /// Returns the path of every key file and of the registry, as written in the configuration.
    pub fn key_files(&self) -> impl Iterator<Item = &PathBuf> {
        let named = self.packet_decryption_keys.iter().map(|key| &key.file);
        let sealing = self
            .prepared_sealing_key
            .as_slice()
            .iter()
            .map(|key| &key.file);
        let public = [
            &self.earlier_public_keys,
            &self.ingestor_public_keys,
            &self.peer_public_keys,
        ];
        named
            .chain(sealing)
            .chain([&self.batch_signing_key.file])
            .chain(self.registry.iter().map(|registry| &registry.file))
            .chain(public.into_iter().flat_map(BTreeMap::values))
    }
}

/// The file of a secret key.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SealingKeyFile {
    /// The file: base64 of 32 random bytes.
    pub file: PathBuf,
}

/// The buckets of the processor: directories, or URLs `file:///…`, `memory:`,
/// `s3://region/bucket/prefix`, `gs://bucket/prefix`, `az://account/container/prefix`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct BucketSet {
    /// Ingestion batches. The ingestor writes, this processor reads.
    pub ingestion: BucketPlace,
    /// The processor's own bucket: prepared batches, evaluation points, and records of what is
    /// about to be published.
    pub own: BucketPlace,
    /// Validation batches of the peer. The peer writes, this processor reads.
    pub peer_validation_in: BucketPlace,
    /// Validation batches of this processor. This processor writes, the peer reads.
    pub peer_validation_out: BucketPlace,
    /// Sum parts. This processor writes, the portal reads.
    pub sum_parts: BucketPlace,
}

/// How evaluation points are assigned to packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Points {
    /// One point for all packets of an ingestor under one packet key.
    #[default]
    Pinned,
    /// A point of its own for each packet.
    PerPacket,
}

/// The form of a validation batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ValidationForm {
    /// Packets, header and signature in three objects. Every peer can read this form.
    #[default]
    ThreeObjects,
    /// A single signature object that contains header and packets.
    SingleObject,
}

/// The rules by which both processors agree on windows. The peer's rules have to be equal, except
/// for grace, maximum age and minimum.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Rosters {
    /// Start of the first window with a roster, in UTC. Default: the origin that the workflow
    /// manager writes into the own bucket once both sides have announced rosters.
    #[serde(default)]
    pub origin: Option<BatchTime>,
    /// Length of a window in minutes. Windows are aligned to 0001-01-01 00:00 UTC. Default 180.
    #[serde(default = "default_period")]
    pub period_minutes: u32,
    /// Minutes from a window's end until its roster is written. Default 60.
    #[serde(default = "default_grace")]
    pub grace_minutes: u32,
    /// The number of windows after its own in which a batch may still be summed, at least 1. The
    /// smaller value of the two processors applies. Default 56: one week of three-hour windows.
    #[serde(default = "default_age")]
    pub maximum_age_windows: u32,
    /// The number of windows for which packet ids are stored, so that no packet counts twice.
    /// Default 112: two weeks.
    #[serde(default = "default_horizon")]
    pub replay_horizon_windows: u32,
    /// Retention and delays elsewhere that have to fit these rules. The program does not enforce
    /// them; it refuses rules that do not fit them.
    #[serde(default)]
    pub horizons: Horizons,
}

/// Retention periods and maximum delays.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Horizons {
    /// Retention of batches and rosters in mailboxes, in days. Default 30.
    pub mailboxes_days: u32,
    /// Retention of prepared batches in the own bucket, in days. Default 30.
    pub prepared_days: u32,
    /// Retention of replaced packet keys, in days. Default 45.
    pub packet_keys_days: u32,
    /// Days that operators need to repair a fault. Default 3.
    pub repair_days: u32,
    /// The greatest delay with which the ingestor accepts a report, in hours: its setting
    /// `acceptance`. Default 48.
    pub acceptance_hours: u32,
    /// The longest time for which the ingestor carries over reports that are too few for a batch,
    /// in hours. Default 24.
    pub carry_hours: u32,
}

impl Default for Horizons {
    fn default() -> Self {
        Self {
            mailboxes_days: 30,
            prepared_days: 30,
            packet_keys_days: 45,
            repair_days: 3,
            acceptance_hours: 48,
            carry_hours: 24,
        }
    }
}

/// The metric registry and the number of clients that can report.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RegistryFile {
    /// The registry file; the same file as the ingestor's.
    pub file: PathBuf,
    /// The most clients that can report to this instance. With `rosters`, a metric that can never
    /// reach `minimum-contributions` is refused. Default: not checked.
    #[serde(default)]
    pub clients: Option<u64>,
}

fn default_period() -> u32 {
    180
}

fn default_grace() -> u32 {
    60
}

fn default_age() -> u32 {
    56
}

fn default_horizon() -> u32 {
    112
}

fn default_minimum() -> u64 {
    100
}

fn default_leave_out_after() -> u32 {
    240
}

fn default_rejected_share() -> f64 {
    0.75
}
