//! The ingestor's configuration: one YAML file. Unknown keys are errors.

pub mod attestation;
mod serve;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use attestation::VerifierConfig;
use serde::Deserialize;
use tallybox_model::client_config::AttestationPolicy;
use tallybox_service::config::NamedKey;
use tallybox_transport::BucketPlace;

/// The configuration file. Relative paths in it are relative to the file's folder.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Config {
    /// The ingestor's name: the second half of each instance, `{locality}-{ingestor}`.
    pub ingestor: String,
    /// The HTTP server that receives reports.
    #[serde(default)]
    pub serve: ServeConfig,
    /// The bucket that holds accepted reports until they are batched. It belongs to the ingestor,
    /// and all replicas share it.
    pub spool: BucketPlace,
    /// Path of the metric registry.
    pub registry: PathBuf,
    /// The key that signs batches, with the key id under which the manifest publishes it.
    pub batch_signing_key: NamedKey,
    /// The key that signs the configuration document for clients.
    pub client_config_key: NamedKey,
    /// Secrets from which batch ids, packet ids, the order of packets and evaluation points are
    /// derived. New plans use the first secret. The others serve plans and points that were made
    /// with them.
    pub secrets: Vec<SecretFile>,
    /// Rules for cutting windows into batches.
    #[serde(default)]
    pub batches: BatchConfig,
    /// The reports that the server admits.
    #[serde(default)]
    pub acceptance: AcceptanceConfig,
    /// Contents of the manifest in addition to the signing key.
    #[serde(default)]
    pub manifest: ManifestConfig,
    /// The localities by name. The name is the first half of each instance.
    pub localities: BTreeMap<String, LocalityConfig>,
}

/// A reference to a secret's file, which holds 32 random bytes in base64.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SecretFile {
    /// Path of the file.
    pub file: PathBuf,
}

/// Addresses and limits of the HTTP server.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct ServeConfig {
    /// Address to which clients post reports.
    pub listen: SocketAddr,
    /// Address of health checks and metrics. Only operators should be able to reach it.
    pub operations: SocketAddr,
    /// Certificate and private key. Without them the server speaks plain HTTP, which is allowed on
    /// a loopback address only, or if `behind-proxy` states that a proxy terminates TLS.
    pub tls: Option<TlsConfig>,
    /// The reverse proxy in front of the server, if there is one.
    pub behind_proxy: Option<ProxyConfig>,
    /// Origins whose pages may use this server from a browser, such as `https://example.org`.
    /// `*` allows any origin.
    pub cors_origins: Vec<String>,
    /// Longest time for which reports are collected into one slab before they are made durable,
    /// in milliseconds.
    pub slab_millis: u64,
    /// Most bytes of reports in one slab.
    pub slab_bytes: u64,
    /// Most slabs of a locality that are written to the spool at the same time.
    pub slabs_at_once: usize,
    /// Most open connections. If the limit is reached, the server closes the connection whose last
    /// complete request is the oldest, in favour of the new one. A new connection waits only if the
    /// server owes answers on all of them.
    pub connections: usize,
    /// Most open connections from one network (an IPv4 /24 or an IPv6 /48). If the server owes
    /// answers on all of them, it closes the network's new connection. 0 means no limit. Has no
    /// effect with `behind-proxy`.
    pub connections_per_network: usize,
    /// Most bytes of bodies and reports in memory. Requests that need more are answered with 503.
    pub memory_bytes: u64,
    /// Most bytes in memory for the requests of one network. The default is half of
    /// `memory-bytes`, but at least twice `body-bytes`.
    pub memory_bytes_per_network: Option<u64>,
    /// Most bytes of a body, both compressed and decompressed.
    pub body_bytes: u64,
    /// Most reports in a body.
    pub body_reports: u64,
    /// Longest time for a new connection to send the head of its first request, including the TLS
    /// handshake, in seconds. With `behind-proxy`, `idle-secs` applies instead.
    pub first_request_secs: u64,
    /// Longest time for which a connection may be idle, and longest time for the head of a later
    /// request to arrive, in seconds.
    pub idle_secs: u64,
    /// Lowest rate at which a client has to send a body and read an answer, in bytes per second.
    pub body_bytes_per_second: u32,
    /// Longest time for a body to arrive, for the spool to store its reports, and for the client to
    /// read the answer, in seconds each.
    pub request_secs: u64,
    /// Longest time for requests in flight to complete after SIGTERM, in seconds.
    pub drain_secs: u64,
    /// Most report ids in the cache from which repeated and conflicting uploads are answered.
    pub remembered_reports: usize,
    /// Time for which clients may cache their configuration, in seconds.
    pub config_max_age_secs: u64,
    /// Time for which a signed configuration is valid, in seconds.
    pub config_valid_secs: u64,
}

/// A certificate chain and its private key in PEM. The server reloads them when they change.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct TlsConfig {
    /// The certificate chain, leaf first.
    pub certificates: PathBuf,
    /// The private key.
    pub private_key: PathBuf,
}

/// A reverse proxy that terminates TLS.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ProxyConfig {
    /// Number of consecutive proxies that belong to the operator. The client's address is at this
    /// position of `X-Forwarded-For`, counted from the end.
    #[serde(default = "default_replicas")]
    pub hops: usize,
}

/// Rules for cutting windows into batches. All jobs and replicas need the same values.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct BatchConfig {
    /// Length of an ingestion window in minutes.
    pub window_minutes: u32,
    /// Time between the end of a window and its plan, in seconds. The clocks of replicas and jobs
    /// have to agree within half of this time.
    pub settle_secs: u64,
    /// Most packets of a batch.
    pub max_packets: u64,
    /// Most bytes of a batch's packet file; below 64 MiB.
    pub max_bytes: u64,
    /// Fewest packets of a batch.
    pub min_packets: u64,
    /// Number of windows for which a remainder of fewer than `min-packets` packets is carried over
    /// to the next window before it is dropped.
    pub max_carry_windows: u32,
    /// Bytes of slabs in a partition. A job needs about three times as much memory.
    pub partition_bytes: u64,
    /// Time for which slabs are kept after their window is complete, in hours.
    pub keep_slabs_hours: u32,
    /// The end of the window that appears in the name of a batch: `start` (default) or `end`.
    /// ENPA's ingestor used the end.
    pub ingestion_date: IngestionDate,
    /// Most attempts of one operation on a bucket that cannot be reached. The first pause is
    /// 0.1 s, and each further pause is three times as long. After the last attempt the run
    /// fails; the next run continues its work.
    pub write_tries: u32,
    /// Interval in which `serve --batch` checks for windows that are due, in seconds.
    pub poll_secs: u64,
}

/// The end of a window that appears in the name of its batches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IngestionDate {
    /// The start of the window.
    #[default]
    Start,
    /// The end of the window, as in ENPA's ingestor.
    End,
}

/// The reports that the server admits.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct AcceptanceConfig {
    /// Greatest age of a report, in hours.
    pub max_age_hours: u32,
    /// Greatest time by which a client's clock may be ahead, in minutes.
    pub max_ahead_minutes: u32,
    /// Reports per minute from one network (an IPv4 /24 or an IPv6 /48), on average. 0 means no
    /// limit.
    pub per_network_per_minute: u32,
    /// Reports per minute from one attested key. 0 means no limit.
    pub per_key_per_minute: u32,
}

/// Contents of the manifest in addition to the signing key.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct ManifestConfig {
    /// Expiry time of the signing key in RFC 3339 format. ENPA's processors require one.
    pub signing_key_expiration: Option<String>,
    /// Public keys of other signing keys, by key id: keys of batches that are still in transit, and
    /// future keys.
    pub other_public_keys: BTreeMap<String, PathBuf>,
    /// ARN of the AWS role that writes to the mailboxes.
    pub aws_iam_entity: Option<String>,
    /// Id of the Google service account that writes to the mailboxes.
    pub gcp_service_account_id: Option<String>,
    /// Email address of that service account.
    pub gcp_service_account_email: Option<String>,
}

/// The configuration of one locality.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LocalityConfig {
    /// Attestation policy: whether reports need an attestation.
    pub attestation: AttestationPolicy,
    /// Settings for verifying attestations. Required unless `attestation` is `none`.
    #[serde(default)]
    pub verifier: Option<VerifierConfig>,
    /// Pairs of the processors' public keys, to which clients seal shares. Each pair is for one
    /// number of bins. The configuration for clients names the first pair that has a metric's
    /// bins. Reports that are sealed to later pairs with the same bins are accepted as well, so
    /// that keys can be rotated over some days.
    pub packet_keys: Vec<KeyPairConfig>,
    /// The first processor's mailbox for batches.
    pub first_mailbox: BucketPlace,
    /// The second processor's mailbox for batches.
    pub second_mailbox: BucketPlace,
}

/// A pair of the processors' public keys, for metrics with one number of bins. No key may be listed
/// with two numbers of bins.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct KeyPairConfig {
    /// The number of bins of the metrics whose shares are sealed to this pair.
    pub bins: u32,
    /// The first processor's public key, in any supported encoding.
    pub first: NamedKey,
    /// The second processor's public key.
    pub second: NamedKey,
}

impl ServeConfig {
    /// Returns the most bytes that the requests of one network may hold in memory.
    pub(crate) fn memory_per_network(&self) -> u64 {
        let by_default = (self.memory_bytes / 2)
            .max(2 * self.body_bytes)
            .min(self.memory_bytes);
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
            memory_bytes: 80 << 20,
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

fn default_replicas() -> usize {
    1
}

/// Upper bound of a batch's packet file. Larger objects are no longer created in one request.
const MOST_BATCH_BYTES: u64 = 64 << 20;

/// Checks rules that involve several settings.
///
/// # Errors
/// A sentence that names the settings.
pub(crate) fn check(config: &Config) -> Result<(), String> {
    if config.secrets.is_empty() {
        return Err("secrets: name at least one secret".to_owned());
    }
    if config.localities.is_empty() {
        return Err("localities: name at least one locality".to_owned());
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
    // A group that exceeds the maximum is cut into even parts, which then are not smaller than the
    // minimum.
    if batches.min_packets == 0 || batches.max_packets < 2 * batches.min_packets {
        return refuse(
            "max-packets has to be at least twice min-packets, and min-packets 1 or more",
        );
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
        return Err("packet-keys: name at least one pair".to_owned());
    }
    if locality.packet_keys.iter().any(|pair| pair.bins == 0) {
        return Err("packet-keys: bins has to be 1 or more".to_owned());
    }
    let checked = locality.attestation != AttestationPolicy::None;
    if checked != locality.verifier.is_some() {
        return Err(
            "verifier is required with attestation `required` or `optional`, and not allowed with `none`".to_owned(),
        );
    }
    Ok(())
}
