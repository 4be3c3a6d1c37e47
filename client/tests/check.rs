//! `tallybox-client check` names each wrong element, and accepts a correct report.
#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod vector_keys;

use serde_json::Value as Json;
use tallybox_client::check::{ReportFault, TestMetric, check, read, test_metrics};
use tallybox_crypto::ecies;
use tallybox_crypto::prio2::{MODULUS, Prio2, Randomness};
use tallybox_model::report::ReportUpload;

/// Returns the worked example, as it is posted.
fn example() -> ReportUpload {
    read(vector_keys::read("report.json").to_string().as_bytes()).unwrap()
}

fn metric() -> TestMetric {
    test_metrics().unwrap().swap_remove(0)
}

fn fault(upload: &ReportUpload) -> ReportFault {
    check(upload, &metric().expected, None).unwrap_err()
}

fn randomness() -> Randomness {
    Randomness {
        seed: [9; 32],
        f0: 1,
        g0: 2,
    }
}

/// Returns the example with other shares, correctly sealed.
fn with_shares(first: &[u8], second: &[u8]) -> ReportUpload {
    let [first_key, second_key] = metric().expected.keys;
    ReportUpload {
        payload_first: ecies::seal_with_ephemeral(first_key.public(), first, &[0x22; 32]).unwrap(),
        payload_second: ecies::seal_with_ephemeral(second_key.public(), second, &[0x44; 32])
            .unwrap(),
        ..example()
    }
}

#[test]
fn the_vectors_are_right_to_the_byte() {
    let example = example();
    let good = check(&example, &metric().expected, Some(&metric().exact)).unwrap();
    assert_eq!((good.bins, good.exact), (vec![0, 1, 1], true));
    let more = vector_keys::read("more.json");
    for (vector, metric) in more
        .as_array()
        .unwrap()
        .iter()
        .zip(&test_metrics().unwrap()[1..])
    {
        let text = |object: &Json, member: &str| object[member].as_str().unwrap().to_owned();
        let seal = ["first", "second"].map(|which| vector["seal"][which].clone());
        let payload = |seal: &Json| vector_keys::unhex(&text(seal, "payload"));
        let upload = ReportUpload {
            metric: text(vector, "name"),
            bins: i32::try_from(vector["bins"].as_i64().unwrap()).unwrap(),
            key_id_first: text(&seal[0], "keyId"),
            payload_first: payload(&seal[0]),
            key_id_second: text(&seal[1], "keyId"),
            payload_second: payload(&seal[1]),
            ..example.clone()
        };
        let good = check(&upload, &metric.expected, Some(&metric.exact)).unwrap();
        assert_eq!(good.metric, text(vector, "name"));
        assert_eq!(Json::from(good.bins), vector["encoded"]);
    }
}

#[test]
fn the_outside_of_a_report_is_checked_first() {
    let changed = |change: fn(&mut ReportUpload)| {
        let mut upload = example();
        change(&mut upload);
        // Damage in inner elements is reported later than damage in outer ones.
        upload.payload_first[100] ^= 1;
        let fault = fault(&upload);
        (fault.reason(), fault.to_string())
    };
    for (change, reason, message_part) in [
        (
            (|report| report.id = "x".to_owned()) as fn(&mut ReportUpload),
            "uuid",
            "\"x\"",
        ),
        (
            |report| report.id.make_ascii_uppercase(),
            "uuid",
            "lower case",
        ),
        (
            |report| report.schema_version = 3,
            "parameter",
            "payload.schemaVersion is 3",
        ),
        (
            |report| report.bins = 4,
            "parameter",
            "payload.prioParams.bins is 4, not 3",
        ),
        (|report| report.prime -= 2, "parameter", "prioParams.prime"),
        (
            |report| report.epsilon = 2.5,
            "parameter",
            "prioParams.epsilon is 2.5, not 2",
        ),
        (
            |report| report.number_of_servers = 3,
            "parameter",
            "numberServers",
        ),
        (
            |report| report.hamming_weight = Some(1),
            "parameter",
            "hammingWeight",
        ),
        (
            |report| report.key_id_second = "old".to_owned(),
            "key-id",
            "share for Second is \"old\"",
        ),
        (
            |report| std::mem::swap(&mut report.key_id_first, &mut report.key_id_second),
            "key-ids-exchanged",
            "swapped",
        ),
        (
            |report| std::mem::swap(&mut report.payload_first, &mut report.payload_second),
            "shares-exchanged",
            "swapped",
        ),
        (
            |report| report.payload_second.push(0),
            "sealed-length",
            "for Second has 114 bytes, not 113",
        ),
        (
            |report| report.payload_second[0] = 2,
            "not-a-point",
            "for Second",
        ),
        (
            |report| report.payload_second[64] ^= 1,
            "not-a-point",
            "for Second",
        ),
    ] {
        // An exchange of the shares moves the damage, and the second share has no byte 100.
        let (found, message) = changed(change);
        assert_eq!(found, reason, "{message}");
        assert!(message.contains(message_part), "{message}");
    }
    let text = vector_keys::read("report.json").to_string();
    let cut = read(&text.as_bytes()[..100]).unwrap_err();
    assert_eq!(cut.reason(), "not-a-report");
    let late = text.replace("2026-11-23T10:15:00Z", "yesterday");
    assert_eq!(read(late.as_bytes()).unwrap_err().reason(), "not-a-report");
}

#[test]
fn what_is_inside_a_sealed_share_is_named() {
    let mut upload = example();
    upload.payload_first[100] ^= 1;
    let tag = fault(&upload);
    assert!(
        tag.reason() == "tag" && tag.to_string().contains("First"),
        "{tag}"
    );

    let prio2 = Prio2::new(3).unwrap();
    let shares = prio2.split(&[true, false, true], &randomness()).unwrap();
    let right = with_shares(&shares.first, &shares.second);
    assert!(check(&right, &metric().expected, None).is_ok());

    let [first_key, second_key] = metric().expected.keys;
    let other_key = ReportUpload {
        payload_second: ecies::seal_with_ephemeral(first_key.public(), &shares.second, &[0x44; 32])
            .unwrap(),
        ..right.clone()
    };
    assert_eq!(fault(&other_key).reason(), "other-key");
    let same = ReportUpload {
        payload_second: ecies::seal_with_ephemeral(
            second_key.public(),
            &shares.second,
            &[0x22; 32],
        )
        .unwrap(),
        ..right
    };
    assert_eq!(fault(&same).reason(), "same-ephemeral");

    let mut element = shares.first.clone();
    element[12..16].copy_from_slice(&MODULUS.to_le_bytes());
    let fault_with = |first: &[u8]| fault(&with_shares(first, &shares.second));
    let out = fault_with(&element);
    assert!(
        out.to_string().contains("element 3 (f0) is 4293918721"),
        "{out}"
    );

    let twos = prio2.split_values(&[1, 2, 0], &randomness()).unwrap();
    let not_a_bit = fault(&with_shares(&twos.first, &twos.second));
    assert!(
        matches!(not_a_bit, ReportFault::NotABit { bin: 1, value: 2 }),
        "{not_a_bit}"
    );

    // Every element after g0 is part of the proof.
    for (index, name) in (5..).zip([
        "h0 = f0 * g0",
        "h at w_8^1",
        "h at w_8^3",
        "h at w_8^5",
        "h at w_8^7",
    ]) {
        let mut first = shares.first.clone();
        let element = &mut first[4 * index..4 * index + 4];
        let value = u32::from_le_bytes(element.try_into().unwrap());
        element.copy_from_slice(&((value + 1) % MODULUS).to_le_bytes());
        match fault_with(&first) {
            ReportFault::Proof {
                index: at,
                name: found_name,
                found,
                expected,
            } => {
                assert_eq!((at, found_name.as_str()), (index, name));
                assert_eq!((expected + 1) % MODULUS, found);
            }
            other => panic!("element {index}: {other}"),
        }
    }
}

#[test]
fn a_right_report_that_is_not_the_vector_says_what_differs() {
    let prio2 = Prio2::new(3).unwrap();
    let seed: [u8; 32] = std::array::from_fn(|index| index as u8);
    let split = |bits: &[bool], seed, f0| {
        let randomness = Randomness {
            seed,
            f0,
            g0: 987_654_321,
        };
        let shares = prio2.split(bits, &randomness).unwrap();
        with_shares(&shares.first, &shares.second)
    };
    let f0 = 123_456_789;
    let bits = [false, true, true];
    for (upload, message_part) in [
        (split(&bits, [9; 32], f0), "the seed"),
        (
            split(&[false, true, false], seed, f0),
            "bin 2 after the noise",
        ),
        (
            split(&bits, seed, 5),
            "f0 differs from the vector: 5, not 123456789",
        ),
    ] {
        let fault = check(&upload, &metric().expected, Some(&metric().exact)).unwrap_err();
        assert!(fault.to_string().contains(message_part), "{fault}");
    }
    let same = split(&bits, seed, f0);
    assert!(check(&same, &metric().expected, Some(&metric().exact)).is_ok());
    let [first, _] = metric().expected.keys;
    let mut other = same.clone();
    let share = first
        .open(&same.payload_first, &mut Vec::new())
        .unwrap()
        .to_vec();
    other.payload_first = ecies::seal_with_ephemeral(first.public(), &share, &[0x23; 32]).unwrap();
    let fault = check(&other, &metric().expected, Some(&metric().exact)).unwrap_err();
    assert!(
        fault.to_string().contains("the sealed share for First"),
        "{fault}"
    );
}
