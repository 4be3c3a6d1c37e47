//! The revocation list: changes are followed, and an unreadable list expires.

use std::fs;

use super::*;
use crate::config::attestation::RevocationConfig;

fn world(list: &str) -> World {
    let mut world = World::new();
    fs::write(world.folder.path().join("status.json"), list).unwrap();
    world.config.revocation = Some(RevocationConfig {
        list: "status.json".into(),
        max_age_hours: 2,
    });
    world
}

fn write(world: &World, list: &str) {
    fs::write(world.folder.path().join("status.json"), list).unwrap();
}

fn entry(serial: &str) -> String {
    format!(
        r#"{{"entries": {{"ffff": {{"status": "REVOKED"}}, "{serial}": {{"status": "SUSPENDED", "reason": "x"}}}}}}"#
    )
}

const NONE: &str = r#"{"entries": {}}"#;

#[test]
fn any_certificate_of_the_chain_can_be_revoked_however_it_is_spelt() {
    let serial = |world: &World| {
        let root = Certificate::parse(&world.manufacturer.root.der)
            .unwrap()
            .serial();
        root.iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    };
    // Leaf, batch, manufacturer.
    for spelt in ["1", "01", "123456", "0000123456", "abc", "0ABC"] {
        let world = world(&entry(spelt));
        assert_eq!(
            verified_day(&world.verifier(), &world.good(), NOON),
            Err("revoked"),
            "{spelt}"
        );
    }
    let world = world(NONE);
    assert_eq!(
        verified_day(&world.verifier(), &world.good(), NOON),
        Ok(DAY)
    );
    write(&world, &entry(&serial(&world)));
    let verifier = world.verifier();
    let mut report = world.good();
    assert_eq!(verified_day(&verifier, &report, NOON), Err("revoked"));
    report.certificate_chain.pop();
    assert_eq!(verified_day(&verifier, &report, NOON), Err("revoked"));
}

#[test]
fn a_changed_list_counts_for_remembered_chains_too() {
    let world = world(NONE);
    let verifier = world.verifier();
    let report = world.good();
    assert_eq!(verified_day(&verifier, &report, NOON), Ok(DAY));
    assert_eq!(verifier.issuers.len(), 2);
    write(&world, &entry("123456"));
    assert_eq!(
        verified_day(&verifier, &report, NOON + 1000),
        Err("revoked")
    );
    write(&world, NONE);
    assert_eq!(verified_day(&verifier, &report, NOON + 2000), Ok(DAY));
    // The file is checked again after the clock has been set back as well.
    write(&world, &entry("123456"));
    assert_eq!(
        verified_day(&verifier, &report, NOON - 5000),
        Err("revoked")
    );
}

#[test]
fn the_last_good_list_holds_for_a_while_and_then_nothing_does() {
    for broken in [
        None,
        Some("{"),
        Some(r#"{"entries": {"xyz": {}}}"#),
        Some("{}"),
    ] {
        let world = world(&entry("77"));
        let verifier = world.verifier();
        let report = world.good();
        let at = |now| verified_day(&verifier, &report, now);
        assert_eq!(at(NOON), Ok(DAY));
        match broken {
            None => fs::remove_file(world.folder.path().join("status.json")).unwrap(),
            Some(text) => write(&world, text),
        }
        assert_eq!(at(NOON + 2 * HOUR), Ok(DAY));
        assert_eq!(at(NOON + 2 * HOUR + 1), Err("revocation-unknown"));
        write(&world, &entry("78"));
        assert_eq!(at(NOON + 3 * HOUR), Ok(DAY));
        assert_eq!(at(NOON + 5 * HOUR), Ok(DAY));
    }
}

#[test]
fn a_list_that_cannot_be_read_at_the_start_is_an_error() {
    let world = world(r#"{"entries": {"not hex": {}}}"#);
    let open = || AndroidVerifier::open(&world.config, world.folder.path(), "verifier");
    assert!(matches!(open(), Err(Error::File(_))));
    fs::remove_file(world.folder.path().join("status.json")).unwrap();
    assert!(matches!(open(), Err(Error::File(_))));
}
