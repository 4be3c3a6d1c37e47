//! Tests of attestation in the sandbox: reports with and without an attestation.

use rand::SeedableRng as _;
use rand_chacha::ChaCha20Rng;
use tallybox_client::post::{PostOutcome, Prepared};
use tallybox_crypto::SigningKey;

use super::tests::{START_MILLIS, options};
use super::*;
use crate::attestation::Demand;
use crate::attestation::tests::attest;

const DAY_MILLIS: i64 = 24 * 3_600_000;

#[tokio::test(flavor = "multi_thread")]
async fn attestations_are_looked_at_when_that_is_asked_for() {
    for (demand, without) in [
        (Demand::Required, "attestationRequired"),
        (Demand::Optional, "accepted"),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let mut options = options(&Clock::manual(START_MILLIS));
        options.attestation = Some(AttestationOptions {
            demand,
            verifier: None,
        });
        let serving = Serving::start(directory.path(), &options, Output::new(true));
        let serving = serving.await.unwrap();
        let flow = &serving.traffic.flows[0];
        let upload = |index| {
            let report = flow.traffic.packet(index).unwrap().report;
            report.into_upload(&flow.metric, 2, Some(START_MILLIS))
        };
        let device = SigningKey::generate(&mut ChaCha20Rng::seed_from_u64(5));
        let mut good = upload(0);
        attest(&mut good, &device, START_MILLIS);
        let mut of_another_day = upload(1);
        attest(&mut of_another_day, &device, START_MILLIS - 2 * DAY_MILLIS);
        let mut moved = upload(2);
        moved.signature.clone_from(&good.signature);
        moved.certificate_chain.clone_from(&good.certificate_chain);

        let posted = [good, of_another_day, moved, upload(3)].map(Prepared::from);
        let outcomes = serving.reporter().unwrap().send_all(posted.into()).await;
        let answer = |outcome| match outcome {
            PostOutcome::Accepted => "accepted".to_owned(),
            PostOutcome::Dropped(problem) => problem.kind.replace("urn:tallybox:problem:", ""),
            other => format!("{other:?}"),
        };
        let answers: Vec<String> = outcomes.into_iter().map(answer).collect();
        assert_eq!(
            answers,
            [
                "accepted",
                "attestationFailed",
                "attestationFailed",
                without
            ]
        );
        serving.stop().await.unwrap();
    }
}

#[test]
fn a_verifier_of_its_own_stands_in_the_ingestors_configuration() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("verifier.yaml");
    std::fs::write(&file, "android:\n  roots: /roots.pem\n").unwrap();
    let attestation = |verifier| AttestationOptions {
        demand: Demand::Required,
        verifier,
    };
    assert_eq!(
        attestation(Some(file)).lines().unwrap().unwrap(),
        "    attestation: required\n    verifier:\n      android:\n        roots: /roots.pem\n"
    );
    assert!(attestation(None).lines().unwrap().is_none());
    let missing = attestation(Some(directory.path().join("none"))).lines();
    assert!(missing.unwrap_err().to_string().contains("none"));
}
