//! Runs the program to check which packet keys and registries a processor's configuration may name.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::path::{Path, PathBuf};
use support::{code, run, stderr, stdout, vectors, write_config};
use tallybox_model::role::Role;

/// Creates a configuration with replaced parts.
fn configured(folder: &Path, changes: &[(&str, &str)]) -> PathBuf {
    let file = write_config(folder, "dim8", Role::First);
    let mut text = std::fs::read_to_string(&file).unwrap();
    for (from, to) in changes {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    std::fs::write(&file, text).unwrap();
    file
}

/// Runs `check-config`, and returns its exit code and output.
fn check(folder: &Path, changes: &[(&str, &str)]) -> (i32, String) {
    let file = configured(folder, changes);
    let output = run(
        folder,
        &["--config", file.to_str().unwrap(), "check-config"],
    );
    let text = format!("{}{}", stdout(&output), stderr(&output));
    (code(&output), text)
}

/// Creates documents of both packet keys of the first processor, for this instance and number of
/// bins.
fn documents(folder: &Path, instance: &str, bins: &str) {
    for number in ["1", "2"] {
        let bare = vectors().join(format!("keys/pha-packet-{number}.x963-private.b64"));
        let (id, out) = (
            format!("pha-packet-{number}"),
            format!("{instance}-{bins}-{number}.json"),
        );
        let convert = [
            "key",
            "convert",
            bare.to_str().unwrap(),
            "--id",
            &id,
            "--out",
            &out,
        ];
        let made = run(
            folder,
            &[&convert[..], &["--instance", instance, "--bins", bins]].concat(),
        );
        assert_eq!(code(&made), 0, "{made:?}");
    }
}

/// Returns the replacements with which a configuration names these documents.
fn naming(folder: &Path, instance: &str, bins: &str) -> Vec<(String, String)> {
    let keys = folder.join("keys");
    let change = |number: &str| {
        let bare = format!("{}/pha-packet-{number}.x963-private.b64", keys.display());
        (bare, format!("{instance}-{bins}-{number}.json"))
    };
    vec![change("1"), change("2")]
}

fn check_with(
    folder: &Path,
    documents: &[(String, String)],
    more: &[(&str, &str)],
) -> (i32, String) {
    let documents = documents
        .iter()
        .map(|(from, to)| (from.as_str(), to.as_str()));
    let changes: Vec<(&str, &str)> = documents.chain(more.iter().copied()).collect();
    check(folder, &changes)
}

const PINNED: (&str, &str) = (
    "points: per-packet\naccept-replay-risk: true\n",
    "points: pinned\n",
);

#[test]
fn a_point_for_each_packet_has_to_be_accepted_in_writing() {
    let folder = tempfile::tempdir().unwrap();
    let (code, text) = check(folder.path(), &[("accept-replay-risk: true\n", "")]);
    assert_eq!(code, 2, "{text}");
    assert!(
        text.contains("accept-replay-risk: true") && text.contains("evaluated twice"),
        "{text}"
    );
    let (code, text) = check(folder.path(), &[("risk: true", "risk: false")]);
    assert_eq!(code, 2, "{text}");
    let (code, text) = check(folder.path(), &[]);
    assert_eq!(code, 0, "{text}");
    assert!(
        text.contains("does not protect clients"),
        "expected a warning at start: {text}"
    );
}

#[test]
fn bare_keys_are_accepted_only_where_points_are_not_pinned() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (code, text) = check(folder, &[PINNED]);
    assert_eq!(code, 2, "{text}");
    assert!(
        text.contains("bare packet key") && text.contains("key convert"),
        "{text}"
    );
    documents(folder, "interop", "8");
    let (code, text) = check_with(folder, &naming(folder, "interop", "8"), &[PINNED]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("8 bins"), "{text}");
}

#[test]
fn a_key_of_another_instance_or_identifier_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    documents(folder, "other-instance", "8");
    let (code, text) = check_with(folder, &naming(folder, "other-instance", "8"), &[PINNED]);
    assert_eq!(code, 2, "{text}");
    assert!(
        text.contains("other-instance") && text.contains("interop"),
        "{text}"
    );
    documents(folder, "interop", "8");
    let swapped = ("id: pha-packet-2", "id: pha-packet-9");
    let (code, text) = check_with(folder, &naming(folder, "interop", "8"), &[PINNED, swapped]);
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("pha-packet-9"), "{text}");
    // The same key with two numbers of bins.
    documents(folder, "interop", "9");
    let mut twice = naming(folder, "interop", "8");
    twice[1] = (twice[1].0.clone(), "interop-9-1.json".to_owned());
    let (code, text) = check_with(
        folder,
        &twice,
        &[PINNED, ("id: pha-packet-2", "id: pha-packet-1")],
    );
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("the same key"), "{text}");
}

#[test]
fn a_registry_needs_a_key_for_each_metric_and_rejects_other_headers() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    documents(folder, "interop", "8");
    let registry = |name: &str, bins: u32, epsilon: f64| {
        let text = format!(
            "version: 1\nmetrics:\n  {name}: {{ state: accept, encoding: {{ kind: histogram, bins: {bins} }}, \
             epsilon: {epsilon}, cadence-hours: 24 }}\n"
        );
        std::fs::write(folder.join("registry.yaml"), text).unwrap();
    };
    let named = (
        "minimum-contributions: 1\n",
        "minimum-contributions: 1\nregistry: { file: registry.yaml }\n",
    );
    registry("org.example.dim8", 9, 1.0);
    let (status, text) = check_with(folder, &naming(folder, "interop", "8"), &[PINNED, named]);
    assert_eq!(status, 2, "{text}");
    assert!(text.contains("9 bins"), "{text}");
    let intake = |name: &str, bins: u32, epsilon: f64| {
        registry(name, bins, epsilon);
        let file = configured(folder, &[named]);
        let batch = first_batch();
        let task = [
            "intake-batch",
            "--aggregation",
            "org.example.dim8",
            "--date",
            &batch.0,
            "--batch",
            &batch.1,
        ];
        let output = run(
            folder,
            &[&["--config", file.to_str().unwrap(), "--json"], &task[..]].concat(),
        );
        let json: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
        (
            code(&output),
            json["reason"].as_str().unwrap_or_default().to_owned(),
        )
    };
    assert_eq!(
        intake("org.example.other", 8, 1.0),
        (3, "unknown-metric".to_owned())
    );
    assert_eq!(
        intake("org.example.dim8", 9, 1.0),
        (3, "other-parameters".to_owned())
    );
    assert_eq!(
        intake("org.example.dim8", 8, 63.0),
        (3, "other-parameters".to_owned())
    );
}

/// The date and identifier of the first batch of `dim8`.
fn first_batch() -> (String, String) {
    let text = std::fs::read(vectors().join("dim8/expected.json")).unwrap();
    let expected: serde_json::Value = serde_json::from_slice(&text).unwrap();
    let text = |index: usize| expected["batches"][0][index].as_str().unwrap().to_owned();
    (text(1), text(0))
}
