//! The ingestor's configuration: one YAML file, every key documented, unknown keys refused.

mod serve;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Deserialize;
use tallybox_model::client_config::AttestationPolicy;
use tallybox_service::config::NamedKey;
use tallybox_transport::BucketPlace;

/// The whole file. Relative paths are relative to the file's folder.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Config {
    /// The ingestor's name: the second half of each instance, `{locality}-{ingestor}`.
    pub ingestor: String,
    /// Where reports are posted to.
    #[serde(default)]
    pub serve: ServeConfig,
    /// Where accepted reports wait to be batched: a bucket of the ingestor's own, shared by all its replicas.
    pub spool: BucketPlace,
    /// The file of the metric registry.
    pub registry: PathBuf,
    /// The key that signs batches, as processors know it by the manifest.
    pub batch_signing_key: NamedKey,
    /// The key that signs the configuration of clients.
    pub client_config_key: NamedKey,
    /// What ids of batches and packets, their order, and evaluation points follow from. The first is used for new
    /// plans, the others for plans and points that were made with them.
    pub secrets: Vec<SecretFile>,
    /// How windows are cut into batches.
    #[serde(default)]
    pub batches: BatchConfig,
    /// What is taken at the door.
    #[serde(default)]
    pub acceptance: AcceptanceConfig,
    /// What the manifest says beside the signing key.
    #[serde(default)]
    pub manifest: ManifestConfig,
    /// The localities, by name: the first half of each instance.
    pub localities: BTreeMap<String, LocalityConfig>,
}

/// The file of a secret: base64 of 32 random bytes.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SecretFile {
    /// The file.
    pub file: PathBuf,
}

/// Where and how the server listens.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct ServeConfig {
    /// Where clients post.
    pub listen: SocketAddr,
    /// Where health and metrics are, for operators only.
    pub operations: SocketAddr,
    /// Certificate and key. Without them the server speaks plain HTTP, which it does on loopback only, or where
    /// `behind-proxy` says that a proxy ends TLS.
    pub tls: Option<TlsConfig>,
    /// The proxy in front, if there is one.
    pub behind_proxy: Option<ProxyConfig>,
    /// The origins whose pages may use this server from a browser, such as `https://example.org`; `*` is any.
    pub cors_origins: Vec<String>,
    /// How long reports are grouped before they are made durable, in milliseconds, at most.
    pub slab_millis: u64,
    /// How many bytes of reports are grouped at most.
    pub slab_bytes: u64,
    /// How many slabs are on their way into the spool at once.
    pub slabs_at_once: usize,
    /// Connections at once. A new one is always accepted; the one that has gone longest without a complete request is closed
    /// for it.
    pub connections: usize,
    /// Connections at once from one network (an IPv4 /24, an IPv6 /48); 0 is no limit. Not with `behind-proxy`.
    pub connections_per_network: usize,
    /// Bytes of bodies and reports that are being worked on, at most; more is answered 503.
    pub memory_bytes: u64,
    /// The same for one network; half of `memory-bytes` if it is not given, and twice
    /// `body-bytes` at least.
    pub memory_bytes_per_network: Option<u64>,
    /// Most bytes of a body, as sent and unpacked.
    pub body_bytes: u64,
    /// Most reports of a body.
    pub body_reports: u64,
    /// How long a new connection may take to send the head of its first request, TLS handshake included, in seconds.
    /// With `behind-proxy` it is `idle-secs`.
    pub first_request_secs: u64,
    /// How long a connection may be idle, and the head of a later request may take to come, in seconds.
    pub idle_secs: u64,
    /// At which rate a body has to come, and an answer to be taken.
    pub body_bytes_per_second: u32,
    /// How long a body may take to come, and the spool to take it, in seconds.
    pub request_secs: u64,
    /// How long requests in flight may take after SIGTERM, in seconds.
    pub drain_secs: u64,
    /// How many report ids are remembered at most, to answer repeated and conflicting uploads at the door.
    pub remembered_reports: usize,
    /// For how long clients may keep their configuration, in seconds.
    pub config_max_age_secs: u64,
    /// For how long a signed configuration is valid, in seconds.
    pub config_valid_secs: u64,
}

/// A certificate and its private key, PEM; read again when they change.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct TlsConfig {
    /// The certificate chain, leaf first.
    pub certificates: PathBuf,
    /// The private key.
    pub private_key: PathBuf,
}

/// A proxy that ends TLS.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ProxyConfig {
    /// How many proxies in a row are ours: the client's address is so many places from the end of `X-Forwarded-For`.
    #[serde(default = "one")]
    pub hops: usize,
}

/// How windows are cut into batches. All jobs and replicas need the same.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct BatchConfig {
    /// Length of a window in minutes.
    pub window_minutes: u32,
    /// How long after its end a window is planned, in seconds. Clocks of replicas and jobs have to agree within half
    /// of it.
    pub settle_secs: u64,
    /// Most packets of a batch.
    pub max_packets: u64,
    /// Most bytes of a batch's packet file; below 64 MiB.
    pub max_bytes: u64,
    /// Fewest packets of a batch.
    pub min_packets: u64,
    /// For how many windows too few are carried before they are dropped.
    pub max_carry_windows: u32,
    /// Bytes of slabs in a partition, which a job holds in memory about three times.
    pub partition_bytes: u64,
    /// How long slabs are kept after their window is done, in hours.
    pub keep_slabs_hours: u32,
    /// `start` (default) or `end`: which end of its window stands in the name of a batch. ENPA's ingestor took the end.
    pub ingestion_date: IngestionDate,
    /// How often an operation on a bucket that cannot be reached is tried, with growing pauses (0.1 s, then three times
    /// as long each time), before a run gives up; the next run goes on.
    pub write_tries: u32,
    /// How often `serve --batch` looks for windows that are due, in seconds.
    pub poll_secs: u64,
}

/// Which end of its window stands in the name of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IngestionDate {
    /// The start.
    #[default]
    Start,
    /// The end, as ENPA's ingestor did.
    End,
}

/// What is taken at the door.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct AcceptanceConfig {
    /// How old a report may be, in hours.
    pub max_age_hours: u32,
    /// How far a client's clock may be ahead, in minutes.
    pub max_ahead_minutes: u32,
    /// Reports a minute from one network (an IPv4 /24, an IPv6 /48), on average; 0 is no limit.
    pub per_network_per_minute: u32,
    /// Reports a minute from one attested key; 0 is no limit.
    pub per_key_per_minute: u32,
}

/// What the manifest says beside the signing key.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct ManifestConfig {
    /// When the signing key expires, RFC 3339; ENPA's peers want one.
    pub signing_key_expiration: Option<String>,
    /// Public halves of signing keys that batches still under way were signed with, or that come next.
    pub other_public_keys: BTreeMap<String, PathBuf>,
    /// ARN of the AWS role that writes to the mailboxes.
    pub aws_iam_entity: Option<String>,
    /// Id of the Google service account that writes to the mailboxes.
    pub gcp_service_account_id: Option<String>,
    /// Address of that service account.
    pub gcp_service_account_email: Option<String>,
}

/// One locality.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LocalityConfig {
    /// Whether reports have to be attested.
    pub attestation: AttestationPolicy,
    /// By what attestations are checked; needed unless `attestation` is `none`.
    #[serde(default)]
    pub verifier: Option<crate::attestation::VerifierConfig>,
    /// The processors' keys that clients seal shares to: pairs, each for one number of bins. Clients of a metric are told
    /// the first pair that has the metric's bins; reports sealed to later pairs with the same bins are accepted, too, for
    /// the days after a change of keys.
    pub packet_keys: Vec<KeyPair>,
    /// Where the first processor takes batches.
    pub first_mailbox: BucketPlace,
    /// Where the second processor takes batches.
    pub second_mailbox: BucketPlace,
}

/// A key of each processor, for metrics with one number of bins. No key is listed with two numbers of bins.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct KeyPair {
    /// The number of bins of the metrics whose shares are sealed to this pair.
    pub bins: u32,
    /// The first processor's: public key in any encoding.
    pub first: NamedKey,
    /// The second processor's.
    pub second: NamedKey,
}

impl ServeConfig {
    /// Bytes that the requests of one network may hold.
    pub(crate) fn memory_per_network(&self) -> u64 {
        let by_default = (self.memory_bytes / 2).max(2 * self.body_bytes).min(self.memory_bytes);
        self.memory_bytes_per_network.unwrap_or(by_default)
    }
}

impl Default for ServeConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            operations: SocketAddr::from(([127, 0, 0, 1], 8081)),
            tls: None,
            behind_proxy: None,
            cors_origins: Vec::new(),
            slab_millis: 100,
            slab_bytes: 4 << 20,
            slabs_at_once: 2,
            connections: 4096,
            connections_per_network: 1024,
            memory_bytes: 48 << 20,
            memory_bytes_per_network: None,
            body_bytes: 8 << 20,
            body_reports: 10_000,
            first_request_secs: 5,
            idle_secs: 20,
            body_bytes_per_second: 1024,
            request_secs: 30,
            drain_secs: 30,
            remembered_reports: 1_000_000,
            config_max_age_secs: 600,
            config_valid_secs: 7 * 86_400,
        }
    }
}

impl Default for BatchConfig {
    fn default() -> Self {
        Self {
            window_minutes: 60,
            settle_secs: 300,
            max_packets: 100_000,
            max_bytes: 60 << 20,
            min_packets: 100,
            max_carry_windows: 24,
            partition_bytes: 128 << 20,
            keep_slabs_hours: 48,
            ingestion_date: IngestionDate::Start,
            write_tries: 6,
            poll_secs: 10,
        }
    }
}

impl Default for AcceptanceConfig {
    fn default() -> Self {
        Self {
            max_age_hours: 48,
            max_ahead_minutes: 15,
            per_network_per_minute: 6000,
            per_key_per_minute: 60,
        }
    }
}

fn one() -> usize {
    1
}

/// Most bytes of a batch's packet file: what is larger is no longer created in one piece.
const MOST_BATCH_BYTES: u64 = 64 << 20;

/// What no single key shows: that they go together.
///
/// # Errors
/// A sentence that names the keys.
pub(crate) fn check(config: &Config) -> Result<(), String> {
    if config.secrets.is_empty() {
        return Err("secrets: at least one is needed".to_owned());
    }
    if config.localities.is_empty() {
        return Err("localities: at least one is needed".to_owned());
    }
    check_batches(&config.batches)?;
    serve::check(&config.serve)?;
    config.localities.iter().try_for_each(|(name, locality)| {
        check_locality(locality).map_err(|problem| format!("localities.{name}.{problem}"))
    })
}

fn check_batches(batches: &BatchConfig) -> Result<(), String> {
    let refuse = |problem: &str| Err(format!("batches.{problem}"));
    if batches.window_minutes == 0 {
        return refuse("window-minutes has to be 1 or more");
    }
    if batches.settle_secs == 0 {
        return refuse("settle-secs has to be 1 or more");
    }
    if batches.min_packets == 0 || batches.max_packets < 2 * batches.min_packets {
        return refuse("max-packets has to be twice min-packets or more, and min-packets 1 or more");
    }
    if batches.max_bytes == 0 || batches.max_bytes >= MOST_BATCH_BYTES {
        return refuse("max-bytes has to be below 64 MiB (67108864)");
    }
    if batches.partition_bytes == 0 || batches.keep_slabs_hours == 0 || batches.poll_secs == 0 {
        return refuse("partition-bytes, keep-slabs-hours and poll-secs have to be 1 or more");
    }
    Ok(())
}

fn check_locality(locality: &LocalityConfig) -> Result<(), String> {
    if locality.packet_keys.is_empty() {
        return Err("packet-keys: at least one pair is needed".to_owned());
    }
    if locality.packet_keys.iter().any(|pair| pair.bins == 0) {
        return Err("packet-keys: bins has to be 1 or more".to_owned());
    }
    let checked = locality.attestation != AttestationPolicy::None;
    if checked != locality.verifier.is_some() {
        return Err("verifier is needed with attestation required or optional, and with no other".to_owned());
    }
    Ok(())
}
