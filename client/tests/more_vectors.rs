//! Generates `testdata/more.json`, `grouped.json` and `refused.json` and compares them: other
//! encodings, edge cases of the generator, and one signed configuration for each rule that rejects
//! one.
#![cfg(feature = "http")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod vector_keys;

use base64ct::{Base64, Base64UrlUnpadded, Encoding as _};
use serde_json::{Value as Json, json};
use tallybox_client::config::Trust;
use tallybox_client::{Encoding, Value};
use tallybox_crypto::ecies;
use tallybox_crypto::prio2::{MODULUS, Prio2, Randomness};
use vector_keys::{SIGNING, compare, hex, packet_key, read, signing_key, unhex};

/// A seed whose generator starts with the words p, 2^32 - 1, p - 1 and 5; the first two are
/// discarded.
const DISCARDED: &str = "000102030405060708090a0b0c0d0e0f57a7164c4baeb804e33143f7c0f83979";
const NOW: &str = "2026-11-23T10:15:00Z";

/// An answer, and the scalar of the first processor's packet key; the other values derive from
/// them.
struct Case {
    name: &'static str,
    encoding: Encoding,
    answer: Json,
    value: Value,
    seed: String,
    scalar: u8,
}

fn cases() -> Vec<Case> {
    let bits = |text: &str| text.bytes().map(|bit| bit == b'1').collect::<Vec<_>>();
    let seed = |first: u8| hex(&(first..first + 32).collect::<Vec<_>>());
    vec![
        Case {
            name: "bit-vector-v1",
            encoding: Encoding::BitVector { bins: 5 },
            answer: json!([1, 0, 1, 1, 0]),
            value: Value::Bits(bits("10110")),
            seed: seed(0x20),
            scalar: 0x61,
        },
        Case {
            name: "bounded-integer-v1",
            encoding: Encoding::BoundedInteger { bits: 6 },
            answer: json!(37),
            value: Value::Integer(37),
            seed: seed(0x40),
            scalar: 0x63,
        },
        // d + 1 is a power of two, so n is d + 1 and not the next power.
        Case {
            name: "seven-bins-v1",
            encoding: Encoding::Histogram { bins: 7 },
            answer: json!(3),
            value: Value::Bucket(3),
            seed: seed(0x60),
            scalar: 0x65,
        },
        Case {
            name: "one-bin-v1",
            encoding: Encoding::BitVector { bins: 1 },
            answer: json!([1]),
            value: Value::Bits(bits("1")),
            seed: seed(0x80),
            scalar: 0x67,
        },
        Case {
            name: "discarded-words-v1",
            encoding: Encoding::BitVector { bins: 4 },
            answer: json!([0, 1, 1, 0]),
            value: Value::Bits(bits("0110")),
            seed: DISCARDED.to_owned(),
            scalar: 0x69,
        },
    ]
}

fn made(case: &Case) -> Json {
    let bits = case.encoding.encode(&case.value).unwrap();
    let randomness = Randomness {
        seed: unhex(&case.seed).try_into().unwrap(),
        f0: 123_456_789,
        g0: 987_654_321,
    };
    let prio2 = Prio2::new(bits.len()).unwrap();
    let shares = prio2.split(&bits, &randomness).unwrap();
    let (mut first, mut generator) = (Vec::new(), Vec::new());
    prio2.decode_share(0, &shares.first, &mut first).unwrap();
    prio2
        .decode_share(1, &shares.second, &mut generator)
        .unwrap();
    let add = |(one, two): (&u32, &u32)| {
        ((u64::from(*one) + u64::from(*two)) % u64::from(MODULUS)) as u32
    };
    let proof: Vec<u32> = first.iter().zip(&generator).map(add).collect();
    let sealed = |index: u8, share: &[u8]| {
        let (recipient, ephemeral) = (case.scalar + index, case.scalar + 0x10 + index);
        let private = packet_key(recipient);
        json!({
            "keyId": format!("{}-{}", ["health-authority", "facilitator"][usize::from(index)], case.name),
            "recipientScalar": hex(&[recipient; 32]),
            "ephemeralScalar": hex(&[ephemeral; 32]),
            "payload": hex(&ecies::seal_with_ephemeral(private.public(), share, &[ephemeral; 32]).unwrap()),
        })
    };
    json!({
        "name": case.name,
        "kind": serde_json::to_value(case.encoding).unwrap().as_object().unwrap().keys().next(),
        "bins": bits.len(),
        "answer": case.answer,
        "encoded": bits.iter().map(|bit| u8::from(*bit)).collect::<Vec<_>>(),
        "n": prio2.domain(),
        "seed": case.seed,
        "f0": randomness.f0,
        "g0": randomness.g0,
        "proof": proof,
        "generator": generator,
        "first": hex(&shares.first),
        "second": hex(&shares.second),
        "seal": {"first": sealed(0, &shares.first), "second": sealed(1, &shares.second)},
    })
}

#[test]
fn other_encodings_are_made_again_to_the_byte() {
    let all: Vec<Json> = cases().iter().map(made).collect();
    let discarded = all.last().unwrap();
    assert_eq!(discarded["generator"][0], MODULUS - 1);
    assert_eq!(discarded["generator"][1], 5);
    compare("more.json", format!("{:#}\n", Json::from(all)).as_bytes());
}

/// The encoding that is newer than `more.json`, which is never edited.
#[test]
fn a_grouped_integer_is_made_again_to_the_byte() {
    let case = Case {
        name: "grouped-integer-v1",
        encoding: Encoding::GroupedInteger { groups: 3, bits: 4 },
        answer: json!([1, 11]),
        value: Value::Grouped {
            group: 1,
            integer: 11,
        },
        seed: hex(&(0xa0..0xc0).collect::<Vec<_>>()),
        scalar: 0x6b,
    };
    let mut made = made(&case);
    made["groups"] = json!(3);
    made["bits"] = json!(4);
    let document = format!("{:#}\n", json!([made]));
    compare("grouped.json", document.as_bytes());
}

/// Returns a document with this protected header and payload, signed as they are.
fn signed(protected: &Json, payload: &Json, scalar: u8) -> Json {
    let [protected, payload] = [protected, payload]
        .map(|part| Base64UrlUnpadded::encode_string(part.to_string().as_bytes()));
    let signature = signing_key(scalar).sign_fixed(format!("{protected}.{payload}").as_bytes());
    json!({"protected": protected, "payload": payload, "signature": Base64UrlUnpadded::encode_string(&signature)})
}

fn header() -> Json {
    json!({"alg": "ES256", "kid": "config-1", "typ": "tallybox-client-config"})
}

fn payload() -> Json {
    serde_json::from_str(read("vectors.json")["config"]["payload"].as_str().unwrap()).unwrap()
}

/// Returns configurations with exactly one fault, with the rule of docs/clients.md that rejects
/// each.
fn refused() -> Vec<(u8, &'static str, Json)> {
    let mut all = Vec::new();
    let mut outer = |rule, what, change: &dyn Fn(&mut Json)| {
        let mut document = signed(&header(), &payload(), SIGNING);
        change(&mut document);
        all.push((rule, what, document));
    };
    outer(1, "a fourth member", &|document| {
        document["header"] = json!({})
    });
    outer(1, "no signature", &|document| {
        document.as_object_mut().unwrap().remove("signature");
    });
    outer(4, "a payload that was changed", &|document| {
        let mut other = payload();
        other["metrics"][0]["epsilon"] = json!(7.0);
        document["payload"] = json!(Base64UrlUnpadded::encode_string(
            other.to_string().as_bytes()
        ));
    });
    outer(4, "a signature of 63 bytes", &|document| {
        let text = document["signature"].as_str().unwrap();
        let bytes = Base64UrlUnpadded::decode_vec(text).unwrap();
        document["signature"] = json!(Base64UrlUnpadded::encode_string(&bytes[..63]));
    });
    for (rule, what, member, value) in [
        (2, "algorithm none", "alg", json!("none")),
        (2, "another algorithm", "alg", json!("ES384")),
        (2, "another type", "typ", json!("JWT")),
        (
            2,
            "a fourth member of the protected header",
            "crit",
            json!(["exp"]),
        ),
        (3, "a key that is not pinned", "kid", json!("config-2")),
    ] {
        let mut header = header();
        header[member] = value;
        all.push((rule, what, signed(&header, &payload(), SIGNING)));
    }
    all.push((
        4,
        "signed by another key",
        signed(&header(), &payload(), 0x56),
    ));
    for (rule, what, pointer, value) in changes() {
        let mut payload = payload();
        *payload.pointer_mut(pointer).unwrap() = value;
        all.push((rule, what, signed(&header(), &payload, SIGNING)));
    }
    for (what, key, change) in contradictions() {
        let mut payload = payload();
        let mut other = payload["metrics"][0].clone();
        other["name"] = json!("other-v1");
        for (member, value) in change.as_object().unwrap() {
            other["processors"][key][member] = value.clone();
        }
        // If the number of bins differs, the rest of the metric is adapted.
        if let Some(bins) = change.get("bins") {
            other["encoding"] = json!({"kind": "histogram", "bins": bins, "labels": []});
            other["processors"][1 - key] = fresh(1 - key, bins);
        }
        payload["metrics"].as_array_mut().unwrap().push(other);
        all.push((9, what, signed(&header(), &payload, SIGNING)));
    }
    all
}

/// Returns the changes of single values: the rule, the position and the value.
fn changes() -> Vec<(u8, &'static str, &'static str, Json)> {
    let point = |length: usize| {
        let mut bytes = packet_key(0x11).public().as_bytes().to_vec();
        bytes.resize(length, 0);
        Base64::encode_string(&bytes)
    };
    let mut off_curve = packet_key(0x11).public().as_bytes().to_vec();
    off_curve[64] ^= 1;
    let metric = |member| format!("/metrics/0/{member}").leak() as &'static str;
    vec![
        (5, "another format", "/format", json!(2)),
        (5, "another locality", "/locality", json!("us-xx")),
        (
            5,
            "a version of the schema that is not known",
            "/schemaVersion",
            json!(3),
        ),
        (
            6,
            "from the future",
            "/issued",
            json!("2026-11-23T10:21:00Z"),
        ),
        (6, "expired", "/expires", json!(NOW)),
        (7, "epsilon 0", metric("epsilon"), json!(0.0)),
        (
            7,
            "an epsilon above the largest",
            metric("epsilon"),
            json!(100.0),
        ),
        (
            7,
            "another prime",
            metric("prime"),
            json!(4_293_918_719_u32),
        ),
        (7, "three servers", metric("numberServers"), json!(3)),
        (7, "no bins", metric("encoding/bins"), json!(0)),
        (7, "a sampling above 1", metric("sampling"), json!(1.5)),
        (
            8,
            "one processor",
            metric("processors"),
            json!([payload()["metrics"][0]["processors"][0]]),
        ),
        (
            8,
            "a packet key of 64 bytes",
            metric("processors/0/publicKey"),
            json!(point(64)),
        ),
        (
            8,
            "a packet key off the curve",
            metric("processors/0/publicKey"),
            json!(Base64::encode_string(&off_curve)),
        ),
        (
            8,
            "a packet key of other bins",
            metric("processors/1/bins"),
            json!(4),
        ),
    ]
}

/// Returns a new packet key.
fn fresh(index: usize, bins: &Json) -> Json {
    let public = packet_key([0x71, 0x73][index]).public().to_x962_base64();
    json!({"encryptionKeyId": "fresh", "publicKey": public, "bins": bins})
}

/// Returns the changes of a second metric whose packet key contradicts the first metric's: the
/// name, the processor and the change.
fn contradictions() -> Vec<(&'static str, usize, Json)> {
    let first = packet_key(0x11).public().to_x962_base64();
    let other = packet_key(0x71).public().to_x962_base64();
    vec![
        ("a key with two numbers of bins", 0, json!({"bins": 4})),
        (
            "a key with two numbers of bins and two ids",
            1,
            json!({"bins": 4, "encryptionKeyId": "facilitator-2"}),
        ),
        (
            "a key with two ids",
            0,
            json!({"encryptionKeyId": "health-authority-2"}),
        ),
        ("an id with two keys", 0, json!({"publicKey": other})),
        (
            "a key of both processors",
            1,
            json!({"publicKey": first, "encryptionKeyId": "facilitator-2"}),
        ),
    ]
}

#[test]
fn every_rule_refuses_a_configuration() {
    let trust = Trust {
        locality: "us-ca".to_owned(),
        keys: [("config-1".to_owned(), signing_key(SIGNING).verifying_key())].into(),
        max_epsilon: 12.0,
    };
    let now = NOW.parse().unwrap();
    let check = |document: &Json| trust.check(document.to_string().as_bytes(), now);
    check(&signed(&header(), &payload(), SIGNING)).expect("what the others differ from");
    let all = refused();
    for (rule, what, document) in &all {
        assert!(check(document).is_err(), "rule {rule}: {what}");
    }
    for rule in 1..=9 {
        assert!(
            all.iter().any(|(violated_rule, ..)| *violated_rule == rule),
            "rule {rule}"
        );
    }
    let all: Vec<Json> = all
        .into_iter()
        .map(|(rule, what, document)| json!({"rule": rule, "what": what, "now": NOW, "document": document}))
        .collect();
    compare(
        "refused.json",
        format!("{:#}\n", Json::from(all)).as_bytes(),
    );
}
