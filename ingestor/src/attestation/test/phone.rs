//! Phones for tests: a manufacturer's certificate chain, a keystore's key description and a signed
//! report. Tests can falsify each of them.

#![allow(clippy::unwrap_used)]

use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SerialNumber, SignatureAlgorithm,
    SigningKey as _, date_time_ymd,
};
use tallybox_model::header::PRIME;
use tallybox_model::report::{ReportUpload, signed_bytes};

use crate::attestation::challenge::challenge;

/// The application that the tests accept.
pub(crate) const PACKAGE: &str = "org.example.counting";
/// SHA-256 of the certificate that signs the application.
pub(crate) const SIGNER: [u8; 32] = [0x5a; 32];
/// The metric of the tests' reports.
pub(crate) const METRIC: &str = "metric-v1";
/// 2026-11-10.
pub(crate) const DAY: i64 = 20_767;
/// Noon of that day.
pub(crate) const NOON: i64 = DAY * 86_400_000 + 43_200_000;

/// Android's extension for key descriptions.
pub(crate) const KEY_DESCRIPTION: &[u64] = &[1, 3, 6, 1, 4, 1, 11129, 2, 1, 17];

/// Returns a report without attestation.
pub(crate) fn report(metric: &str) -> ReportUpload {
    ReportUpload {
        metric: metric.to_owned(),
        id: "4d5f6b2e-1a53-4a0b-9a35-6a2b9f9d1c11".to_owned(),
        created: None,
        schema_version: 2,
        bins: 8,
        epsilon: 8.0,
        prime: PRIME,
        number_of_servers: 2,
        hamming_weight: None,
        key_id_first: "first".to_owned(),
        payload_first: vec![1; 177],
        key_id_second: "second".to_owned(),
        payload_second: vec![2; 113],
        signature: None,
        certificate_chain: Vec::new(),
    }
}

/// A certificate that issues others, with its key.
pub(crate) struct Authority {
    pub(crate) der: Vec<u8>,
    pub(crate) key: KeyPair,
    params: CertificateParams,
}

impl Authority {
    /// Creates a self-signed authority.
    pub(crate) fn root(name: &str, algorithm: &'static SignatureAlgorithm) -> Self {
        Self::signing_as(name, KeyPair::generate_for(algorithm).unwrap())
    }

    /// Creates an authority with this name and key. Its own certificate is self-signed.
    pub(crate) fn signing_as(name: &str, key: KeyPair) -> Self {
        let params = authority(name);
        let der = params.self_signed(&key).unwrap().der().to_vec();
        Self { der, key, params }
    }

    /// Returns a certificate for the same name and key that expires at the end of a year.
    pub(crate) fn reissued(&self, year: i32) -> Vec<u8> {
        let mut params = self.params.clone();
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(year, 12, 31);
        params.self_signed(&self.key).unwrap().der().to_vec()
    }

    /// Issues a valid authority below this one, except for the changes by `spoil`.
    pub(crate) fn below(
        &self,
        name: &str,
        algorithm: &'static SignatureAlgorithm,
        spoil: impl FnOnce(&mut CertificateParams),
    ) -> Self {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let mut params = authority(name);
        spoil(&mut params);
        let der = params
            .signed_by(&key, &self.issuer())
            .unwrap()
            .der()
            .to_vec();
        Self { der, key, params }
    }

    /// Issues a leaf for a key as a keystore does, except for the changes by `spoil`.
    pub(crate) fn leaf(
        &self,
        key: &KeyPair,
        description: &Description,
        spoil: impl FnOnce(&mut CertificateParams),
    ) -> Vec<u8> {
        let mut params = named("Android Keystore Key");
        // The validity period that a Pixel's StrongBox writes.
        params.not_before = date_time_ymd(2001, 5, 14);
        params.not_after = date_time_ymd(2001, 7, 15);
        params.serial_number = Some(SerialNumber::from_slice(&[1]));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.custom_extensions = vec![description.extension()];
        spoil(&mut params);
        params
            .signed_by(key, &self.issuer())
            .unwrap()
            .der()
            .to_vec()
    }

    fn issuer(&self) -> Issuer<'_, &KeyPair> {
        Issuer::from_params(&self.params, &self.key)
    }

    /// Returns the certificate in PEM.
    pub(crate) fn pem(&self) -> String {
        use base64ct::{Base64, Encoding as _};
        let text = Base64::encode_string(&self.der);
        let lines: Vec<&str> = text
            .as_bytes()
            .chunks(64)
            .map(|line| str::from_utf8(line).unwrap())
            .collect();
        format!(
            "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
            lines.join("\n")
        )
    }
}

fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn authority(name: &str) -> CertificateParams {
    let mut params = named(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2040, 1, 1);
    params
}

/// A root, an authority of the manufacturer, and an authority for a production batch of phones.
pub(crate) struct Manufacturer {
    pub(crate) root: Authority,
    pub(crate) middle: Authority,
    pub(crate) batch: Authority,
}

impl Manufacturer {
    /// Creates a manufacturer whose authorities use this algorithm; the authority of the production
    /// batch uses P-256.
    pub(crate) fn new(algorithm: &'static SignatureAlgorithm) -> Self {
        let root = Authority::root("root", algorithm);
        let middle = root.below("middle", algorithm, |params| {
            params.serial_number = Some(SerialNumber::from_slice(&[0x0a, 0xbc]));
        });
        let batch = middle.below("batch", &PKCS_ECDSA_P256_SHA256, |params| {
            params.serial_number = Some(SerialNumber::from_slice(&[0x12, 0x34, 0x56]));
        });
        Self {
            root,
            middle,
            batch,
        }
    }

    /// Returns the certificates above a leaf.
    pub(crate) fn chain(&self) -> Vec<Vec<u8>> {
        vec![
            self.batch.der.clone(),
            self.middle.der.clone(),
            self.root.der.clone(),
        ]
    }

    /// Returns a report of a new phone with a valid attestation at this time.
    pub(crate) fn attested(&self, report: ReportUpload, now: i64) -> ReportUpload {
        let key = KeyPair::generate().unwrap();
        let description = Description::good(&report.metric, now.div_euclid(86_400_000));
        let leaf = self.batch.leaf(&key, &description, |_| ());
        sign(report, &key, leaf, self.chain())
    }
}

/// Signs a report and attaches the certificates.
pub(crate) fn sign(
    mut report: ReportUpload,
    key: &KeyPair,
    leaf: Vec<u8>,
    chain: Vec<Vec<u8>>,
) -> ReportUpload {
    report.signature = Some(key.sign(&signed_bytes(&report).unwrap()).unwrap());
    report.certificate_chain = std::iter::once(leaf).chain(chain).map(Into::into).collect();
    report
}

/// A keystore's description of a key.
#[derive(Clone)]
pub(crate) struct Description {
    pub(crate) attestation_level: u8,
    pub(crate) key_level: u8,
    pub(crate) challenge: Vec<u8>,
    pub(crate) packages: Vec<&'static str>,
    pub(crate) signers: Vec<Vec<u8>>,
    pub(crate) purposes: Vec<u8>,
    pub(crate) origin: Option<u8>,
    pub(crate) root_of_trust: Option<(bool, u8)>,
    /// Further entries of the two lists.
    pub(crate) software: Vec<Vec<u8>>,
    pub(crate) hardware: Vec<Vec<u8>>,
}

impl Description {
    /// Creates the description that a good phone's trusted environment produces.
    pub(crate) fn good(metric: &str, day: i64) -> Self {
        Self {
            attestation_level: 1,
            key_level: 1,
            challenge: challenge(PACKAGE, metric, day).unwrap().to_vec(),
            packages: vec![PACKAGE],
            signers: vec![SIGNER.to_vec()],
            purposes: vec![2, 3],
            origin: Some(0),
            root_of_trust: Some((true, 0)),
            software: Vec::new(),
            hardware: Vec::new(),
        }
    }

    /// Returns the certificate extension.
    pub(crate) fn extension(&self) -> CustomExtension {
        CustomExtension::from_oid_content(KEY_DESCRIPTION, self.der())
    }

    /// Returns the description in DER.
    pub(crate) fn der(&self) -> Vec<u8> {
        let mut software = vec![explicit(701, &integer(5))];
        if !self.packages.is_empty() {
            software.push(explicit(709, &octets(&self.application_id())));
        }
        software.extend(self.software.iter().cloned());
        let purposes: Vec<Vec<u8>> = self
            .purposes
            .iter()
            .map(|purpose| integer(*purpose))
            .collect();
        let mut hardware = vec![
            explicit(1, &tlv(0x31, &purposes.concat())),
            explicit(503, &[0x05, 0]),
        ];
        hardware.extend(self.origin.map(|origin| explicit(702, &integer(origin))));
        hardware.extend(self.root_of_trust.map(|(locked, state)| {
            let boolean = tlv(0x01, &[if locked { 0xff } else { 0 }]);
            let parts = [
                octets(&[7; 32]),
                boolean,
                tlv(0x0a, &[state]),
                octets(&[8; 32]),
            ];
            explicit(704, &tlv(0x30, &parts.concat()))
        }));
        hardware.extend(self.hardware.iter().cloned());
        let parts = [
            integer(100),
            tlv(0x0a, &[self.attestation_level]),
            integer(100),
            tlv(0x0a, &[self.key_level]),
            octets(&self.challenge),
            octets(&[]),
            tlv(0x30, &software.concat()),
            tlv(0x30, &hardware.concat()),
        ];
        tlv(0x30, &parts.concat())
    }

    fn application_id(&self) -> Vec<u8> {
        let package = |name: &&str| tlv(0x30, &[octets(name.as_bytes()), integer(3)].concat());
        let packages: Vec<Vec<u8>> = self.packages.iter().map(package).collect();
        let signers: Vec<Vec<u8>> = self.signers.iter().map(|signer| octets(signer)).collect();
        let parts = [tlv(0x31, &packages.concat()), tlv(0x31, &signers.concat())];
        tlv(0x30, &parts.concat())
    }
}

/// Encodes a value in DER.
pub(crate) fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    [&[tag][..], &length(content.len()), content].concat()
}

/// Encodes a small number.
pub(crate) fn integer(value: u8) -> Vec<u8> {
    tlv(0x02, &[value])
}

/// Encodes an OCTET STRING.
pub(crate) fn octets(content: &[u8]) -> Vec<u8> {
    tlv(0x04, content)
}

/// Encodes an explicitly tagged value with a tag number of at most 16383.
pub(crate) fn explicit(number: u16, content: &[u8]) -> Vec<u8> {
    let tag = match number {
        0..=30 => vec![0xa0 | number as u8],
        31..=127 => vec![0xbf, number as u8],
        _ => vec![0xbf, 0x80 | (number >> 7) as u8, (number & 0x7f) as u8],
    };
    [&tag[..], &length(content.len()), content].concat()
}

fn length(length: usize) -> Vec<u8> {
    match length {
        0..=127 => vec![length as u8],
        128..=255 => vec![0x81, length as u8],
        _ => vec![0x82, (length >> 8) as u8, length as u8],
    }
}
