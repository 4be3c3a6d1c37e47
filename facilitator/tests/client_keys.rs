//! `check-config` compares the packet keys announced to clients with a processor's keys.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::path::Path;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use support::{code, run, stderr, stdout, vectors, write_config};
use tallybox_crypto::{PacketPrivateKey, SigningKey, jws};
use tallybox_model::client_config::{
    AttestationPolicy, CLIENT_CONFIG_TYPE, ClientConfig, ClientKey, ClientLimits, ClientMetric,
};
use tallybox_model::role::Role;

/// Creates a client configuration for one metric, with these keys for the processors.
fn publish(folder: &Path, keys: [(&str, &str); 2]) {
    let processors = keys.map(|(id, file)| {
        let text = std::fs::read_to_string(vectors().join("keys").join(file)).unwrap();
        ClientKey {
            encryption_key_id: id.to_owned(),
            public_key: PacketPrivateKey::parse(text.trim())
                .unwrap()
                .public()
                .to_x962_base64(),
            bins: 8,
        }
    });
    let metric = serde_json::json!({
        "name": "fakeMetric-v1", "encoding": {"kind": "bit-vector", "bins": 8}, "epsilon": 11.0, "prime": 4_293_918_721_i64,
        "numberServers": 2, "cadenceHours": 24, "sampling": 1.0, "processors": processors,
    });
    let config = ClientConfig {
        format: ClientConfig::FORMAT,
        locality: "us-xx".to_owned(),
        ingestor: "example".to_owned(),
        issued: String::new(),
        expires: String::new(),
        registry_version: 1,
        schema_version: 2,
        metrics: vec![serde_json::from_value::<ClientMetric>(metric).unwrap()],
        limits: ClientLimits {
            max_body_bytes: 1,
            max_reports: 1,
            max_age_seconds: 1,
            max_ahead_seconds: 1,
        },
        attestation: AttestationPolicy::None,
    };
    let key = SigningKey::generate(&mut ChaCha20Rng::seed_from_u64(1));
    let signed = jws::sign(
        &serde_json::to_vec(&config).unwrap(),
        CLIENT_CONFIG_TYPE,
        "k",
        &key,
    )
    .unwrap();
    std::fs::write(folder.join("told.json"), signed).unwrap();
}

/// Runs `check-config` for a processor whose configuration names the file.
fn check(folder: &Path, role: Role) -> (i32, String) {
    let file = write_config(folder, "dim8", role);
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{text}\nclient-configuration: told.json\n")).unwrap();
    let output = run(
        folder,
        &["--config", file.to_str().unwrap(), "check-config"],
    );
    (
        code(&output),
        format!("{}{}", stdout(&output), stderr(&output)),
    )
}

const FIRST: (&str, &str) = ("pha-packet-1", "pha-packet-1.x963-private.b64");
const SECOND: (&str, &str) = (
    "facilitator-packet-1",
    "facilitator-packet-1.x963-private.b64",
);

#[test]
fn keys_that_clients_are_told_are_ours() {
    let folder = tempfile::tempdir().unwrap();
    publish(folder.path(), [FIRST, SECOND]);
    for role in [Role::First, Role::Second] {
        let (code, text) = check(folder.path(), role);
        assert_eq!(code, 0, "{text}");
        assert!(text.contains("its packet keys match ours"), "{text}");
    }
}

#[test]
fn exchanged_keys_are_refused_on_both_sides() {
    let folder = tempfile::tempdir().unwrap();
    publish(folder.path(), [SECOND, FIRST]);
    for role in [Role::First, Role::Second] {
        let (code, text) = check(folder.path(), role);
        assert_eq!(code, 2, "{text}");
        assert!(
            text.contains("fakeMetric-v1") && text.contains("has swapped"),
            "{text}"
        );
    }
}

#[test]
fn a_document_that_cannot_be_read_is_looked_for_again() {
    let folder = tempfile::tempdir().unwrap();
    let (code, text) = check(folder.path(), Role::First);
    assert_eq!(code, 4, "{text}");
    assert!(
        text.contains("the client configuration does not exist"),
        "{text}"
    );
    std::fs::write(folder.path().join("told.json"), "{}").unwrap();
    let (code, text) = check(folder.path(), Role::First);
    assert_eq!(code, 4, "{text}");
    assert!(text.contains("not a signed client configuration"), "{text}");
}
