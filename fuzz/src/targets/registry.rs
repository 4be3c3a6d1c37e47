//! Metric registries in JSON and YAML, and the findings of the lint.

use crate::forge::{printable, yaml};
use tallybox_model::client_config::ClientConfig;
use tallybox_model::registry::{Registry, lint};

pub fn run(data: &[u8]) {
    if let Ok(registry) = serde_json::from_slice::<Registry>(data) {
        check(&registry);
    }
    match yaml::<Registry>(data) {
        Ok(loaded) => check(&loaded.value),
        Err(error) => printable(&error),
    }
}

fn check(registry: &Registry) {
    let json = serde_json::to_vec(registry).expect("what was read can be written");
    assert_eq!(serde_json::from_slice::<Registry>(&json).expect("what we write can be read"), *registry);
    let findings = lint(registry, Some(registry));
    assert!(findings.iter().all(|finding| !finding.message.is_empty()));
    for (name, entry) in &registry.metrics {
        assert!(entry.payload_lengths()[0] > entry.payload_lengths()[1] - 32);
        assert_eq!(entry.parameters(name).name, name.as_str());
    }
    assert!(ClientConfig::metrics_of(registry, |_| None).is_empty());
}
