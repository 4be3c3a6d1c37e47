//! The program rejects invalid configurations.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::process::{Command, Output, Stdio};

use support::*;

fn program(world: &World, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ingestor"))
        .arg("--config")
        .arg(world.directory.path().join("ingestor.yaml"))
        .args(arguments)
        .env("NO_COLOR", "1")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// Returns the world with a part of its configuration replaced.
fn changed(from: &str, to: &str) -> World {
    let world = World::new();
    let path = world.directory.path().join("ingestor.yaml");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{from}");
    std::fs::write(&path, text.replace(from, to)).unwrap();
    world
}

#[test]
fn a_good_configuration_is_said_to_be_one() {
    let output = program(&World::new(), &["check-config"]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    assert!(
        text.contains("us-xx-ingestor") && text.contains("attestation none"),
        "{text}"
    );
}

/// A release rejects test attestations, which anyone can create, whatever the configuration file
/// contains.
#[test]
#[cfg(not(feature = "test-attestation"))]
fn the_test_attestation_does_not_start_in_a_release() {
    let verifier = "attestation: required\n    verifier: { test: { anybody-may-attest: true } }";
    let world = changed("attestation: none", verifier);
    for command in ["check-config", "serve", "batch"] {
        let output = program(&world, &[command]);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{command}: {output:?}");
        assert!(text.contains("test"), "{command}: {text}");
    }
}

#[test]
fn what_cannot_be_is_refused_by_name() {
    for (from, to, expected) in [
        ("attestation: none", "attestation: required", "verifier"),
        (
            "registry: registry.yaml",
            "registry: nowhere.yaml",
            "nowhere.yaml",
        ),
        ("secrets: [ { file: secret } ]", "secrets: []", "secrets"),
        ("{ bins: 5, first", "{ first", "bins"),
        ("{ bins: 5, first", "{ bins: 0, first", "bins"),
        // A metric without a pair of its bins: the pair has the wrong number.
        ("{ bins: 6, first", "{ bins: 7, first", "CodeVerified-v1"),
        // One key with two numbers of bins: under the same id, under two ids, and as the other
        // processor's key.
        (
            "first: { id: first-six, file: first-six }",
            "first: { id: first-1, file: first-1 }",
            "5 bins and with 6",
        ),
        (
            "file: first-six }",
            "file: first-1 }",
            "the same public key",
        ),
        (
            "file: second-six }",
            "file: first-1 }",
            "the same public key",
        ),
        (
            "{ id: first-six, file",
            "{ id: first-1, file",
            "two different public keys",
        ),
        (
            "ingestor: ingestor\n",
            "ingestor: ingestor\nserve: { listen: '192.0.2.1:80' }\n",
            "loopback",
        ),
        (
            "ingestor: ingestor\n",
            "ingestor: ingestor\nbatches: { max-bytes: 67108864 }\n",
            "max-bytes",
        ),
        (
            "ingestor: ingestor\n",
            "ingestor: ingestor\nbatches: { min-packets: 80000 }\n",
            "min-packets",
        ),
        (
            "ingestor: ingestor\n",
            "ingestor: ingestor\nserve: { idle-secs: 0 }\n",
            "idle-secs",
        ),
        (
            "ingestor: ingestor\n",
            "ingestor: ingestor\ncolour: 1\n",
            "colour",
        ),
        (
            "client-config-key: { id: config-1, file: sign-config }",
            "client-config-key: { id: config-1, file: sign }",
            "are the same key pair",
        ),
    ] {
        let output = program(&changed(from, to), &["check-config"]);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{to}: {output:?}");
        assert!(text.contains(expected), "{to}: {text}");
    }
}

#[test]
fn the_lint_refuses_a_metric_without_packet_keys_of_its_bins() {
    let world = changed("{ bins: 6, first", "{ bins: 7, first");
    let registry = world
        .directory
        .path()
        .join("registry.yaml")
        .display()
        .to_string();
    let output = program(&world, &["registry", "lint", &registry]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert!(
        text.contains(
            "error: CodeVerified-v1: localities.us-xx.packet-keys has no pair with 6 bins"
        ),
        "{text}"
    );
    let output = program(&World::new(), &["registry", "lint", &registry]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}
