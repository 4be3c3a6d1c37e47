//! The processor's configuration: one YAML file, every key documented, unknown keys refused.

use crate::worker::{Queues, WorkerConfig};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use tallybox_model::avro::Limits;
use tallybox_model::id::{AggregationId, Instance, KeyId};
use tallybox_model::role::Role;
use tallybox_model::time::BatchTime;
use tallybox_service::config::{NamedKey, OneOrMany};
use tallybox_transport::BucketPlace;

/// The whole file. Relative paths are relative to the file's folder.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Config {
    /// The pair of locality and ingestor, `{locality}-{ingestor}`; the first component of sum part names.
    pub instance: Instance,
    /// `first` (the health authority's side) or `second` (the facilitator).
    pub role: Role,
    /// The keys that packets may be sealed to. With pinned points a packet that names one of them is opened with it alone;
    /// otherwise the identifier is a hint, and the keys are tried in this order.
    pub packet_decryption_keys: Vec<NamedKey>,
    /// The key that signs our batches.
    pub batch_signing_key: NamedKey,
    /// The key or keys that seal our prepared batches: the first seals, all open.
    pub prepared_sealing_key: OneOrMany<KeyFile>,
    /// The public halves of earlier signing keys of ours, by identifier: what they have signed is known as ours when
    /// a command is run again. Default: none.
    #[serde(default)]
    pub earlier_public_keys: BTreeMap<KeyId, PathBuf>,
    /// Where everything is.
    pub buckets: Buckets,
    /// The keys that the ingestor signs with, by identifier: files in any public key encoding.
    pub ingestor_public_keys: BTreeMap<KeyId, PathBuf>,
    /// The keys that the peer signs with, by identifier.
    pub peer_public_keys: BTreeMap<KeyId, PathBuf>,
    /// `pinned` (default): all packets of this ingestor under one packet key have one evaluation point, the first
    /// seen, and each packet key is a document that names instance and bins. `per-packet`: for foreign ingestors that
    /// draw a point for each packet; needs `accept-replay-risk`.
    #[serde(default)]
    pub points: Points,
    /// `true` accepts what `points: per-packet` does not protect from (`docs/operating.md`, "One point per packet
    /// key"); without it `per-packet` is refused. Default `false`.
    #[serde(default)]
    pub accept_replay_risk: bool,
    /// The metric registry: a batch whose header differs from the metric's entry, or whose metric is not in it, is
    /// rejected. Default: none, and every header is taken as the ingestor wrote it.
    #[serde(default)]
    pub registry: Option<Registry>,
    /// Where the ingestor publishes its client configuration: an `https://` URL, or a file. Workers compare its packet keys
    /// with ours at start and every ten minutes, and `check-config` does. Default: nowhere.
    #[serde(default)]
    pub client_configuration: Option<String>,
    /// How our validation batches are written: `three-objects` (default), or `single-object` for peers that read it.
    #[serde(default)]
    pub validation_form: ValidationForm,
    /// The fewest accepted packets for which a sum part is released. Default 100.
    #[serde(default = "default_minimum")]
    pub minimum_contributions: u64,
    /// Above which share of packets that do not count because of the peer, of those for which we have a message, a sum part
    /// is held until an operator releases it: above 0, at most 1. Default 0.75.
    #[serde(default = "default_rejected_share")]
    pub maximum_rejected_share: f64,
    /// The same for single metrics, by name. Default: none.
    #[serde(default)]
    pub maximum_rejected_share_by_metric: BTreeMap<AggregationId, f64>,
    /// When windows are agreed on with the peer, and by which rules. Default: never; then both processors have to be told
    /// which batches to sum, as in ENPA.
    #[serde(default)]
    pub rosters: Option<Rosters>,
    /// Without rosters: how long after a window's end a batch that its task names waits for a packet key that opens it, or for
    /// the peer's validation, in minutes. Then the window is summed without it. Default 240: the workflow manager's grace and
    /// wait, and two hours. 0: it is left out at once.
    #[serde(default = "default_leave_out_after")]
    pub leave_out_after_minutes: u32,
    /// `true` counts packets as the predecessor does in `total_individual_clients`: those for which both messages
    /// are there, valid or not. Default `false`: accepted packets. The minimum always counts accepted ones.
    #[serde(default)]
    pub legacy_count: bool,
    /// How much is taken from a file that somebody else wrote.
    #[serde(default)]
    pub limits: Limits,
    /// Threads that open packets. Default: one a core.
    #[serde(default)]
    pub threads: Option<usize>,
    /// Where workers take tasks from. Commands do without.
    #[serde(default)]
    pub queues: Option<Queues>,
    /// How workers work.
    #[serde(default)]
    pub worker: WorkerConfig,
}

impl Config {
    /// Every key file that is named, and the registry's, as it is written there.
    pub fn key_files(&self) -> impl Iterator<Item = &PathBuf> {
        let named = self.packet_decryption_keys.iter().map(|key| &key.file);
        let sealing = self.prepared_sealing_key.as_slice().iter().map(|key| &key.file);
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

/// A secret key's file.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct KeyFile {
    /// The file: base64 of 32 random bytes.
    pub file: PathBuf,
}

/// Where everything is: directories, or URLs `file:///…`, `memory:`, `s3://region/bucket/prefix`,
/// `gs://bucket/prefix`, `az://account/container/prefix`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Buckets {
    /// The ingestor writes, we read.
    pub ingestion: BucketPlace,
    /// Ours alone: prepared batches, points, what is fixed before it is published.
    pub own: BucketPlace,
    /// The peer writes, we read.
    pub peer_validation_in: BucketPlace,
    /// We write, the peer reads.
    pub peer_validation_out: BucketPlace,
    /// We write, the portal reads.
    pub sum_parts: BucketPlace,
}

/// Where evaluation points come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Points {
    /// One for all packets of an ingestor under one packet key.
    #[default]
    Pinned,
    /// Another for each packet.
    PerPacket,
}

/// How a validation batch is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ValidationForm {
    /// Packets, header and signature as objects of their own; every peer reads it.
    #[default]
    ThreeObjects,
    /// One signature object that holds all.
    SingleObject,
}

/// The rules by which windows are agreed on. The peer's have to be the same but for its grace, maximum age and minimum.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Rosters {
    /// Start of the first window of which rosters are written, in UTC. Default: what the workflow manager has fixed in
    /// the own bucket once both sides have announced rosters.
    #[serde(default)]
    pub origin: Option<BatchTime>,
    /// Length of a window in minutes. Windows are aligned to 0001-01-01 00:00 UTC. Default 180.
    #[serde(default = "default_period")]
    pub period_minutes: u32,
    /// How long after a window's end its roster is written, in minutes. Default 60.
    #[serde(default = "default_grace")]
    pub grace_minutes: u32,
    /// In how many windows after its own a batch may still be summed, at least 1; the smaller of both sides' holds.
    /// Default 56: a week of windows of three hours.
    #[serde(default = "default_age")]
    pub maximum_age_windows: u32,
    /// For how many windows a packet id is remembered, so that none counts twice. Default 112: two weeks.
    #[serde(default = "default_horizon")]
    pub replay_horizon_windows: u32,
    /// What else has to fit to these rules; the program does not enforce it, it refuses rules that do not fit.
    #[serde(default)]
    pub horizons: Horizons,
}

/// How long things are kept, and how late they can come.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Horizons {
    /// How long batches and rosters are kept in mailboxes, in days. Default 30.
    pub mailboxes_days: u32,
    /// How long prepared batches are kept in the own bucket, in days. Default 30.
    pub prepared_days: u32,
    /// How long an old packet key is kept, in days. Default 45.
    pub packet_keys_days: u32,
    /// How long you want to have to mend what went wrong, in days. Default 3.
    pub repair_days: u32,
    /// How late the ingestor takes a report, in hours: its `acceptance`. Default 48.
    pub acceptance_hours: u32,
    /// How long the ingestor carries reports that are too few for a batch, in hours. Default 24.
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

/// The metric registry, and how many clients can report.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Registry {
    /// The registry's file, as the ingestor has it.
    pub file: PathBuf,
    /// The most clients that can report to this instance: with `rosters`, a metric that can never reach
    /// `minimum-contributions` is refused. Default: not looked at.
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
