//! Certificates and signatures of an attestation. Only the phone whose key was certified may
//! attest.
//!
//! An input is the signature followed by the certificates, leaf first, each preceded by its length
//! in two bytes. The root in `world/` and the seeds were created once, by simulated phones like
//! those of the ingestor's own tests.

use crate::forge::brief;
use std::path::Path;
use std::sync::OnceLock;
use tallybox_ingestor::attestation::{AndroidVerifier, AttestedKey, Verifier as _};
use tallybox_ingestor::config::attestation::AndroidConfig;
use tallybox_model::header::PRIME;
use tallybox_model::report::ReportUpload;

/// Noon of the day for which the good phone's key is valid.
const NOON: i64 = DAY * 86_400_000 + 43_200_000;
const DAY: i64 = 20_767;
const GOOD: &[u8] = include_bytes!("../../seeds/attestation/good");

struct World {
    verifier: AndroidVerifier,
    good: AttestedKey,
}

pub fn run(data: &[u8]) {
    static WORLD: OnceLock<World> = OnceLock::new();
    let world = WORLD.get_or_init(World::new);
    match world.verifier.verify(&report(data), NOON) {
        Ok(attested) => assert_eq!(attested, world.good, "the phone's key is the only one that was certified"),
        Err(refusal) => brief(&refusal),
    }
}

impl World {
    fn new() -> Self {
        let config = serde_json::json!({
            "roots": "attestation-root.pem",
            "packages": [{"name": "org.example.counting", "signature-digests": ["5a".repeat(32)]}],
        });
        let config: AndroidConfig = serde_json::from_value(config).expect("a configuration of ours");
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("world");
        let verifier = AndroidVerifier::open(&config, &folder, "android").expect("a root of ours");
        let good = verifier.verify(&report(GOOD), NOON).expect("a good phone");
        assert_eq!(good.day, DAY);
        Self { verifier, good }
    }
}

/// Returns the phone's report with the attestation in the input.
fn report(mut data: &[u8]) -> ReportUpload {
    let mut parts = Vec::new();
    while let Some((length, rest)) = data.split_first_chunk::<2>() {
        let (part, rest) = rest.split_at(rest.len().min(u16::from_be_bytes(*length).into()));
        parts.push(part.to_vec());
        data = rest;
    }
    let mut parts = parts.into_iter();
    ReportUpload {
        metric: "metric-v1".to_owned(),
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
        signature: parts.next(),
        certificate_chain: parts.map(Into::into).collect(),
    }
}
