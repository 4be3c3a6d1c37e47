//! The predecessor's sum parts, and every way in which two parts do not belong together.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;

use bytes::Bytes;
use tallybox_crypto::{SigningKey, VerifyingKey};
use tallybox_model::avro::encode_one;
use tallybox_model::header::SumPart;
use tallybox_model::role::Role;
use tallybox_transport::batch::{TrustedKeys, signature_file};

use super::*;
use crate::keys::PortalKeys;

const WINDOW: &str = "202311142200-202311142300";
const PROCESSORS: [&str; 2] = ["pha", "facilitator"];

fn vectors() -> &'static Path {
    Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../tests/testdata/vectors"
    ))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(vectors().join(path)).unwrap()
}

fn signing(role: Role) -> SigningKey {
    let name = PROCESSORS[role.index()];
    SigningKey::parse(read(&format!("keys/{name}-signing.pkcs8.b64")).trim()).unwrap()
}

fn key_id(role: Role) -> String {
    format!("{}-key-1", PROCESSORS[role.index()])
}

fn keys() -> PortalKeys {
    PortalKeys::new(Role::ALL.map(|role| {
        let name = PROCESSORS[role.index()];
        let key = VerifyingKey::parse(read(&format!("keys/{name}-signing.spki.pem")).trim());
        TrustedKeys::from([(key_id(role), key.unwrap())])
    }))
}

/// Returns the names and the files of a processor's sum part in a case of the vectors.
fn files(case: &str, role: Role) -> (PartKind, PartFiles) {
    let name = PROCESSORS[role.index()];
    let aggregation = format!("org.example.{}", case.replace('/', "."));
    let key = format!("interop/{aggregation}/{WINDOW}.sum_{}", role.index());
    let kind = PartKind::parse(&key).unwrap();
    let content = |object: &str| {
        let file = vectors()
            .join(case)
            .join(format!("sum-{name}"))
            .join(object);
        Bytes::from(std::fs::read(file).unwrap_or_default())
    };
    let files = PartFiles {
        signature: content(&kind.objects.signature),
        header: content(&kind.objects.header),
        packets: content(&kind.objects.packets),
    };
    (kind, files)
}

fn part(case: &str, role: Role) -> Part {
    let (kind, files) = files(case, role);
    Part::verify(kind, &files, &keys()).unwrap()
}

/// Returns the first processor's part of `dim8` with another header, signed by that processor.
fn changed(change: impl FnOnce(&mut SumPart)) -> Result<Part, Finding> {
    let (mut kind, mut files) = files("dim8", Role::First);
    let mut header = part("dim8", Role::First).header;
    change(&mut header);
    // Under a name without a window, so that the window in the header decides.
    kind.name = None;
    files.header = encode_one(&header, [7; 16]).unwrap().into();
    let key = (&*key_id(Role::First), &signing(Role::First));
    files.signature = signature_file("part.sig", 1, &files.header, None, key)
        .unwrap()
        .into();
    Part::verify(kind, &files, &keys())
}

fn findings(first: &Part, second: &Part) -> Vec<&'static str> {
    let Findings(findings) = join(first, second).unwrap_err();
    findings.iter().map(Finding::kind).collect()
}

#[test]
fn the_predecessors_parts_add_to_the_sums_that_it_states() {
    for case in [
        "dim2",
        "dim8",
        "dim250",
        "dim256",
        "single-object",
        "key-rotation",
        "codec-deflate",
    ] {
        let sum = join(&part(case, Role::First), &part(case, Role::Second)).unwrap();
        let expected: serde_json::Value =
            serde_json::from_str(&read(&format!("{case}/expected.json"))).unwrap();
        assert_eq!(
            serde_json::json!(sum.sums),
            expected["reconstructed"],
            "{case}"
        );
        assert_eq!(
            serde_json::json!(sum.batches),
            expected["batch_uuids_pha"],
            "{case}"
        );
        assert_eq!(sum.window.start().to_string(), "2023/11/14/22/00");
    }
}

#[test]
fn every_altered_byte_is_found() {
    for role in Role::ALL {
        let (kind, good) = files("bad/invalid-proof", role);
        assert!(!good.packets.is_empty(), "the case has a rejected packet");
        let flip = |bytes: &Bytes, index: usize| {
            let mut changed = bytes.to_vec();
            changed[index] ^= 1;
            Bytes::from(changed)
        };
        let refused = |files: &PartFiles| Part::verify(kind.clone(), files, &keys()).is_err();
        for index in 0..good.header.len() {
            let header = flip(&good.header, index);
            assert!(
                refused(&PartFiles {
                    header,
                    ..good.clone()
                }),
                "header {index}"
            );
        }
        for index in 0..good.packets.len() {
            let packets = flip(&good.packets, index);
            assert!(
                refused(&PartFiles {
                    packets,
                    ..good.clone()
                }),
                "packets {index}"
            );
        }
    }
}

#[test]
fn parts_that_do_not_belong_together() {
    let (first, second) = (part("dim8", Role::First), part("dim8", Role::Second));
    assert_eq!(findings(&second, &first), ["wrong-side"]);
    assert_eq!(findings(&first, &first), ["wrong-side"]);
    assert_eq!(
        findings(&first, &part("dim2", Role::Second)),
        ["other-window"]
    );
    let hour = 3_600_000;
    let replayed = changed(|header| header.aggregation_start_time -= hour).unwrap();
    assert_eq!(findings(&replayed, &second), ["other-window"]);
    let shorter = changed(|header| header.batch_uuids.truncate(2)).unwrap();
    assert_eq!(findings(&shorter, &second), ["batches-differ"]);
    let fewer = changed(|header| header.total_individual_clients -= 1).unwrap();
    assert_eq!(findings(&fewer, &second), ["counts-differ"]);
    let noisier = changed(|header| header.epsilon = 1.0).unwrap();
    assert_eq!(findings(&noisier, &second), ["parameters-differ"]);
    let wrong = changed(|header| header.sum[3] = (header.sum[3] + 1_000) % header.prime).unwrap();
    assert_eq!(findings(&wrong, &second), ["out-of-range"]);
}

#[test]
fn a_header_that_cannot_be_is_refused_although_it_is_signed() {
    let kinds = [
        changed(|header| header.prime = 7),
        changed(|header| header.sum[0] = header.prime),
        changed(|header| header.sum[0] = -1),
        changed(|header| header.sum.truncate(7)),
        changed(|header| header.total_individual_clients = -1),
        changed(|header| header.aggregation_end_time = header.aggregation_start_time),
        changed(|header| header.batch_uuids.push(header.batch_uuids[0])),
        changed(|header| header.name = "../etc".to_owned()),
    ]
    .map(|changed| changed.unwrap_err().kind());
    assert_eq!(kinds, ["malformed"; 8]);
}

#[test]
fn a_part_under_the_name_of_another_window_or_side_is_found() {
    let (_, files) = files("dim8", Role::First);
    let verify = |name: &str, keys: &PortalKeys| {
        let error = Part::verify(PartKind::parse(name).unwrap(), &files, keys).unwrap_err();
        error.kind()
    };
    let folder = "interop/org.example.dim8";
    let replayed = format!("{folder}/202311142300-202311150000.sum_0");
    assert_eq!(verify(&replayed, &keys()), "renamed");
    let other = format!("interop/org.example.dim2/{WINDOW}.sum_0");
    assert_eq!(verify(&other, &keys()), "renamed");
    let second = format!("{folder}/{WINDOW}.sum_1");
    assert_eq!(verify(&second, &keys()), "wrong-side");
    // A key that the manifest no longer lists.
    let none = PortalKeys::default();
    assert_eq!(
        verify(&format!("{folder}/{WINDOW}.sum_0"), &none),
        "unknown-key"
    );
}

#[test]
fn one_organisation_cannot_sign_both_parts() {
    let (kind, files) = files("dim8", Role::First);
    let all: TrustedKeys = Role::ALL
        .into_iter()
        .flat_map(|role| keys().of(role).clone())
        .collect();
    let either = PortalKeys::new([all.clone(), all]);
    let first = Part::verify(kind, &files, &either).unwrap();
    let copied = PartKind::parse(&format!("interop/org.example.dim8/{WINDOW}.sum_1")).unwrap();
    let second = Part::verify(copied, &files, &either).unwrap();
    assert_eq!(findings(&first, &second), ["one-key"]);
}

#[test]
fn every_finding_has_a_next_step() {
    let (first, second) = (part("dim8", Role::First), part("dim2", Role::Second));
    let Findings(all) = join(&first, &second).unwrap_err();
    let json = serde_json::to_value(&all[0]).unwrap();
    assert_eq!(json["kind"], "other-window");
    assert_eq!(
        json["message"],
        "the sum parts are of different aggregations: org.example.dim8 and org.example.dim2"
    );
    assert!(
        json["next-step"]
            .as_str()
            .is_some_and(|step| step.len() > 20)
    );
}
