//! Hostile input: no panic, no acceptance, and no entry in the cache.

use proptest::prelude::*;

use super::*;

#[test]
fn a_report_cut_or_changed_anywhere_is_refused() {
    let world = World::new();
    let verifier = world.verifier();
    let good = world.good();
    assert_eq!(verified_day(&verifier, &good, NOON), Ok(DAY));
    for index in 0..good.certificate_chain.len() {
        for byte in 0..good.certificate_chain[index].len() {
            let mut cut = good.clone();
            cut.certificate_chain[index].truncate(byte);
            assert!(
                verified_day(&verifier, &cut, NOON).is_err(),
                "certificate {index} cut at {byte}"
            );
        }
    }
    // Only name and key of the root's certificate are compared, so the loop skips the root.
    for index in 0..good.certificate_chain.len() - 1 {
        for byte in (0..good.certificate_chain[index].len()).step_by(3) {
            let mut changed = good.clone();
            changed.certificate_chain[index][byte] ^= 0x41;
            assert!(
                verified_day(&verifier, &changed, NOON).is_err(),
                "certificate {index} changed at {byte}"
            );
        }
    }
    let signature = good.signature.clone().unwrap_or_default();
    for byte in 0..signature.len() {
        let mut changed = good.clone();
        changed.signature = Some(signature[..byte].to_vec());
        assert!(
            verified_day(&verifier, &changed, NOON).is_err(),
            "signature cut at {byte}"
        );
    }
    assert_eq!(verifier.issuers.len(), 2);
}

#[test]
fn a_key_description_cut_anywhere_is_none() {
    let whole = Description::good(METRIC, DAY).der();
    assert!(KeyDescription::parse(&whole).is_ok());
    for length in 0..whole.len() {
        assert!(
            KeyDescription::parse(&whole[..length]).is_err(),
            "cut at {length}"
        );
    }
}

#[test]
fn a_remembered_chain_expires_with_its_certificates() {
    let world = World::new();
    let middle = &world.manufacturer.middle;
    let batch = middle.below("batch", &PKCS_ECDSA_P256_SHA256, |params| {
        params.not_before = rcgen::date_time_ymd(2026, 11, 10);
        params.not_after = rcgen::date_time_ymd(2026, 11, 11);
    });
    let key = KeyPair::generate().unwrap();
    let leaf = batch.leaf(&key, &Description::good(METRIC, DAY), |_| ());
    let chain = vec![
        batch.der.clone(),
        middle.der.clone(),
        world.manufacturer.root.der.clone(),
    ];
    let report = sign(report(METRIC), &key, leaf, chain);
    let verifier = world.verifier();
    assert_eq!(verified_day(&verifier, &report, NOON), Ok(DAY));
    assert_eq!(verified_day(&verifier, &report, (DAY + 1) * DAYS), Ok(DAY));
    assert_eq!(
        verified_day(&verifier, &report, (DAY + 1) * DAYS + 1000),
        Err("expired")
    );
    assert_eq!(
        verified_day(&verifier, &report, DAY * DAYS - 1000),
        Err("not-yet-valid")
    );
    assert_eq!(verifier.issuers.len(), 2);
}

#[test]
fn what_is_remembered_is_bounded() {
    let world = World::new();
    let middle = &world.manufacturer.middle;
    let roots = [Root::parse(&world.manufacturer.root.der).unwrap()];
    let cache = IssuerCache::new(2);
    let seconds = (NOON / 1000).cast_unsigned();
    let batches: Vec<_> = (0..9)
        .map(|_| middle.below("batch", &PKCS_ECDSA_P256_SHA256, |_| ()).der)
        .collect();
    for batch in batches.iter().chain(&batches) {
        let chain = [batch.as_slice(), &middle.der];
        assert!(cache.find(&chain, &roots, seconds).is_ok());
        assert!(cache.len() <= 4);
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(KeyDescription::parse(&bytes).is_err());
        prop_assert!(Certificate::parse(&bytes).is_err());
    }

    #[test]
    fn changed_key_descriptions_never_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut bytes = Description::good(METRIC, DAY).der();
        for (index, byte) in changes {
            let index = index.index(bytes.len());
            bytes[index] = byte;
        }
        if let Ok(key) = KeyDescription::parse(&bytes) {
            let _ = (key.hardware.purposes(), key.hardware.origin(), key.hardware.root_of_trust().is_ok());
            let _ = (key.software.application_id().is_ok(), key.software.all_applications());
        }
    }
}
