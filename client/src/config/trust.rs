//! Verifies configurations.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use tallybox_crypto::prio2::Prio2;
use tallybox_crypto::{PacketPublicKey, VerifyingKey, jws};
use tallybox_model::client_config::{CLIENT_CONFIG_TYPE, ClientConfig, ClientMetric};
use tallybox_model::header::PRIME;
use tallybox_model::id::{AggregationId, KeyId};
use tallybox_model::packet_keys::{ListedPacketKey, PacketKeyList};
use tallybox_model::registry::EncodingKind;
use tallybox_model::report::SCHEMA_VERSIONS;
use tallybox_model::role::Role;

use super::ClientConfigError;
use crate::encoding::Encoding;
use crate::noise::RandomisedResponse;
use crate::report::{Client, ProcessorKey};

/// How far the ingestor's clock may be ahead of this machine's.
const CLOCK_SKEW: SignedDuration = SignedDuration::from_mins(5);

/// The trust that is built into an application, and that no document can change.
#[derive(Debug, Clone)]
pub struct Trust {
    /// The locality of the reports.
    pub locality: String,
    /// The keys that may sign the configuration, by id. Several during a key rotation.
    pub keys: BTreeMap<KeyId, VerifyingKey>,
    /// The largest accepted epsilon, which means the least accepted noise.
    pub max_epsilon: f64,
}

/// A verified configuration, from which reports can be made.
#[derive(Debug, Clone)]
pub struct TrustedConfig {
    config: ClientConfig,
    metrics: BTreeMap<String, TrustedMetric>,
    issued: Timestamp,
    expires: Timestamp,
}

/// A metric of a verified configuration.
#[derive(Debug, Clone)]
pub struct TrustedMetric {
    /// The metric as in the document.
    pub metric: ClientMetric,
    /// The encoding of answers.
    pub encoding: Encoding,
    /// The noise.
    pub noise: RandomisedResponse,
    pub(crate) prio2: Prio2,
    /// The client that seals shares to the metric's keys.
    pub(crate) client: Client,
}

impl Trust {
    /// Verifies a fetched document: signature, times, locality, format, keys and metrics, and that
    /// every metric has at least the required noise. One invalid metric invalidates the whole
    /// document, because the signature covers the whole document.
    ///
    /// # Errors
    /// [`ClientConfigError`], which names the problem and the next step.
    pub fn check(
        &self,
        document: &[u8],
        now: Timestamp,
    ) -> Result<TrustedConfig, ClientConfigError> {
        // The payload is parsed only after its signature has been verified.
        let payload = jws::verify(document, CLIENT_CONFIG_TYPE, |key_id| self.keys.get(key_id))
            .map_err(ClientConfigError::Signature)?;
        self.check_format(&payload)?;
        let config: ClientConfig =
            serde_json::from_slice(&payload).map_err(ClientConfigError::Json)?;
        let (issued, expires) = self.check_times(&config, now)?;
        if config.locality != self.locality {
            return Err(ClientConfigError::Locality {
                found: config.locality,
                expected: self.locality.clone(),
            });
        }
        if !SCHEMA_VERSIONS.contains(&config.schema_version) {
            let found = config.schema_version;
            return Err(ClientConfigError::Schema { found });
        }
        if config.limits.max_reports == 0 || config.limits.max_body_bytes == 0 {
            return Err(ClientConfigError::FileLimits);
        }
        let mut metrics = BTreeMap::new();
        let mut keys = PacketKeyList::default();
        for metric in &config.metrics {
            metrics.insert(metric.name.clone(), self.check_metric(metric, &mut keys)?);
        }
        Ok(TrustedConfig {
            metrics,
            issued,
            expires,
            config,
        })
    }

    /// Checks the format first, because another format may have other members.
    fn check_format(&self, payload: &[u8]) -> Result<(), ClientConfigError> {
        #[derive(serde::Deserialize)]
        struct Head {
            format: u64,
        }
        let Head { format: found } =
            serde_json::from_slice(payload).map_err(ClientConfigError::Json)?;
        let supported = ClientConfig::FORMAT;
        if found == supported {
            Ok(())
        } else {
            Err(ClientConfigError::Format { found, supported })
        }
    }

    fn check_times(
        &self,
        config: &ClientConfig,
        now: Timestamp,
    ) -> Result<(Timestamp, Timestamp), ClientConfigError> {
        let time = |text: &str, member| {
            text.parse::<Timestamp>()
                .map_err(|_| ClientConfigError::Time { member })
        };
        let issued = time(&config.issued, "issued")?;
        let expires = time(&config.expires, "expires")?;
        if issued.duration_since(now) > CLOCK_SKEW {
            return Err(ClientConfigError::NotYetValid { issued });
        }
        if expires <= now {
            return Err(ClientConfigError::Expired { expires });
        }
        Ok((issued, expires))
    }

    /// Checks one metric. `keys` contains the packet keys of the earlier metrics.
    fn check_metric(
        &self,
        metric: &ClientMetric,
        keys: &mut PacketKeyList,
    ) -> Result<TrustedMetric, ClientConfigError> {
        // Comparisons with NaN are false, so NaN is rejected explicitly.
        if metric.epsilon > self.max_epsilon || metric.epsilon.is_nan() || self.max_epsilon.is_nan()
        {
            return Err(ClientConfigError::Epsilon {
                metric: metric.name.clone(),
                epsilon: metric.epsilon,
                cap: self.max_epsilon,
            });
        }
        let unusable = |problem: String| ClientConfigError::Metric {
            metric: metric.name.clone(),
            problem,
        };
        metric
            .name
            .parse::<AggregationId>()
            .map_err(|error| unusable(error.to_string()))?;
        let fault = find_fault(metric);
        if let Some(fault) = fault {
            return Err(unusable(fault.to_owned()));
        }
        let encoding = Encoding::from(&metric.encoding);
        Ok(TrustedMetric {
            noise: RandomisedResponse::new(metric.epsilon)
                .map_err(|error| unusable(error.to_string()))?,
            prio2: Prio2::new(encoding.bins()).map_err(|error| unusable(error.to_string()))?,
            encoding,
            client: build_client(metric, keys)?,
            metric: metric.clone(),
        })
    }
}

/// Returns the problem of a metric, if any.
fn find_fault(metric: &ClientMetric) -> Option<&'static str> {
    let encoding = &metric.encoding;
    if metric.prime != PRIME || metric.number_servers != 2 {
        return Some("the prime or the number of servers differs from that of prio2");
    }
    if encoding.kind == EncodingKind::BoundedInteger && encoding.bins > u64::BITS {
        return Some("an integer has more than 64 binary digits");
    }
    if encoding.check_groups().is_err() {
        return Some("groups, bits and bins contradict each other");
    }
    if !encoding.labels.is_empty() && encoding.labels.len() != encoding.bins as usize {
        return Some("the number of labels differs from the number of bins");
    }
    if !(0.0..=1.0).contains(&metric.sampling) {
        return Some("sampling is not a fraction from 0 to 1");
    }
    None
}

/// Returns the client that seals to the keys of a metric.
///
/// A second share is valid for any number of bins, so a processor could be made to evaluate it
/// under another number. Each key therefore has to be for the metric's number of bins, and for no
/// other.
fn build_client(
    metric: &ClientMetric,
    keys: &mut PacketKeyList,
) -> Result<Client, ClientConfigError> {
    let mut processors = Vec::new();
    for (role, key) in Role::ALL.into_iter().zip(&metric.processors) {
        let public =
            PacketPublicKey::parse(&key.public_key).map_err(|source| ClientConfigError::Key {
                metric: metric.name.clone(),
                processor: role.index(),
                source,
            })?;
        if key.bins != metric.encoding.bins {
            return Err(ClientConfigError::KeyBins {
                metric: metric.name.clone(),
                id: key.encryption_key_id.clone(),
                bins: key.bins,
                expected: metric.encoding.bins,
            });
        }
        let listed = ListedPacketKey {
            role,
            id: key.encryption_key_id.clone(),
            public: public.to_x962_base64(),
            bins: key.bins,
        };
        keys.add(listed)
            .map_err(|source| ClientConfigError::KeyConflict {
                metric: metric.name.clone(),
                source,
            })?;
        processors.push(ProcessorKey {
            key_id: Some(key.encryption_key_id.clone()),
            public,
        });
    }
    // There are always two processors. If that changes, this message replaces a panic.
    Client::new(processors).map_err(|error| ClientConfigError::Metric {
        metric: metric.name.clone(),
        problem: error.to_string(),
    })
}

impl TrustedConfig {
    /// Returns the document.
    #[must_use]
    pub fn document(&self) -> &ClientConfig {
        &self.config
    }

    /// Returns when the document was signed.
    #[must_use]
    pub fn issued(&self) -> Timestamp {
        self.issued
    }

    /// Returns when the document expires.
    #[must_use]
    pub fn expires(&self) -> Timestamp {
        self.expires
    }

    /// Returns the metric of this name, if the configuration contains it.
    #[must_use]
    pub fn metric(&self, name: &str) -> Option<&TrustedMetric> {
        self.metrics.get(name)
    }

    /// Returns the metrics, ordered by name.
    pub fn metrics(&self) -> impl Iterator<Item = &TrustedMetric> {
        self.metrics.values()
    }
}
