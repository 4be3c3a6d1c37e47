//! Tests of small runs.

use std::collections::BTreeMap;

use super::*;
use crate::hostile::Ending;

fn options(packets: u64, names: &[&str]) -> RunOptions {
    let metrics = names
        .iter()
        .map(|name| *Metric::named(name).unwrap())
        .collect();
    RunOptions {
        packets,
        metrics,
        seed: Some(11),
        epsilon: None,
    }
}

async fn small(options: &RunOptions) -> Result<RunOutcome, Error> {
    let directory = tempfile::tempdir().unwrap();
    run(directory.path(), options, Output::new(true)).await
}

#[tokio::test]
async fn a_small_run_counts_what_was_sent() {
    let outcome = small(&options(60, &["CodeVerified-v1", "exampleMinutes-v1"]))
        .await
        .unwrap();
    assert_eq!((outcome.honest_packets, outcome.metrics.len()), (60, 2));
    for metric in &outcome.metrics {
        // 30 honest packets, and two hostile ones with an unknown key id for either processor,
        // twice.
        assert_eq!(metric.packets_accepted, 30 + 4, "{}", metric.name);
        assert_eq!(metric.sums.len(), metric.bins);
        assert_eq!(metric.estimates.len(), metric.bins);
        assert!(
            metric.parts[0]
                .iter()
                .zip(&metric.sums)
                .any(|(part, sum)| *part != *sum as i64)
        );
    }
    let number = outcome.metrics[1].number.as_ref().unwrap();
    assert!(
        (number.estimate.value - number.truth as f64).abs() <= 6.0 * number.estimate.standard_error
    );
    assert!(outcome.metrics[0].number.is_none());
}

/// Checks the table of hostile packets: kind, results of intake, and outcome.
#[tokio::test]
async fn hostile_packets_get_what_they_deserve() {
    let outcome = small(&options(20, &["CodeVerified-v1"])).await.unwrap();
    let rows: BTreeMap<&str, _> = outcome
        .hostile
        .iter()
        .map(|row| (row.kind.as_str(), row))
        .collect();
    assert_eq!(rows.len(), outcome.hostile.len(), "one outcome per kind");
    assert_eq!(outcome.hostile_packets, 3 * rows.len() as u64);
    let expected = [
        ("invalid-proof", "message", "message", Ending::NotCounted),
        ("one-bin-more", "bad-share", "message", Ending::NotCounted),
        ("not-in-field", "bad-share", "message", Ending::NotCounted),
        (
            "swapped-shares",
            "undecryptable",
            "undecryptable",
            Ending::NotCounted,
        ),
        (
            "duplicate-id",
            "duplicate-uuid",
            "duplicate-uuid",
            Ending::FirstOneCounted,
        ),
        (
            "undecryptable (first)",
            "undecryptable",
            "message",
            Ending::NotCounted,
        ),
        (
            "undecryptable (second)",
            "message",
            "undecryptable",
            Ending::NotCounted,
        ),
        (
            "not-a-point (first)",
            "bad-ciphertext",
            "message",
            Ending::NotCounted,
        ),
        (
            "not-a-point (second)",
            "message",
            "bad-ciphertext",
            Ending::NotCounted,
        ),
        (
            "short-ciphertext (first)",
            "bad-ciphertext",
            "message",
            Ending::NotCounted,
        ),
        (
            "short-ciphertext (second)",
            "message",
            "bad-ciphertext",
            Ending::NotCounted,
        ),
        (
            "short-share (first)",
            "bad-share",
            "message",
            Ending::NotCounted,
        ),
        (
            "short-share (second)",
            "message",
            "bad-share",
            Ending::NotCounted,
        ),
        (
            "long-share (first)",
            "bad-share",
            "message",
            Ending::NotCounted,
        ),
        (
            "long-share (second)",
            "message",
            "bad-share",
            Ending::NotCounted,
        ),
        (
            "unknown-key-id (first)",
            "message",
            "message",
            Ending::Counted,
        ),
        (
            "unknown-key-id (second)",
            "message",
            "message",
            Ending::Counted,
        ),
        (
            "other-point",
            "point-changed",
            "point-changed",
            Ending::NotCounted,
        ),
        (
            "point-out-of-range",
            "point-out-of-range",
            "point-out-of-range",
            Ending::NotCounted,
        ),
        (
            "root-of-unity",
            "point-root-of-unity",
            "point-root-of-unity",
            Ending::NotCounted,
        ),
        ("replay", "message", "message", Ending::FirstOneCounted),
    ];
    assert_eq!(rows.len(), expected.len());
    for (kind, first, second, ending) in expected {
        let row = rows[kind];
        let found = (
            row.first.to_string(),
            row.second.to_string(),
            row.ending,
            row.packets,
        );
        assert_eq!(
            found,
            (first.to_owned(), second.to_owned(), ending, 3),
            "{kind}"
        );
    }
}

#[tokio::test]
async fn a_seed_makes_a_run_reproducible() {
    let results = |outcome: &RunOutcome| {
        let metrics = serde_json::to_string(&outcome.metrics).unwrap();
        (metrics, serde_json::to_string(&outcome.hostile).unwrap())
    };
    let options_with_seed = options(12, &["CodeVerified-v1"]);
    let outcome = small(&options_with_seed).await.unwrap();
    assert_eq!(
        results(&outcome),
        results(&small(&options_with_seed).await.unwrap())
    );
    let other = small(&RunOptions {
        seed: None,
        ..options_with_seed
    })
    .await
    .unwrap();
    assert_ne!(results(&outcome), results(&other));
}

#[tokio::test]
async fn what_makes_no_run_is_refused_before_anything_is_written() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("new");
    for bad in [
        options(8, &["CodeVerified-v1"]),
        options(100, &["CodeVerified-v1", "CodeVerified-v1"]),
        options(100, &[]),
        options(u64::MAX, &["CodeVerified-v1"]),
    ] {
        let error = run(&root, &bad, Output::new(true)).await.unwrap_err();
        assert!(matches!(error, Error::Setting(_)), "{error}");
        assert!(!root.exists());
    }
}
