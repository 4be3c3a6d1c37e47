//! Validation of the settings.

use super::*;

fn problem(change: impl FnOnce(&mut AndroidConfig)) -> String {
    let mut world = World::new();
    change(&mut world.config);
    match AndroidVerifier::open(&world.config, world.folder.path(), "verifier.android") {
        Err(Error::Setting(problem)) => problem,
        other => panic!("a setting was expected to be refused: {other:?}"),
    }
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let starts = |problem: String, start: &str| assert!(problem.starts_with(start), "{problem}");
    starts(
        problem(|config| config.packages.clear()),
        "verifier.android.packages: at least one",
    );
    starts(
        problem(|config| config.packages.push(config.packages[0].clone())),
        "verifier.android.packages.org.example.counting: the name is listed twice",
    );
    for digests in [
        vec![],
        vec!["5a".to_owned()],
        vec!["zz".repeat(32)],
        vec!["5a".repeat(33)],
    ] {
        starts(
            problem(|config| config.packages[0].signature_digests = digests),
            "verifier.android.packages.org.example.counting: signature-digests:",
        );
    }
    starts(
        problem(|config| config.challenge_late_minutes = 10_081),
        "verifier.android.challenge-late-minutes",
    );
}

#[test]
fn roots_have_to_be_certificates() {
    let world = World::new();
    let open = || AndroidVerifier::open(&world.config, world.folder.path(), "verifier.android");
    for text in [
        "",
        "nonsense",
        "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n",
    ] {
        std::fs::write(world.folder.path().join("roots.pem"), text).unwrap();
        assert!(matches!(open(), Err(Error::Setting(_))));
    }
    std::fs::remove_file(world.folder.path().join("roots.pem")).unwrap();
    assert!(matches!(open(), Err(Error::File(_))));
}

#[test]
fn several_roots_may_share_a_name() {
    let world = World::new();
    let other = Manufacturer::new(&PKCS_ECDSA_P384_SHA384);
    let both = format!("{}{}", other.root.pem(), world.manufacturer.root.pem());
    std::fs::write(world.folder.path().join("roots.pem"), both).unwrap();
    let verifier = world.verifier();
    for manufacturer in [&world.manufacturer, &other] {
        let mut report = manufacturer.attested(report(METRIC), NOON);
        assert_eq!(verified_day(&verifier, &report, NOON), Ok(DAY));
        report.certificate_chain.pop();
        assert_eq!(verified_day(&verifier, &report, NOON), Ok(DAY));
    }
}
