//! What a client has to know before it can report: metrics, keys, limits. Served signed, as the payload of a JWS.

use crate::header::PRIME;
use crate::id::KeyId;
use crate::registry::{MetricEncoding, MetricEntry, MetricState, Registry};
use serde::{Deserialize, Serialize};

/// The `typ` of the signed document.
pub const CLIENT_CONFIG_TYPE: &str = "tallybox-client-config";

/// The configuration of a locality's clients, JSON.
///
/// Clients ignore members they do not know, so that later versions can add some.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClientConfig {
    /// Format number, 1.
    pub format: u64,
    /// The locality that it is for.
    pub locality: String,
    /// The ingestor that reports go to.
    pub ingestor: String,
    /// When it was signed, RFC 3339.
    pub issued: String,
    /// When it must no longer be used, RFC 3339.
    pub expires: String,
    /// Version of the metric registry.
    pub registry_version: u64,
    /// Version of the report's schema to send.
    pub schema_version: i32,
    /// The metrics to report, each with the keys that its shares are sealed to.
    pub metrics: Vec<ClientMetric>,
    /// How much may be sent at once, and when.
    pub limits: ClientLimits,
    /// Whether reports have to be attested.
    pub attestation: AttestationPolicy,
}

/// A processor's packet encryption key. All shares that are sealed to it have the same number of bins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClientKey {
    /// Its id, to be sent with each share.
    pub encryption_key_id: KeyId,
    /// Base64 of the uncompressed P-256 point, 65 bytes.
    pub public_key: String,
    /// The number of bins of all shares that are sealed to the key, the same as that of the metric.
    pub bins: u32,
}

/// A metric, as a client needs it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClientMetric {
    /// Its name.
    pub name: String,
    /// What its bins are.
    pub encoding: MetricEncoding,
    /// Parameter of the randomised response.
    pub epsilon: f64,
    /// Modulus of the field.
    pub prime: i64,
    /// How many processors share a report.
    pub number_servers: i32,
    /// How many bins are set, if always as many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hamming_weight: Option<i32>,
    /// Hours between two reports.
    pub cadence_hours: u32,
    /// The share of clients that report each time.
    pub sampling: f64,
    /// The keys that the shares of this metric are sealed to, the first processor's first.
    pub processors: [ClientKey; 2],
}

/// How much may be sent at once, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClientLimits {
    /// Most bytes of a body, as sent and unpacked.
    pub max_body_bytes: u64,
    /// Most reports of a body.
    pub max_reports: u64,
    /// How old a report may be, in seconds.
    pub max_age_seconds: u64,
    /// How far its clock may be ahead, in seconds.
    pub max_ahead_seconds: u64,
}

/// Whether reports have to be attested.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AttestationPolicy {
    /// Those without are refused.
    Required,
    /// Those without are taken; one that is there has to hold.
    Optional,
    /// None is looked at.
    None,
}

impl ClientConfig {
    /// The format number of this version.
    pub const FORMAT: u64 = 1;

    /// Returns the metrics of a registry that clients are told to report. `keys` gives the key pair for a number of
    /// bins; a metric without one is left out, since nothing can be sealed for it.
    #[must_use]
    pub fn metrics_of(registry: &Registry, keys: impl Fn(u32) -> Option<[ClientKey; 2]>) -> Vec<ClientMetric> {
        let advertised = registry
            .metrics
            .iter()
            .filter(|(_, entry)| entry.state == MetricState::Accept);
        advertised
            .filter_map(|(name, entry)| Some(ClientMetric::of(name.as_str(), entry, keys(entry.encoding.bins)?)))
            .collect()
    }
}

impl ClientMetric {
    fn of(name: &str, entry: &MetricEntry, processors: [ClientKey; 2]) -> Self {
        Self {
            name: name.to_owned(),
            encoding: entry.encoding.clone(),
            epsilon: entry.epsilon,
            prime: PRIME,
            number_servers: 2,
            hamming_weight: entry.hamming_weight,
            cadence_hours: entry.cadence_hours,
            sampling: entry.sampling,
            processors,
        }
    }
}
