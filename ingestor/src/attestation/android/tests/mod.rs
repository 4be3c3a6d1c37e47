//! Valid and invalid attestations by generated phones.

#![allow(clippy::unwrap_used)]

mod hostile;
mod refusals;
mod revocation;
mod settings;

use rcgen::{
    KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_RSA_SHA256, SigningKey as _,
};
use tempfile::TempDir;

use super::*;
use crate::attestation::test::phone::{
    DAY, Description, METRIC, Manufacturer, NOON, PACKAGE, SIGNER, report, sign, tlv,
};
use crate::config::attestation::{PackageConfig, SecurityLevel};

const HOUR: i64 = 3_600_000;
const DAYS: i64 = 24 * HOUR;

/// A configuration with its files in a temporary folder.
struct World {
    folder: TempDir,
    manufacturer: Manufacturer,
    config: AndroidConfig,
}

impl World {
    fn new() -> Self {
        Self::with(Manufacturer::new(&PKCS_ECDSA_P384_SHA384))
    }

    fn with(manufacturer: Manufacturer) -> Self {
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("roots.pem"), manufacturer.root.pem()).unwrap();
        let hex: String = SIGNER.iter().map(|byte| format!("{byte:02X}")).collect();
        let config = AndroidConfig {
            roots: "roots.pem".into(),
            revocation: None,
            packages: vec![PackageConfig {
                name: PACKAGE.to_owned(),
                signature_digests: vec![hex],
            }],
            minimum_security_level: SecurityLevel::TrustedEnvironment,
            verified_boot: true,
            challenge_late_minutes: 60,
            challenge_early_minutes: 60,
        };
        Self {
            folder,
            manufacturer,
            config,
        }
    }

    fn verifier(&self) -> AndroidVerifier {
        AndroidVerifier::open(&self.config, self.folder.path(), "verifier").unwrap()
    }

    /// Returns a valid report.
    fn good(&self) -> ReportUpload {
        self.manufacturer.attested(report(METRIC), NOON)
    }

    /// Returns a report whose key description is changed.
    fn described(&self, change: impl FnOnce(&mut Description)) -> ReportUpload {
        let mut description = Description::good(METRIC, DAY);
        change(&mut description);
        let key = KeyPair::generate().unwrap();
        let leaf = self.manufacturer.batch.leaf(&key, &description, |_| ());
        sign(report(METRIC), &key, leaf, self.manufacturer.chain())
    }
}

fn verified_day(
    verifier: &AndroidVerifier,
    report: &ReportUpload,
    now: i64,
) -> Result<i64, &'static str> {
    let outcome = verifier.verify(report, now);
    outcome.map(|key| key.day).map_err(|refusal| refusal.reason)
}

#[test]
fn good_reports_hold_under_roots_of_every_kind() {
    for algorithm in [
        &PKCS_ECDSA_P256_SHA256,
        &PKCS_ECDSA_P384_SHA384,
        &PKCS_RSA_SHA256,
    ] {
        let world = World::with(Manufacturer::new(algorithm));
        let verifier = world.verifier();
        let report = world.good();
        assert_eq!(verified_day(&verifier, &report, NOON), Ok(DAY));
        // The same chain again, from the cache; another phone of the same production batch; a chain
        // without the root, which is configured.
        assert_eq!(verified_day(&verifier, &report, NOON), Ok(DAY));
        let mut other = world.good();
        assert_eq!(verified_day(&verifier, &other, NOON), Ok(DAY));
        assert_eq!(verifier.issuers.len(), 2);
        other.certificate_chain.pop();
        assert_eq!(verified_day(&verifier, &other, NOON), Ok(DAY));
    }
}

#[test]
fn a_leaf_may_be_issued_by_a_root() {
    let world = World::new();
    let key = KeyPair::generate().unwrap();
    let root = &world.manufacturer.root;
    let leaf = root.leaf(&key, &Description::good(METRIC, DAY), |_| ());
    let report = sign(report(METRIC), &key, leaf, vec![root.der.clone()]);
    assert_eq!(verified_day(&world.verifier(), &report, NOON), Ok(DAY));
}

/// Google has issued new certificates for its roots, with other validity periods. Only name and key
/// count.
#[test]
fn another_certificate_of_a_root_is_that_root_and_fills_nothing() {
    let world = World::new();
    let verifier = world.verifier();
    let mut report = world.good();
    for year in 2001..2020 {
        report.certificate_chain[3] = world.manufacturer.root.reissued(year).into();
        assert_eq!(verified_day(&verifier, &report, NOON), Ok(DAY));
    }
    assert_eq!(verifier.issuers.len(), 2);
}

#[test]
fn both_kinds_of_hardware_are_taken_unless_more_is_asked_for() {
    let mut world = World::new();
    let strong = world.described(|key| (key.attestation_level, key.key_level) = (2, 2));
    let mixed = world.described(|key| (key.attestation_level, key.key_level) = (1, 2));
    let verifier = world.verifier();
    for report in [&strong, &mixed, &world.good()] {
        assert_eq!(verified_day(&verifier, report, NOON), Ok(DAY));
    }
    world.config.minimum_security_level = SecurityLevel::StrongBox;
    let verifier = world.verifier();
    assert_eq!(verified_day(&verifier, &strong, NOON), Ok(DAY));
    for report in [&mixed, &world.good()] {
        assert_eq!(verified_day(&verifier, report, NOON), Err("security-level"));
    }
}

#[test]
fn how_the_device_was_started_can_be_left_aside() {
    let mut world = World::new();
    world.config.verified_boot = false;
    let verifier = world.verifier();
    for root_of_trust in [None, Some((false, 2))] {
        let report = world.described(|key| key.root_of_trust = root_of_trust);
        assert_eq!(verified_day(&verifier, &report, NOON), Ok(DAY));
    }
}

#[test]
fn the_key_is_told_by_its_digest() {
    let world = World::new();
    let verifier = world.verifier();
    let key = |report: &ReportUpload| verifier.verify(report, NOON).unwrap();
    let (first, other) = (world.good(), world.good());
    assert_eq!(key(&first), key(&first));
    assert_ne!(key(&first).key, key(&other).key);
}

#[test]
fn neighbouring_days_hold_near_midnight_and_say_which_day_it_is() {
    let world = World::new();
    let verifier = world.verifier();
    let midnight = DAY * DAYS;
    let at = |now| verified_day(&verifier, &world.good(), now);
    assert_eq!(at(midnight - HOUR - 1), Err("challenge"));
    assert_eq!(at(midnight - HOUR), Ok(DAY));
    assert_eq!(at(midnight), Ok(DAY));
    assert_eq!(at(midnight + DAYS - 1), Ok(DAY));
    assert_eq!(at(midnight + DAYS + HOUR - 1), Ok(DAY));
    assert_eq!(at(midnight + DAYS + HOUR), Err("challenge"));
}

#[test]
fn packages_that_share_an_id_all_have_to_be_taken() {
    let mut world = World::new();
    let shared = world.described(|key| key.packages.insert(0, "org.example.other"));
    assert_eq!(
        verified_day(&world.verifier(), &shared, NOON),
        Err("package")
    );
    let mut other = world.config.packages[0].clone();
    other.name = "org.example.other".to_owned();
    world.config.packages.push(other);
    assert_eq!(verified_day(&world.verifier(), &shared, NOON), Ok(DAY));
    let stranger = world.described(|key| key.signers.push(vec![1; 32]));
    assert_eq!(
        verified_day(&world.verifier(), &stranger, NOON),
        Err("package-signature")
    );
}

/// Keystores encode the algorithm identifier of ECDSA with a NULL, which web PKI libraries reject.
#[test]
fn an_algorithm_may_have_a_null() {
    let world = World::new();
    let batch = &world.manufacturer.batch;
    let key = KeyPair::generate().unwrap();
    let leaf = batch.leaf(&key, &Description::good(METRIC, DAY), |_| ());
    let plain = [
        0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2,
    ];
    let with_null = [
        0x30, 0x0c, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2, 5, 0,
    ];
    // The signed part has a header of four bytes, within the outer header of four bytes.
    let length = usize::from(u16::from_be_bytes([leaf[6], leaf[7]]));
    let inner = &leaf[8..8 + length];
    let index = inner
        .windows(plain.len())
        .position(|window| window == plain)
        .unwrap();
    let inner = [&inner[..index], &with_null, &inner[index + plain.len()..]].concat();
    let signed = tlv(0x30, &inner);
    let signature = [&[0][..], &batch.key.sign(&signed).unwrap()].concat();
    let leaf = tlv(
        0x30,
        &[&signed[..], &with_null, &tlv(0x03, &signature)].concat(),
    );
    let report = sign(report(METRIC), &key, leaf, world.manufacturer.chain());
    assert_eq!(verified_day(&world.verifier(), &report, NOON), Ok(DAY));
}
