//! The worked example of `docs/clients.md` in numbers: computed from its inputs, compared with
//! `testdata/`, and searched in the text.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod vector_keys;

use std::convert::Infallible;
use std::path::Path;

use aws_lc_rs::agreement::{ECDH_P256, PrivateKey, UnparsedPublicKey, agree};
use rand::{TryCryptoRng, TryRng};
use serde_json::{Value as Json, json};
use sha2::{Digest as _, Sha256};
use tallybox_client::{Encoding, EncryptedShare, RandomisedResponse, Report, Value};
use tallybox_crypto::prio2::{MODULUS, Prio2, Randomness};
use tallybox_crypto::{PacketPrivateKey, SigningKey, ecies, jws};
use tallybox_model::avro::{RecordKind, encode_one};
use tallybox_model::client_config::{
    AttestationPolicy, CLIENT_CONFIG_TYPE, ClientConfig, ClientKey, ClientLimits, ClientMetric,
};
use tallybox_model::header::PRIME;
use tallybox_model::id::PacketId;
use tallybox_model::registry::{EncodingKind, MetricEncoding};
use tallybox_model::report::json::{JsonReport, JsonReports};
use tallybox_model::report::{
    ProblemKind, ReportResult, ReportUpload, ReportsAnswer, signed_bytes,
};
use vector_keys::{SIGNING, compare, hex};

const LOCALITY: &str = "us-ca";
const KEY_IDS: [&str; 2] = ["health-authority-1", "facilitator-1"];
/// Scalars of the keys: one byte, 32 times.
const SCALARS: [u8; 2] = [0x11, 0x33];
const EPHEMERALS: [u8; 2] = [0x22, 0x44];
/// The random numbers of the noise. The third one is below the threshold, so the third bin is
/// flipped.
const DRAWS: [u64; 3] = [
    0x8000_0000_0000_0000,
    0xfedc_ba98_7654_3210,
    0x0123_4567_89ab_cdef,
];
const RANDOMNESS: (u32, u32) = (123_456_789, 987_654_321);
const ID_BYTES: [u8; 16] = *b"\x00\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff";
const ID: &str = "00112233-4455-4677-8899-aabbccddeeff";
/// 2026-11-23T10:15:00Z.
const CREATED: i64 = 1_795_428_900_000;

fn packet_key(index: usize) -> PacketPrivateKey {
    vector_keys::packet_key(SCALARS[index])
}

fn signing_key() -> SigningKey {
    vector_keys::signing_key(SIGNING)
}

/// A random generator that returns given numbers and nothing else.
struct Scripted(std::vec::IntoIter<u64>);

impl TryRng for Scripted {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        unreachable!("noise takes 64 bits a bin")
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.0.next().unwrap())
    }

    fn try_fill_bytes(&mut self, _: &mut [u8]) -> Result<(), Infallible> {
        unreachable!("noise takes 64 bits a bin")
    }
}

impl TryCryptoRng for Scripted {}

fn metric() -> ClientMetric {
    ClientMetric {
        name: "example-v1".to_owned(),
        encoding: MetricEncoding {
            kind: EncodingKind::Histogram,
            bins: 3,
            labels: ["no", "yes", "not sure"].map(str::to_owned).to_vec(),
            groups: Vec::new(),
            bits: None,
        },
        epsilon: 2.0,
        prime: PRIME,
        number_servers: 2,
        hamming_weight: None,
        cadence_hours: 24,
        sampling: 1.0,
        processors: [0, 1].map(|index| ClientKey {
            encryption_key_id: KEY_IDS[index].to_owned(),
            public_key: packet_key(index).public().to_x962_base64(),
            bins: 3,
        }),
    }
}

fn config() -> ClientConfig {
    ClientConfig {
        format: ClientConfig::FORMAT,
        locality: LOCALITY.to_owned(),
        ingestor: "example".to_owned(),
        issued: "2026-11-23T10:00:00Z".to_owned(),
        expires: "2026-11-30T10:00:00Z".to_owned(),
        registry_version: 7,
        schema_version: 2,
        metrics: vec![metric()],
        limits: ClientLimits {
            max_body_bytes: 8 << 20,
            max_reports: 10_000,
            max_age_seconds: 172_800,
            max_ahead_seconds: 900,
        },
        attestation: AttestationPolicy::Optional,
    }
}

/// Seals a share with another library's key agreement, and returns the intermediate values.
fn seal(index: usize, share: &[u8]) -> (EncryptedShare, Json) {
    let private = packet_key(index);
    let scalar = [EPHEMERALS[index]; 32];
    let payload = ecies::seal_with_ephemeral(private.public(), share, &scalar).unwrap();
    let ephemeral = PrivateKey::from_private_key(&ECDH_P256, &scalar).unwrap();
    let point = ephemeral.compute_public_key().unwrap();
    let recipient = UnparsedPublicKey::new(&ECDH_P256, private.public().as_bytes());
    let shared = agree(&ephemeral, recipient, (), |shared| Ok(shared.to_vec())).unwrap();
    let derived = Sha256::new()
        .chain_update(&shared)
        .chain_update([0, 0, 0, 1])
        .chain_update(point.as_ref())
        .finalize();
    let mut opened = Vec::new();
    assert_eq!(private.open(&payload, &mut opened).unwrap(), share);
    let description = json!({
        "keyId": KEY_IDS[index],
        "recipientScalar": hex(&[SCALARS[index]; 32]),
        "recipient": hex(private.public().as_bytes()),
        "ephemeralScalar": hex(&scalar),
        "ephemeral": hex(point.as_ref()),
        "z": hex(&shared),
        "aesKey": hex(&derived[..16]),
        "nonce": hex(&derived[16..]),
        "ciphertextAndTag": hex(&payload[65..]),
        "payload": hex(&payload),
    });
    let key_id = Some(KEY_IDS[index].to_owned());
    (EncryptedShare { payload, key_id }, description)
}

/// All intermediate values of the example.
struct Example {
    vectors: Json,
    body: String,
    bodies: String,
    avro: Vec<u8>,
    document: String,
}

fn example() -> Example {
    let metric = metric();
    let encoding = Encoding::from(&metric.encoding);
    let bits = encoding.encode(&Value::Bucket(1)).unwrap();
    let noise = RandomisedResponse::new(metric.epsilon).unwrap();
    let noisy = noise.randomise(&bits, &mut Scripted(DRAWS.to_vec().into_iter()));
    // 2^64 is exact and the product is rounded once, so clients in all languages compute the same
    // value.
    let threshold = (noise.flip_probability() * 18_446_744_073_709_551_616.0).round() as u64;
    let expected: Vec<bool> = bits
        .iter()
        .zip(DRAWS)
        .map(|(bit, draw)| bit ^ (draw < threshold))
        .collect();
    assert_eq!(noisy, expected);

    let seed: Vec<u8> = (0..32).collect();
    let randomness = Randomness {
        seed: seed.clone().try_into().unwrap(),
        f0: RANDOMNESS.0,
        g0: RANDOMNESS.1,
    };
    let prio2 = Prio2::new(encoding.bins()).unwrap();
    let shares = prio2.split(&noisy, &randomness).unwrap();
    let mut generator = Vec::new();
    prio2
        .decode_share(1, &shares.second, &mut generator)
        .unwrap();
    let mut first = Vec::new();
    prio2.decode_share(0, &shares.first, &mut first).unwrap();
    let add = |(one, two): (&u32, &u32)| {
        ((u64::from(*one) + u64::from(*two)) % u64::from(MODULUS)) as u32
    };
    let proof: Vec<u32> = first.iter().zip(&generator).map(add).collect();

    let (first_share, first_description) = seal(0, &shares.first);
    let (second_share, second_description) = seal(1, &shares.second);
    let report = Report {
        id: ID.parse::<PacketId>().unwrap(),
        shares: vec![first_share, second_share],
    };
    let upload = report.into_upload(&metric, 2, Some(CREATED));
    let number = |bits: &[bool]| bits.iter().map(|bit| u8::from(*bit)).collect::<Vec<_>>();
    let (payload, document) = sign();
    let vectors = json!({
        "encode": {"answer": "yes", "bucket": 1, "bins": number(&bits)},
        "randomise": {
            "epsilon": metric.epsilon,
            "flipProbability": noise.flip_probability(),
            "threshold": format!("{threshold:016x}"),
            "draws": DRAWS.map(|draw| format!("{draw:016x}")),
            "bins": number(&noisy),
        },
        "split": {
            "seed": hex(&seed), "f0": randomness.f0, "g0": randomness.g0,
            "proof": proof, "generator": generator, "firstElements": first,
            "first": hex(&shares.first), "second": hex(&shares.second),
        },
        "seal": {"first": first_description, "second": second_description},
        "report": {
            "idBytes": hex(&ID_BYTES), "id": ID, "created": CREATED,
            "signedBytes": hex(&signed_bytes(&upload).unwrap()),
            "avroMarker": hex(&marker()),
            "avro": hex(&encode_one(&upload, marker()).unwrap()),
        },
        "config": {
            "keyId": "config-1",
            "signingScalar": hex(&[SIGNING; 32]),
            "signingPublic": hex(signing_key().verifying_key().as_bytes()),
            "signingPublicPem": signing_key().verifying_key().to_spki_pem(),
            "payload": payload,
        },
        "answers": answers(),
    });
    Example {
        body: serde_json::to_string(&JsonReport::from(upload.clone())).unwrap(),
        bodies: serde_json::to_string(&JsonReports {
            reports: vec![
                JsonReport::from(upload.clone()),
                JsonReport::from(renamed(upload.clone())),
            ],
        })
        .unwrap(),
        avro: encode_one(&upload, marker()).unwrap(),
        vectors,
        document,
    }
}

/// Returns the same report for a metric that does not exist.
fn renamed(upload: ReportUpload) -> ReportUpload {
    ReportUpload {
        metric: "other-v1".to_owned(),
        id: "11112222-3333-4444-8555-666677778888".to_owned(),
        ..upload
    }
}

fn marker() -> [u8; 16] {
    std::array::from_fn(|index| index as u8)
}

/// Returns the configuration's payload and the signed document.
fn sign() -> (String, String) {
    let payload = serde_json::to_string(&config()).unwrap();
    let document = jws::sign(
        payload.as_bytes(),
        CLIENT_CONFIG_TYPE,
        "config-1",
        &signing_key(),
    )
    .unwrap();
    let public = signing_key().verifying_key();
    let opened = jws::verify(&document, CLIENT_CONFIG_TYPE, |_| Some(&public)).unwrap();
    assert_eq!(opened, payload.as_bytes());
    (payload, String::from_utf8(document).unwrap())
}

fn answers() -> Json {
    let accepted = || ReportResult::accepted(ID.to_owned(), false);
    let detail = "the registry has no metric \"other-v1\"";
    let rejected = ReportResult::rejected(renamed_id(), ProblemKind::UnknownMetric, detail);
    let many: ReportsAnswer = [accepted(), rejected].into_iter().collect();
    let problem = ProblemKind::OutdatedKey.problem(
        "key ids \"health-authority-0\" and \"facilitator-1\" are not a pair in use; for metric example-v1 the \
         configuration names \"health-authority-1\" and \"facilitator-1\"",
    );
    // In the form that is sent, with the members in their order.
    json!({
        "accepted": serde_json::to_string(&accepted()).unwrap(),
        "alreadyAccepted": serde_json::to_string(&ReportResult::accepted(ID.to_owned(), true)).unwrap(),
        "problem": serde_json::to_string(&problem).unwrap(),
        "many": serde_json::to_string(&many).unwrap(),
    })
}

fn renamed_id() -> String {
    "11112222-3333-4444-8555-666677778888".to_owned()
}

#[test]
fn the_vectors_are_made_again_to_the_byte() {
    let example = example();
    let files = [
        (
            "vectors.json",
            format!("{:#}\n", example.vectors).into_bytes(),
        ),
        ("report.json", example.body.into_bytes()),
        ("reports.json", example.bodies.into_bytes()),
        ("report.avro", example.avro),
        ("config.jose.json", example.document.into_bytes()),
    ];
    let differing: Vec<_> = files
        .iter()
        .filter(|(name, now)| std::panic::catch_unwind(|| compare(name, now)).is_err())
        .map(|(name, _)| *name)
        .collect();
    assert_eq!(differing, [""; 0]);
}

fn bare(text: &str) -> String {
    text.chars()
        .filter(|character| !character.is_whitespace())
        .collect()
}

fn page() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/clients.md"))
        .unwrap()
}

/// Collects all texts of a document that the documentation should contain, and all rows of numbers.
fn facts(value: &Json, out: &mut Vec<String>) {
    match value {
        Json::String(text) => out.push(text.clone()),
        Json::Array(items) if items.iter().all(Json::is_number) => {
            let numbers: Vec<String> = items.iter().map(Json::to_string).collect();
            out.push(numbers.join(","));
        }
        Json::Array(items) => items.iter().for_each(|item| facts(item, out)),
        Json::Object(members) => members.values().for_each(|member| facts(member, out)),
        _ => {}
    }
}

#[test]
fn the_page_has_the_same_numbers() {
    let example = example();
    let page = bare(&page());
    let mut wanted = vec![example.body, example.document, hex(&example.avro)];
    facts(&example.vectors, &mut wanted);
    assert!(wanted.len() > 40, "{}", wanted.len());
    let missing: Vec<&String> = wanted
        .iter()
        .filter(|fact| !page.contains(&bare(fact)))
        .collect();
    assert!(missing.is_empty(), "docs/clients.md lacks {missing:#?}");
}

#[test]
fn the_page_has_every_problem_and_the_schema() {
    let page = page();
    for kind in ProblemKind::ALL {
        let row = format!(
            "| `{}` | {} | {} | {} |",
            kind.name(),
            kind.status(),
            kind.title(),
            kind.problem("").next
        );
        assert!(page.contains(&row), "{row}");
    }
    assert!(bare(&page).contains(&bare(RecordKind::ReportUpload.schema_json())));
}
