//! What makes a configuration one that is gone by.

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

use super::ConfigError;
use crate::encoding::Encoding;
use crate::noise::RandomisedResponse;
use crate::report::{Client, ProcessorKey};

/// How far the ingestor's clock may be ahead of ours.
const SKEW: SignedDuration = SignedDuration::from_mins(5);

/// What an application was built with, and no document can change.
#[derive(Debug, Clone)]
pub struct Trust {
    /// The locality whose reports are made.
    pub locality: String,
    /// The keys that may sign its configuration, by id. Several while one takes over from another.
    pub keys: BTreeMap<KeyId, VerifyingKey>,
    /// The largest epsilon (the least noise) to answer with.
    pub max_epsilon: f64,
}

/// A configuration that was checked, ready to make reports by.
#[derive(Debug, Clone)]
pub struct TrustedConfig {
    config: ClientConfig,
    metrics: BTreeMap<String, TrustedMetric>,
    issued: Timestamp,
    expires: Timestamp,
}

/// A metric of a configuration that was checked.
#[derive(Debug, Clone)]
pub struct TrustedMetric {
    /// As the document has it.
    pub metric: ClientMetric,
    /// How an answer becomes bins.
    pub encoding: Encoding,
    /// How bins are randomised.
    pub noise: RandomisedResponse,
    pub(crate) prio2: Prio2,
    /// Seals to the metric's own keys.
    pub(crate) client: Client,
}

impl Trust {
    /// Checks a document as it was fetched: signature, times, locality, format, keys, metrics, and that no metric has
    /// less noise than is pinned. One metric that cannot be refuses the whole document: it is signed as a whole.
    ///
    /// # Errors
    /// [`ConfigError`] says what is wrong, and what to do.
    pub fn check(&self, document: &[u8], now: Timestamp) -> Result<TrustedConfig, ConfigError> {
        let payload = jws::verify(document, CLIENT_CONFIG_TYPE, |key_id| self.keys.get(key_id))
            .map_err(ConfigError::Signature)?;
        self.check_format(&payload)?;
        let config: ClientConfig = serde_json::from_slice(&payload).map_err(ConfigError::Json)?;
        let (issued, expires) = self.check_times(&config, now)?;
        if config.locality != self.locality {
            return Err(ConfigError::Locality {
                found: config.locality,
                expected: self.locality.clone(),
            });
        }
        if !SCHEMA_VERSIONS.contains(&config.schema_version) {
            let found = config.schema_version;
            return Err(ConfigError::Schema { found });
        }
        if config.limits.max_reports == 0 || config.limits.max_body_bytes == 0 {
            return Err(ConfigError::Limits);
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

    /// Looks at the format before anything else: another one may have other members.
    fn check_format(&self, payload: &[u8]) -> Result<(), ConfigError> {
        #[derive(serde::Deserialize)]
        struct Head {
            format: u64,
        }
        let Head { format: found } = serde_json::from_slice(payload).map_err(ConfigError::Json)?;
        let known = ClientConfig::FORMAT;
        if found == known {
            Ok(())
        } else {
            Err(ConfigError::Format { found, known })
        }
    }

    fn check_times(&self, config: &ClientConfig, now: Timestamp) -> Result<(Timestamp, Timestamp), ConfigError> {
        let time = |text: &str, member| text.parse::<Timestamp>().map_err(|_| ConfigError::Time { member });
        let issued = time(&config.issued, "issued")?;
        let expires = time(&config.expires, "expires")?;
        if issued.duration_since(now) > SKEW {
            return Err(ConfigError::NotYetValid { issued });
        }
        if expires <= now {
            return Err(ConfigError::Expired { expires });
        }
        Ok((issued, expires))
    }

    /// Checks one metric. `keys` holds the packet keys of the metrics before.
    fn check_metric(&self, metric: &ClientMetric, keys: &mut PacketKeyList) -> Result<TrustedMetric, ConfigError> {
        if metric.epsilon > self.max_epsilon || metric.epsilon.is_nan() || self.max_epsilon.is_nan() {
            return Err(ConfigError::Epsilon {
                metric: metric.name.clone(),
                epsilon: metric.epsilon,
                cap: self.max_epsilon,
            });
        }
        let unusable = |problem: String| ConfigError::Metric {
            metric: metric.name.clone(),
            problem,
        };
        metric
            .name
            .parse::<AggregationId>()
            .map_err(|error| unusable(error.to_string()))?;
        let fault = fault_of(metric);
        if let Some(fault) = fault {
            return Err(unusable(fault.to_owned()));
        }
        let encoding = Encoding::from(&metric.encoding);
        Ok(TrustedMetric {
            noise: RandomisedResponse::new(metric.epsilon).map_err(|error| unusable(error.to_string()))?,
            prio2: Prio2::new(encoding.bins()).map_err(|error| unusable(error.to_string()))?,
            encoding,
            client: client_of(metric, keys)?,
            metric: metric.clone(),
        })
    }
}

/// What is wrong with a metric, if anything.
fn fault_of(metric: &ClientMetric) -> Option<&'static str> {
    let encoding = &metric.encoding;
    if metric.prime != PRIME || metric.number_servers != 2 {
        return Some("prime or number of servers are not those of prio2");
    }
    if encoding.kind == EncodingKind::BoundedInteger && encoding.bins > u64::BITS {
        return Some("an integer has more than 64 binary digits");
    }
    if !encoding.labels.is_empty() && encoding.labels.len() != encoding.bins as usize {
        return Some("there is not one label a bin");
    }
    if !(0.0..=1.0).contains(&metric.sampling) {
        return Some("sampling is no share from 0 to 1");
    }
    None
}

/// The client that seals to the keys of a metric. A second share is valid for any number of bins, so a processor could be
/// made to evaluate it under another: each key has to be for the metric's number of bins, and for no other.
fn client_of(metric: &ClientMetric, keys: &mut PacketKeyList) -> Result<Client, ConfigError> {
    let mut processors = Vec::new();
    for (role, key) in Role::ALL.into_iter().zip(&metric.processors) {
        let public = PacketPublicKey::parse(&key.public_key).map_err(|source| ConfigError::Key {
            metric: metric.name.clone(),
            processor: role.index(),
            source,
        })?;
        if key.bins != metric.encoding.bins {
            return Err(ConfigError::KeyBins {
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
        keys.add(listed).map_err(|source| ConfigError::KeyConflict {
            metric: metric.name.clone(),
            source,
        })?;
        processors.push(ProcessorKey {
            key_id: Some(key.encryption_key_id.clone()),
            public,
        });
    }
    // There are two, so it never fails; the message is here instead of a panic.
    Client::new(processors).map_err(|error| ConfigError::Metric {
        metric: metric.name.clone(),
        problem: error.to_string(),
    })
}

impl TrustedConfig {
    /// The document.
    #[must_use]
    pub fn document(&self) -> &ClientConfig {
        &self.config
    }

    /// When it was signed.
    #[must_use]
    pub fn issued(&self) -> Timestamp {
        self.issued
    }

    /// From when on it is not used any more.
    #[must_use]
    pub fn expires(&self) -> Timestamp {
        self.expires
    }

    /// The metric of this name, if it is to be reported.
    #[must_use]
    pub fn metric(&self, name: &str) -> Option<&TrustedMetric> {
        self.metrics.get(name)
    }

    /// The metrics in order of their names.
    pub fn metrics(&self) -> impl Iterator<Item = &TrustedMetric> {
        self.metrics.values()
    }
}
