//! Test cases for each reason to reject an attestation.

use std::collections::BTreeSet;

use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, IsCa, KeyUsagePurpose, PKCS_ED25519,
    SignatureAlgorithm, date_time_ymd,
};

use super::*;
use crate::attestation::test::phone::{Authority, explicit, integer, octets};

type Spoil = fn(&mut CertificateParams);
type Describe = fn(&mut Description);
type Change = fn(&mut ReportUpload);

impl World {
    /// Returns a report with a falsified leaf.
    fn leaf(&self, spoil: Spoil) -> ReportUpload {
        let key = KeyPair::generate().unwrap();
        let description = Description::good(METRIC, DAY);
        let leaf = self.manufacturer.batch.leaf(&key, &description, spoil);
        sign(report(METRIC), &key, leaf, self.manufacturer.chain())
    }

    /// Returns a report whose leaf was issued by a falsified authority below the manufacturer's.
    fn authority(&self, algorithm: &'static SignatureAlgorithm, spoil: Spoil) -> ReportUpload {
        let middle = &self.manufacturer.middle;
        let batch = middle.below("batch", algorithm, spoil);
        let chain = vec![
            batch.der.clone(),
            middle.der.clone(),
            self.manufacturer.root.der.clone(),
        ];
        self.issued_by(&batch, chain)
    }

    fn issued_by(&self, issuer: &Authority, chain: Vec<Vec<u8>>) -> ReportUpload {
        let key = KeyPair::generate().unwrap();
        let leaf = issuer.leaf(&key, &Description::good(METRIC, DAY), |_| ());
        sign(report(METRIC), &key, leaf, chain)
    }
}

fn cases(world: &World) -> Vec<(Reason, ReportUpload)> {
    let mut cases = reports(world);
    cases.extend(chains(world));
    cases.extend(authorities(world));
    cases.extend(leaves(world));
    cases.extend(descriptions(world));
    cases
}

/// Reports that differ from the signed one.
fn reports(world: &World) -> Vec<(Reason, ReportUpload)> {
    let changed: [(Reason, Change); 14] = [
        (Reason::SchemaVersion, |report| report.schema_version = 3),
        (Reason::SignatureForm, |report| {
            report.signature = None;
            report.certificate_chain.clear();
        }),
        (Reason::SignatureForm, |report| report.signature = None),
        (Reason::SignatureForm, |report| {
            report.signature = Some(Vec::new())
        }),
        (Reason::SignatureForm, |report| {
            report.signature = Some(vec![0x30; 81])
        }),
        (Reason::ReportSignature, |report| {
            report.signature = Some(vec![0x30; 70])
        }),
        (Reason::ReportSignature, |report| {
            report.payload_second[0] ^= 1
        }),
        (Reason::ReportSignature, |report| report.epsilon = 9.0),
        (Reason::ReportSignature, |report| report.schema_version = 1),
        (Reason::ReportSignature, |report| {
            report.hamming_weight = Some(1)
        }),
        (Reason::ReportSignature, |report| {
            report.id = report.id.to_uppercase()
        }),
        (Reason::Challenge, |report| {
            "metric-v2".clone_into(&mut report.metric)
        }),
        (Reason::ChainLength, |report| {
            report.certificate_chain.clear()
        }),
        (Reason::ChainLength, |report| {
            report.certificate_chain.truncate(1)
        }),
    ];
    let changed = changed.map(|(reason, change)| {
        let mut report = world.good();
        change(&mut report);
        (reason, report)
    });
    let mut cases = Vec::from(changed);
    let (mut first, second) = (world.good(), world.good());
    first.signature = second.signature;
    cases.push((Reason::ReportSignature, first));
    cases
}

/// Chains with other certificates, or in another order.
fn chains(world: &World) -> Vec<(Reason, ReportUpload)> {
    let changed: [(Reason, Change); 9] = [
        (Reason::ChainLength, |report| {
            let root = report.certificate_chain[3].clone();
            report.certificate_chain.resize(11, root);
        }),
        (Reason::ChainSize, |report| {
            report.certificate_chain[0].resize(4097, 0)
        }),
        (Reason::ChainSize, |report| {
            report.certificate_chain[2].resize(4097, 0)
        }),
        (Reason::ChainSize, |report| {
            report.certificate_chain = vec![vec![0x30; 4096].into(); 5]
        }),
        (Reason::ChainParse, |report| {
            report.certificate_chain[0].push(0)
        }),
        (Reason::ChainParse, |report| {
            report.certificate_chain[2].clear()
        }),
        (Reason::UnknownRoot, |report| {
            report.certificate_chain.truncate(2)
        }),
        (Reason::ChainOrder, |report| {
            report.certificate_chain.remove(1);
        }),
        (Reason::ChainOrder, |report| {
            report.certificate_chain.remove(2);
        }),
    ];
    let changed = changed.map(|(reason, change)| {
        let mut report = world.good();
        change(&mut report);
        (reason, report)
    });
    let mut cases = Vec::from(changed);

    // A manufacturer with the same names, but with different keys.
    let forger = Manufacturer::new(&PKCS_ECDSA_P384_SHA384);
    let (root, middle, batch) = (
        &world.manufacturer.root,
        &world.manufacturer.middle,
        &forger.batch,
    );
    cases.push((
        Reason::ChainSignature,
        forger.attested(report(METRIC), NOON),
    ));
    let ours = vec![
        forger.batch.der.clone(),
        forger.middle.der.clone(),
        root.der.clone(),
    ];
    cases.push((Reason::ChainSignature, world.issued_by(batch, ours)));
    let ours = vec![forger.batch.der.clone(), forger.middle.der.clone()];
    cases.push((Reason::ChainSignature, world.issued_by(batch, ours)));
    let ours = vec![
        forger.batch.der.clone(),
        middle.der.clone(),
        root.der.clone(),
    ];
    cases.push((Reason::ChainSignature, world.issued_by(batch, ours)));
    cases.push((
        Reason::ChainSignature,
        world.issued_by(batch, world.manufacturer.chain()),
    ));
    let mut flipped = world.good();
    *flipped.certificate_chain[0].last_mut().unwrap() ^= 1;
    cases.push((Reason::ChainSignature, flipped));

    // A self-signed leaf.
    let alone = Authority::root("Android Keystore Key", &PKCS_ECDSA_P256_SHA256);
    let leaf = alone.leaf(&alone.key, &Description::good(METRIC, DAY), |_| ());
    let report = sign(report(METRIC), &alone.key, leaf.clone(), vec![leaf]);
    cases.push((Reason::ExtensionInIssuer, report));
    cases.push((
        Reason::UnknownRoot,
        world.issued_by(&alone, vec![alone.der.clone()]),
    ));
    cases
}

/// Chains with an invalid authority.
fn authorities(world: &World) -> Vec<(Reason, ReportUpload)> {
    let spoiled: [(Reason, Spoil); 7] = [
        (Reason::Expired, |params| {
            params.not_after = date_time_ymd(2026, 11, 10)
        }),
        (Reason::NotYetValid, |params| {
            params.not_before = date_time_ymd(2026, 11, 11)
        }),
        (Reason::NotAnIssuer, |params| params.is_ca = IsCa::NoCa),
        (Reason::NotAnIssuer, |params| {
            params.is_ca = IsCa::ExplicitNoCa
        }),
        (Reason::NotAnIssuer, |params| {
            params.key_usages = vec![KeyUsagePurpose::DigitalSignature]
        }),
        (Reason::CriticalExtension, |params| {
            params.custom_extensions = vec![strange()]
        }),
        (Reason::ExtensionInIssuer, |params| {
            params.custom_extensions = vec![Description::good(METRIC, DAY).extension()];
        }),
    ];
    let spoiled =
        spoiled.map(|(reason, spoil)| (reason, world.authority(&PKCS_ECDSA_P256_SHA256, spoil)));
    let mut cases = Vec::from(spoiled);
    cases.push((Reason::Algorithm, world.authority(&PKCS_ED25519, |_| ())));

    let root = &world.manufacturer.root;
    let short = root.below("middle", &PKCS_ECDSA_P256_SHA256, |params| {
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    });
    let batch = short.below("batch", &PKCS_ECDSA_P256_SHA256, |_| ());
    let chain = vec![batch.der.clone(), short.der.clone(), root.der.clone()];
    cases.push((Reason::PathLength, world.issued_by(&batch, chain)));

    let distant = root.below("distant", &PKCS_ECDSA_P256_SHA256, |params| {
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(1));
    });
    // The lower authority allows more than the upper one: the smaller limit applies.
    let middle = distant.below("middle", &PKCS_ECDSA_P256_SHA256, |params| {
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(5));
    });
    let batch = middle.below("batch", &PKCS_ECDSA_P256_SHA256, |_| ());
    let chain = [&batch, &middle, &distant, root].map(|authority| authority.der.clone());
    cases.push((Reason::PathLength, world.issued_by(&batch, chain.to_vec())));

    // The known attack: the attested key of a phone, which signs anything for its owner, acts as an
    // authority.
    let key = KeyPair::generate().unwrap();
    let attested = world
        .manufacturer
        .batch
        .leaf(&key, &Description::good(METRIC, DAY), |_| ());
    let own = Authority::signing_as("Android Keystore Key", key);
    let chain = [vec![attested], world.manufacturer.chain()].concat();
    cases.push((Reason::ExtensionInIssuer, world.issued_by(&own, chain)));
    cases
}

/// Invalid certificates of the attested key.
fn leaves(world: &World) -> Vec<(Reason, ReportUpload)> {
    let spoiled: [(Reason, Spoil); 8] = [
        (Reason::ExtensionMissing, |params| {
            params.custom_extensions.clear()
        }),
        (Reason::ExtensionRepeated, |params| {
            params
                .custom_extensions
                .push(Description::good("other", DAY).extension());
        }),
        (Reason::CriticalExtension, |params| {
            params.custom_extensions.push(strange())
        }),
        (Reason::LeafUsage, |params| {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)
        }),
        (Reason::LeafUsage, |params| {
            params.key_usages = vec![KeyUsagePurpose::KeyAgreement]
        }),
        (Reason::LeafUsage, |params| {
            params.key_usages.push(KeyUsagePurpose::KeyCertSign)
        }),
        (Reason::KeyDescription, |params| {
            params.custom_extensions = vec![description(&[])]
        }),
        (Reason::KeyDescription, |params| {
            let mut der = Description::good(METRIC, DAY).der();
            der.push(0);
            params.custom_extensions = vec![description(&der)];
        }),
    ];
    let mut cases = Vec::from(spoiled.map(|(reason, spoil)| (reason, world.leaf(spoil))));
    let key = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
    let leaf = world
        .manufacturer
        .batch
        .leaf(&key, &Description::good(METRIC, DAY), |_| ());
    let mut other_curve = sign(report(METRIC), &key, leaf, world.manufacturer.chain());
    // A P-384 signature would exceed the size limit, which is checked first.
    other_curve.signature = Some(vec![0x30; 70]);
    cases.push((Reason::LeafKey, other_curve));
    cases
}

/// Invalid key descriptions.
fn descriptions(world: &World) -> Vec<(Reason, ReportUpload)> {
    let described: [(Reason, Describe); 31] = [
        (Reason::SecurityLevel, |key| key.attestation_level = 0),
        (Reason::SecurityLevel, |key| key.key_level = 0),
        (Reason::KeyDescription, |key| key.key_level = 3),
        (Reason::KeyOrigin, |key| key.origin = None),
        (Reason::KeyOrigin, |key| key.origin = Some(2)),
        (Reason::KeyOrigin, |key| {
            key.origin = None;
            key.software.push(explicit(702, &integer(0)));
        }),
        (Reason::KeyPurpose, |key| key.purposes = vec![3]),
        (Reason::KeyPurpose, |key| key.purposes.clear()),
        (Reason::KeyDescription, |key| key.purposes = vec![2; 33]),
        (Reason::RootOfTrust, |key| key.root_of_trust = None),
        (Reason::DeviceUnlocked, |key| {
            key.root_of_trust = Some((false, 0))
        }),
        (Reason::BootState, |key| key.root_of_trust = Some((true, 1))),
        (Reason::BootState, |key| key.root_of_trust = Some((true, 2))),
        (Reason::BootState, |key| key.root_of_trust = Some((true, 3))),
        (Reason::KeyDescription, |key| {
            key.root_of_trust = Some((true, 4))
        }),
        (Reason::ApplicationId, |key| key.packages.clear()),
        (Reason::ApplicationId, |key| key.signers.clear()),
        (Reason::ApplicationId, |key| {
            key.software.push(explicit(600, &[0x05, 0]))
        }),
        (Reason::ApplicationId, |key| {
            key.hardware.push(explicit(600, &[0x05, 0]))
        }),
        (Reason::ApplicationId, |key| {
            let none = tlv(0x30, &[tlv(0x31, &[]), tlv(0x31, &[])].concat());
            key.hardware.push(explicit(709, &octets(&none)));
        }),
        (Reason::Package, |key| key.packages = vec!["org.example"]),
        (Reason::Package, |key| {
            key.packages = vec!["org.example.counting2"]
        }),
        (Reason::PackageSignature, |key| {
            key.signers = vec![vec![0x5b; 32]]
        }),
        (Reason::PackageSignature, |key| {
            key.signers = vec![SIGNER[..31].to_vec()]
        }),
        (Reason::Challenge, |key| key.challenge.clear()),
        (Reason::Challenge, |key| key.challenge.truncate(31)),
        (Reason::Challenge, |key| {
            *key = Description::good(METRIC, DAY - 1)
        }),
        (Reason::Challenge, |key| {
            *key = Description::good("metric-v2", DAY)
        }),
        // A repeated entry, an invalid entry, and too many entries.
        (Reason::KeyDescription, |key| {
            key.hardware.push(explicit(702, &integer(0)))
        }),
        (Reason::KeyDescription, |key| key.hardware.push(integer(0))),
        (Reason::KeyDescription, |key| {
            key.software = (1000..1100).map(|tag| explicit(tag, &[0x05, 0])).collect();
        }),
    ];
    Vec::from(described.map(|(reason, describe)| (reason, world.described(describe))))
}

fn strange() -> CustomExtension {
    let mut extension = CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![0x05, 0]);
    extension.set_criticality(true);
    extension
}

fn description(der: &[u8]) -> CustomExtension {
    let oid = crate::attestation::test::phone::KEY_DESCRIPTION;
    CustomExtension::from_oid_content(oid, der.to_vec())
}

#[test]
fn every_bad_report_is_refused_for_its_reason() {
    let world = World::new();
    let verifier = world.verifier();
    let mut covered = BTreeSet::new();
    for (index, (reason, report)) in cases(&world).into_iter().enumerate() {
        assert_eq!(
            verified_day(&verifier, &report, NOON),
            Err(reason.as_str()),
            "case {index}"
        );
        // A rejected chain is not added to the cache.
        assert_eq!(
            verified_day(&verifier, &report, NOON),
            Err(reason.as_str()),
            "case {index}, again"
        );
        covered.insert(reason.as_str());
    }
    // The tests of the revocation list cover these two reasons.
    covered.extend([Reason::Revoked.as_str(), Reason::RevocationUnknown.as_str()]);
    let all: BTreeSet<&str> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
    assert_eq!(covered, all);
    assert_eq!(verified_day(&verifier, &world.good(), NOON), Ok(DAY));
}
