//! The sample files can be loaded, and the defaults that they state are correct.
#![allow(clippy::unwrap_used, missing_docs)]

use std::path::{Path, PathBuf};

use tallybox_client::traffic::METRICS;
use tallybox_ingestor::config::{AcceptanceConfig, BatchConfig, Config, ServeConfig};
use tallybox_model::registry::{Registry, lint};
use tallybox_service::config::load;

fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("config")
        .join(name)
}

#[test]
fn the_sample_configuration_loads_and_shows_every_key() {
    let config = load::<Config>(&sample("ingestor.yaml")).unwrap().value;
    assert!(config.serve.tls.is_some() && config.localities["us-ca"].verifier.is_some());
    let text = std::fs::read_to_string(sample("ingestor.yaml")).unwrap();
    // `Debug` prints the names of all fields, including nested ones.
    let shown = format!("{config:?}");
    for field in shown
        .split([' ', '{', '(', ','])
        .filter_map(|token| token.strip_suffix(':'))
    {
        let key = field.replace('_', "-");
        let structural = ["value", "inner", "0"].contains(&key.as_str())
            || key.is_empty()
            || key.contains(['"', '/']);
        assert!(structural || text.contains(&format!("{key}:")), "{key}");
    }
}

#[test]
fn what_the_sample_calls_defaults_are_the_defaults() {
    let config = load::<Config>(&sample("ingestor.yaml")).unwrap().value;
    let shown = |value: &dyn std::fmt::Debug| format!("{value:?}");
    assert_eq!(shown(&config.batches), shown(&BatchConfig::default()));
    assert_eq!(
        shown(&config.acceptance),
        shown(&AcceptanceConfig::default())
    );
    let default = ServeConfig::default();
    let serve = ServeConfig {
        listen: default.listen,
        tls: None,
        ..config.serve
    };
    assert_eq!(shown(&serve), shown(&default));
}

#[test]
fn every_metric_of_the_sample_has_a_pair_of_packet_keys() {
    let config = load::<Config>(&sample("ingestor.yaml")).unwrap().value;
    let registry = load::<Registry>(&sample("registry.yaml")).unwrap().value;
    let pairs = &config.localities["us-ca"].packet_keys;
    for (metric, entry) in &registry.metrics {
        assert!(
            pairs.iter().any(|pair| pair.bins == entry.encoding.bins),
            "{metric}"
        );
    }
}

#[test]
fn the_sample_registry_is_enpas() {
    let registry = load::<Registry>(&sample("registry.yaml")).unwrap().value;
    let findings = lint(&registry, None);
    let unlabelled = findings
        .iter()
        .filter(|finding| finding.message.contains("labels"));
    // ENPA has not documented the meaning of each of these bins.
    assert_eq!((unlabelled.count(), findings.len()), (3, 3), "{findings:?}");
    let enpas = METRICS
        .iter()
        .filter(|metric| metric.name != "fakeMetric-v1");
    for metric in enpas.clone() {
        let (_, entry) = registry.entry(metric.name).unwrap();
        assert_eq!(
            entry.encoding.bins as usize,
            metric.bins(),
            "{}",
            metric.name
        );
        assert_eq!(entry.epsilon.to_bits(), metric.epsilon.to_bits());
    }
    assert_eq!(registry.metrics.len(), enpas.count());
}
