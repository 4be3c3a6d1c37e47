//! Tests of the attestation settings, with and without the feature `test-attestation`.

#![allow(clippy::unwrap_used)]

use std::path::Path;

use tallybox_service::config::load;
use tempfile::TempDir;

use super::*;

fn parse(folder: &Path, yaml: &str) -> Result<VerifierConfig, String> {
    let file = folder.join("verifier.yaml");
    std::fs::write(&file, yaml).unwrap();
    let loaded = load::<VerifierConfig>(&file).map_err(|error| error.to_string())?;
    Ok(loaded.value)
}

#[test]
fn defaults_are_the_strict_ones() {
    let folder = TempDir::new().unwrap();
    let yaml = "android:\n  roots: roots.pem\n  revocation:\n    list: status.json\n  packages:\n    - name: a.b\n      \
                signature-digests: [aa]\n";
    let VerifierConfig::Android(config) = parse(folder.path(), yaml).unwrap() else {
        panic!("android was expected");
    };
    assert!(config.verified_boot);
    assert_eq!(
        config.minimum_security_level,
        crate::config::attestation::SecurityLevel::TrustedEnvironment
    );
    assert_eq!(
        (
            config.challenge_late_minutes,
            config.challenge_early_minutes
        ),
        (60, 60)
    );
    assert_eq!(config.revocation.unwrap().max_age_hours, 72);
    for wrong in [
        &format!("{yaml}  verified-boots: false\n"),
        "android:\n  roots: roots.pem\n",
        "token: {}\n",
        "test: {}\n",
        "test:\n  anybody-may-attest: true\n  more: 1\n",
    ] {
        assert!(parse(folder.path(), wrong).is_err(), "{wrong}");
    }
}

/// Opens the verifier that the YAML describes, as the program does at start.
fn open(yaml: &str) -> Result<SharedVerifier, Error> {
    let folder = TempDir::new().unwrap();
    let config = parse(folder.path(), yaml).unwrap();
    open_verifier(&config, folder.path(), "localities.xx.verifier")
}

/// A program without the feature does not start with test attestation.
#[cfg(not(feature = "test-attestation"))]
#[test]
fn a_release_refuses_the_test_attestation() {
    for value in ["true", "false"] {
        let Err(Error::Setting(problem)) = open(&format!("test:\n  anybody-may-attest: {value}\n"))
        else {
            panic!("test attestation was taken");
        };
        assert!(problem.starts_with(
            "localities.xx.verifier.test: this program does not accept test attestations"
        ));
    }
}

/// A program with the feature requires the confirmation in the configuration as well.
#[cfg(feature = "test-attestation")]
#[test]
fn a_test_build_takes_the_test_attestation_if_it_is_told_to() {
    use crate::attestation::test::{TestDevice, phone};

    let verifier = open("test:\n  anybody-may-attest: true\n").unwrap();
    let mut report = phone::report(phone::METRIC);
    assert!(verifier.verify(&report, phone::NOON).is_err());
    TestDevice::generate(&mut rand::rng()).attest(&mut report, phone::NOON);
    assert!(verifier.verify(&report, phone::NOON).is_ok());
    let refused = open("test:\n  anybody-may-attest: false\n");
    assert!(matches!(refused, Err(Error::Setting(problem)) if problem.contains("has to be true")));
}

#[test]
fn an_android_verifier_is_opened_with_the_files_that_are_named() {
    use crate::attestation::test::phone::{METRIC, Manufacturer, NOON, report};

    let folder = TempDir::new().unwrap();
    let manufacturer = Manufacturer::new(&rcgen::PKCS_ECDSA_P256_SHA256);
    let digest = "5a".repeat(32);
    let yaml = format!(
        "android:\n  roots: roots.pem\n  packages:\n    - name: org.example.counting\n      signature-digests: [{digest}]\n"
    );
    let config = parse(folder.path(), &yaml).unwrap();
    let open = || open_verifier(&config, folder.path(), "localities.xx.verifier");
    assert!(matches!(open(), Err(Error::File(_))));
    std::fs::write(folder.path().join("roots.pem"), manufacturer.root.pem()).unwrap();
    let verifier = open().unwrap();
    assert!(
        verifier
            .verify(&manufacturer.attested(report(METRIC), NOON), NOON)
            .is_ok()
    );
    let refusal = verifier.verify(&report(METRIC), NOON).unwrap_err();
    assert_eq!(refusal.reason, "signature-form");
}
