//! The metric registry: the metrics of a deployment and the form of a report for each.
//!
//! All parties use the same versioned document: the ingestor checks reports against it, clients
//! receive it as part of their configuration, processors compare headers with it, and the portal
//! takes its labels from it. The document is written in YAML; this module deserialises it from any
//! serde format.

mod entry;
mod lint;

pub use entry::{EncodingKind, EntryError, MetricEncoding, MetricEntry, MetricState};
pub use lint::{LintFinding, Severity, lint};

use crate::id::AggregationId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A validated registry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", try_from = "RawRegistry")]
pub struct Registry {
    /// The version, incremented with every change.
    pub version: u64,
    /// The metrics by name.
    pub metrics: BTreeMap<AggregationId, MetricEntry>,
}

/// The document before validation.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct RawRegistry {
    version: u64,
    metrics: BTreeMap<String, MetricEntry>,
}

/// The reason why a document is not a valid registry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// The version is 0.
    #[error("version has to be 1 or more")]
    Version,
    /// The registry contains no metric.
    #[error("the registry contains no metric: add at least one")]
    Empty,
    /// The entry of a metric is invalid.
    #[error("metric {metric}: {source}")]
    Metric {
        /// The name of the metric.
        metric: String,
        /// The reason.
        source: EntryError,
    },
    /// The name of a metric is not usable in an object name.
    #[error(transparent)]
    Name(#[from] crate::id::IdError),
}

impl TryFrom<RawRegistry> for Registry {
    type Error = RegistryError;

    fn try_from(raw: RawRegistry) -> Result<Self, RegistryError> {
        if raw.version == 0 {
            return Err(RegistryError::Version);
        }
        if raw.metrics.is_empty() {
            return Err(RegistryError::Empty);
        }
        let mut metrics = BTreeMap::new();
        for (name, entry) in raw.metrics {
            entry.check().map_err(|source| RegistryError::Metric {
                metric: name.clone(),
                source,
            })?;
            metrics.insert(name.parse()?, entry);
        }
        let version = raw.version;
        Ok(Self { version, metrics })
    }
}

impl Registry {
    /// Returns the name and the entry of a metric.
    #[must_use]
    pub fn entry(&self, metric: &str) -> Option<(&AggregationId, &MetricEntry)> {
        let name: AggregationId = metric.parse().ok()?;
        self.metrics.get_key_value(&name)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(json: &str) -> Result<Registry, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    const GOOD: &str = r#"{"version":3,"metrics":{"a-v1":{"state":"accept","encoding":{"kind":"histogram","bins":2,
        "labels":["no","yes"]},"epsilon":8.0,"cadence-hours":24}}}"#;

    #[test]
    fn a_registry_gives_the_parameters_of_its_metrics() {
        let registry = read(GOOD).unwrap();
        let (name, entry) = registry.entry("a-v1").unwrap();
        let parameters = entry.parameters(name);
        assert_eq!(
            (
                parameters.bins,
                parameters.number_of_servers,
                parameters.hamming_weight
            ),
            (2, 2, None)
        );
        assert_eq!(
            (parameters.prime, parameters.epsilon),
            (crate::header::PRIME, 8.0)
        );
        assert_eq!(entry.payload_lengths(), [117, 113]);
        assert!(registry.entry("b").is_none() && registry.entry("../a").is_none());
        let reread = read(&serde_json::to_string(&registry).unwrap()).unwrap();
        assert_eq!(reread, registry);
    }

    #[test]
    fn the_fields_of_a_grouped_integer_fill_its_bins() {
        let grouped = |encoding: &str| {
            let grouped = r#""kind":"grouped-integer","#.to_owned() + encoding;
            read(&GOOD.replace(
                r#""kind":"histogram","bins":2,
        "labels":["no","yes"]"#,
                &grouped,
            ))
        };
        let good = grouped(r#""bins":18,"groups":["women","men"],"bits":8"#).unwrap();
        let reread = read(&serde_json::to_string(&good).unwrap()).unwrap();
        assert_eq!(reread, good);
        for bad in [
            r#""bins":17,"groups":["women","men"],"bits":8"#,
            r#""bins":18,"groups":["women","men"]"#,
            r#""bins":18,"bits":8"#,
            r#""bins":2,"groups":["women","men"],"bits":0"#,
            r#""bins":34,"groups":["all"],"bits":33"#,
            r#""bins":2,"groups":["all"],"bits":1,"labels":["a","b"]"#,
        ] {
            let error = grouped(bad).unwrap_err();
            assert!(error.contains("a grouped integer has groups"), "{error}");
        }
        for other in [
            r#""bins":2,"bits":1"#,
            r#""bins":2,"groups":["women","men"]"#,
        ] {
            let error = read(&GOOD.replace(r#""bins":2"#, other)).unwrap_err();
            assert!(error.contains("only a grouped integer"), "{error}");
        }
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        for (from, to, expected) in [
            (r#""version":3"#, r#""version":0"#, "version"),
            (r#""bins":2"#, r#""bins":0"#, "bins"),
            (r#""bins":2"#, r#""bins":3"#, "labels"),
            (r#""epsilon":8.0"#, r#""epsilon":0.0"#, "epsilon"),
            (
                r#""epsilon":8.0"#,
                r#""epsilon":8.0,"sampling":1.5"#,
                "sampling",
            ),
            (r#""cadence-hours":24"#, r#""cadence-hours":0"#, "cadence"),
            (r#""a-v1""#, r#""a/v1""#, "a/v1"),
            (r#""state":"accept""#, r#""state":"open""#, "open"),
            (r#""epsilon":8.0"#, r#""epsilon":8.0,"colour":1"#, "colour"),
            (
                r#""epsilon":8.0"#,
                r#""epsilon":8.0,"hamming-weight":2"#,
                "weight",
            ),
            (r#""epsilon":8.0"#, r#""epsilon":8.0,"prime":7"#, "prime"),
        ] {
            let text = GOOD.replace(from, to);
            assert_ne!(text, GOOD);
            let error = read(&text).unwrap_err();
            assert!(error.contains(expected), "{to}: {error}");
        }
    }
}
