//! The configuration that a client needs for reporting: metrics, keys and limits. Served as the
//! payload of a signed JWS.

use crate::header::PRIME;
use crate::id::KeyId;
use crate::registry::{MetricEncoding, MetricEntry, MetricState, Registry};
use serde::{Deserialize, Serialize};

/// The `typ` of the signed document.
pub const CLIENT_CONFIG_TYPE: &str = "tallybox-client-config";

/// The configuration of a locality's clients, as JSON.
///
/// Clients ignore unknown members, so that later versions can add members.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClientConfig {
    /// Format number, 1.
    pub format: u64,
    /// The locality that the configuration is for.
    pub locality: String,
    /// The ingestor that reports go to.
    pub ingestor: String,
    /// The time of signing, RFC 3339.
    pub issued: String,
    /// The time after which clients must not use the configuration, RFC 3339.
    pub expires: String,
    /// Version of the metric registry.
    pub registry_version: u64,
    /// Version of the report schema to use.
    pub schema_version: i32,
    /// The metrics to report, each with the keys to which its shares are encrypted.
    pub metrics: Vec<ClientMetric>,
    /// Limits on the size and age of uploads.
    pub limits: ClientLimits,
    /// The rule for attestations of reports.
    pub attestation: AttestationPolicy,
}

/// A processor's packet encryption key. All shares encrypted to it have the same number of bins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClientKey {
    /// The id of the key, sent with each share.
    pub encryption_key_id: KeyId,
    /// Base64 of the uncompressed P-256 point, 65 bytes.
    pub public_key: String,
    /// The number of bins of all shares encrypted to the key, equal to that of the metric.
    pub bins: u32,
}

/// The description of a metric for a client.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClientMetric {
    /// Its name.
    pub name: String,
    /// The meaning of the bins.
    pub encoding: MetricEncoding,
    /// Parameter of the randomised response.
    pub epsilon: f64,
    /// Modulus of the field.
    pub prime: i64,
    /// The number of processors among which a report is split.
    pub number_servers: i32,
    /// The number of bins that a client sets, if it is constant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hamming_weight: Option<i32>,
    /// Hours between two reports.
    pub cadence_hours: u32,
    /// The fraction of clients that report each time.
    pub sampling: f64,
    /// The keys to which the shares of this metric are encrypted, the first processor's first.
    pub processors: [ClientKey; 2],
}

/// Limits on the size and age of uploads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClientLimits {
    /// Maximum size of a body in bytes, both as sent and decompressed.
    pub max_body_bytes: u64,
    /// Maximum number of reports in a body.
    pub max_reports: u64,
    /// Maximum age of a report, in seconds.
    pub max_age_seconds: u64,
    /// Maximum lead of a report's clock, in seconds.
    pub max_ahead_seconds: u64,
}

/// The rule for attestations of reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AttestationPolicy {
    /// Reports without an attestation are rejected.
    Required,
    /// Reports without an attestation are accepted. An attestation that is present has to verify.
    Optional,
    /// Attestations are ignored.
    None,
}

impl ClientConfig {
    /// The format number of this version.
    pub const FORMAT: u64 = 1;

    /// Returns the metrics of a registry that clients should report. `keys` returns the key pair
    /// for a number of bins. Metrics without a key pair are omitted, because no share could be
    /// encrypted for them.
    #[must_use]
    pub fn metrics_of(
        registry: &Registry,
        keys: impl Fn(u32) -> Option<[ClientKey; 2]>,
    ) -> Vec<ClientMetric> {
        let advertised = registry
            .metrics
            .iter()
            .filter(|(_, entry)| entry.state == MetricState::Accept);
        advertised
            .filter_map(|(name, entry)| {
                Some(ClientMetric::from_registry(
                    name.as_str(),
                    entry,
                    keys(entry.encoding.bins)?,
                ))
            })
            .collect()
    }
}

impl ClientMetric {
    fn from_registry(name: &str, entry: &MetricEntry, processors: [ClientKey; 2]) -> Self {
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
