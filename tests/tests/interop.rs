//! Interoperates with ENPA: processors read its files, arrive at its sums, and write files in its
//! format.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use serde_json::Value;
use std::collections::{BTreeSet, HashSet};
use std::path::Path;
use std::sync::Arc;
use tallybox_facilitator::aggregate::{AggregateTask, aggregate};
use tallybox_facilitator::error::Error;
use tallybox_facilitator::intake::intake;
use tallybox_facilitator::processor::Processor;
use tallybox_facilitator::progress::no_progress;
use tallybox_facilitator::sum::AggregateSummary;
use tallybox_model::avro::{
    ContainerReader, FileLimits, Record, RecordKind, RecordReader, decode_one,
};
use tallybox_model::digest::Digest;
use tallybox_model::header::{SumPart, ValidationHeader};
use tallybox_model::id::PacketId;
use tallybox_model::packet::{DataSharePacket, InvalidPacket, ValidationPacket};
use tallybox_model::path::{BatchObjects, SumPartName};
use tallybox_model::role::Role;
use tallybox_model::signature::BatchSignature;
use tallybox_service::exit::Exit;
use tallybox_tests::frame::assert_framed_as_the_predecessors;
use tallybox_tests::vectors::{BucketPaths, Case, open, write_config};

const GOOD_CASES: [&str; 7] = [
    "dim2",
    "dim8",
    "dim250",
    "dim256",
    "single-object",
    "key-rotation",
    "codec-deflate",
];
const PRIME: u64 = 4_293_918_721;

fn records<T: Record + for<'a> serde::Deserialize<'a>>(file: &[u8]) -> Vec<T> {
    let (mut all, limits) = (Vec::new(), FileLimits::default());
    if file.is_empty() {
        return all;
    }
    let mut reader = ContainerReader::open(file, &limits).unwrap();
    while let Some(block) = reader.next_block().unwrap() {
        all.extend(RecordReader::<T>::new(&block, reader.schema(), &limits).map(Result::unwrap));
    }
    all
}

/// Reads header and packets of a validation batch, in either form.
fn validation(bucket: &Path, objects: &BatchObjects) -> (ValidationHeader, Vec<ValidationPacket>) {
    let limits = FileLimits::default();
    let read = |name: &str| std::fs::read(bucket.join(name)).unwrap();
    let signature: BatchSignature =
        decode_one(&read(&objects.signature), &limits.for_signature()).unwrap();
    let (header, packets) = signature
        .inline()
        .unwrap_or_else(|| (read(&objects.header), read(&objects.packets)));
    let header: ValidationHeader = decode_one(&header, &limits).unwrap();
    assert_eq!(header.packet_file_digest, Digest::sha256(&packets));
    (header, records(&packets))
}

fn sum_objects(case: &Case, role: Role) -> BatchObjects {
    let instance = "interop".parse().unwrap();
    SumPartName {
        instance,
        aggregation: case.aggregation(),
        window: Case::window(),
        writer: role,
    }
    .objects()
}

fn sum_part(bucket: &Path, case: &Case, role: Role) -> (SumPart, BTreeSet<PacketId>) {
    let objects = sum_objects(case, role);
    let file = std::fs::read(bucket.join(objects.header)).unwrap();
    let invalid = std::fs::read(bucket.join(objects.packets)).unwrap();
    let part: SumPart = decode_one(&file, &FileLimits::default()).unwrap();
    assert_eq!(part.packet_file_digest, Digest::sha256(&invalid));
    let invalid: Vec<InvalidPacket> = records(&invalid);
    assert!(
        invalid.is_sorted(),
        "expected sorted identifiers without duplicates"
    );
    (part, invalid.into_iter().map(|packet| packet.id).collect())
}

async fn sum(processor: &Arc<Processor>, case: &Case) -> Result<AggregateSummary, Error> {
    let (aggregation, window) = (case.aggregation(), Case::window());
    let task = AggregateTask {
        aggregation,
        window,
        batches: Vec::new(),
        dry_run: false,
    };
    Ok(aggregate(processor, &task, no_progress()).await?)
}

fn numbers(value: &Value) -> Vec<u64> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|v| v.as_u64().unwrap())
        .collect()
}

/// Returns the first message of each packet, in order.
fn first_of_each(packets: &[ValidationPacket]) -> Vec<ValidationPacket> {
    let mut ids = HashSet::new();
    packets
        .iter()
        .copied()
        .filter(|packet| ids.insert(packet.id))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn both_roles_say_of_every_packet_what_the_predecessor_said() {
    for name in GOOD_CASES {
        let case = Case::load(name);
        for role in Role::ALL {
            let root = tempfile::tempdir().unwrap();
            let paths = BucketPaths::beside_predecessor(&case, root.path(), role);
            let processor = open(&write_config(root.path(), role, &paths, ""));
            for batch in case.batches() {
                let summary = intake(&processor, &batch, no_progress()).await.unwrap();
                assert_eq!(summary.packets_rejected, 0);
                let objects = batch.validation(role);
                let (own_header, own) = validation(&paths.validation_out, &objects);
                let (reference_header, reference) =
                    validation(&case.validation_for(role.peer()), &objects);
                assert_eq!(own, first_of_each(&reference), "{name} {role}");
                assert!(own_header.parameters().same(&reference_header.parameters()));
                assert_eq!(own_header.batch_uuid, reference_header.batch_uuid);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn beside_the_predecessor_we_reach_its_sum_count_and_invalid_list() {
    for name in GOOD_CASES {
        let case = Case::load(name);
        let mut total = vec![0; case.expected["dimension"].as_u64().unwrap() as usize];
        for role in Role::ALL {
            let root = tempfile::tempdir().unwrap();
            let paths = BucketPaths::beside_predecessor(&case, root.path(), role);
            let processor = open(&write_config(root.path(), role, &paths, ""));
            // For one case, the aggregation includes the intake.
            if name != "dim8" {
                for batch in case.batches() {
                    intake(&processor, &batch, no_progress()).await.unwrap();
                }
            }
            sum(&processor, &case).await.unwrap();
            let own = sum_part(&paths.sum_parts, &case, role);
            let reference = sum_part(&case.sum_part(role), &case, role);
            assert_eq!(own, reference, "{name} {role}");
            total
                .iter_mut()
                .zip(&own.0.sum)
                .for_each(|(t, s)| *t = (*t + *s as u64) % PRIME);
        }
        assert_eq!(total, numbers(&case.expected["expected_sum"]), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn our_files_are_framed_as_the_predecessors() {
    let case = Case::load("bad/invalid-proof");
    let root = tempfile::tempdir().unwrap();
    let paths = BucketPaths::beside_predecessor(&case, root.path(), Role::First);
    let processor = open(&write_config(root.path(), Role::First, &paths, ""));
    sum(&processor, &case).await.unwrap();
    let check = |bucket: &Path, objects: BatchObjects, header: RecordKind, packets: RecordKind| {
        let read = |name: &str| std::fs::read(bucket.join(name)).unwrap();
        assert_framed_as_the_predecessors(&read(&objects.header), header);
        assert_framed_as_the_predecessors(&read(&objects.packets), packets);
        let signature = read(&objects.signature);
        assert_framed_as_the_predecessors(&signature, RecordKind::BatchSignature);
        // Both inline fields are the null branch of their union: two zero bytes before the last
        // sync marker.
        assert_eq!(
            signature[signature.len() - 18..signature.len() - 16],
            [0, 0]
        );
        let record: BatchSignature = decode_one(&signature, &FileLimits::default()).unwrap();
        assert_eq!(record.key_identifier, "pha-key-1");
        assert_eq!(record.batch_header_signature[0], 0x30, "an ASN.1 sequence");
    };
    let validation = case.batches()[0].validation(Role::First);
    check(
        &paths.validation_out,
        validation,
        RecordKind::ValidationHeader,
        RecordKind::ValidationPacket,
    );
    let part = sum_objects(&case, Role::First);
    check(
        &paths.sum_parts,
        part,
        RecordKind::SumPart,
        RecordKind::InvalidPacket,
    );
}

/// The result of an invalid case on each side: the number of accepted packets, or exit code and
/// reason of the window.
type Ends = [Result<u64, (Exit, &'static str)>; 2];

/// Runs the intake of both roles and both aggregations with two Tallybox processors. Returns the
/// results, the sum if there is one, and the rejected packets.
async fn run_bad(
    case: &Case,
) -> (
    Vec<Result<u64, (Exit, String)>>,
    Option<Vec<u64>>,
    Vec<BTreeSet<PacketId>>,
) {
    let root = tempfile::tempdir().unwrap();
    let processors = Role::ALL.map(|role| {
        let paths = BucketPaths::beside_tallybox(case, root.path(), role);
        open(&write_config(root.path(), role, &paths, ""))
    });
    for processor in &processors {
        for batch in case.batches() {
            let _ = intake(processor, &batch, no_progress()).await;
        }
    }
    let (mut ends, mut total, mut invalid) = (Vec::new(), Some(vec![0; 8]), Vec::new());
    for (role, processor) in Role::ALL.into_iter().zip(&processors) {
        let bucket = root.path().join(format!("sum-{role}"));
        ends.push(match sum(processor, case).await {
            Ok(summary) => {
                let (part, rejected) = sum_part(&bucket, case, role);
                assert_eq!(
                    part.total_individual_clients as u64,
                    summary.packets_accepted
                );
                let add = |total: &mut Vec<u64>| {
                    total
                        .iter_mut()
                        .zip(&part.sum)
                        .for_each(|(t, s)| *t = (*t + *s as u64) % PRIME);
                };
                total.as_mut().map(add);
                invalid.push(rejected);
                Ok(summary.packets_accepted)
            }
            Err(error) => {
                assert!(!bucket.join("interop").exists(), "expected no sum part");
                total = None;
                Err((error.exit(), error.reason()))
            }
        });
    }
    (ends, total, invalid)
}

/// Computes the sum of the plain bits of all packets that are not in `without`, in the order of the
/// ingestion batch.
fn plain_sum(case: &Case, without: &BTreeSet<PacketId>) -> Vec<u64> {
    let batch = &case.batches()[0];
    let bits = case.expected["plain_bits"][batch.id.to_string()]
        .as_array()
        .unwrap();
    let file = std::fs::read(case.ingestion(Role::First).join(batch.ingestion().packets)).unwrap();
    let mut reader = ContainerReader::open(&file[..], &FileLimits::default()).unwrap();
    let (mut sum, mut ids) = (vec![0; 8], Vec::new());
    while let Some(block) = reader.next_block().unwrap() {
        for packet in RecordReader::<DataSharePacket<'_>>::new(
            &block,
            reader.schema(),
            &FileLimits::default(),
        ) {
            let id = packet.unwrap().packet_id().unwrap();
            if ids.contains(&id) {
                continue;
            }
            if !without.contains(&id) {
                numbers(&bits[ids.len()])
                    .iter()
                    .zip(&mut sum)
                    .for_each(|(bit, sum)| *sum += bit);
            }
            ids.push(id);
        }
    }
    sum
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_cases_end_as_the_table_says() {
    let accepted = |count| [Ok(count), Ok(count)];
    let nothing = |exit, reason: &'static str| [Err((exit, reason)), Err((exit, reason))];
    // Only the first side's batch was edited. The second waits for a validation batch that never
    // arrives.
    let first_only = |reason| {
        [
            Err((Exit::Rejected, reason)),
            Err((Exit::Retry, "not-there")),
        ]
    };
    let table: [(&str, Ends); 20] = [
        ("invalid-proof", accepted(18)),
        ("undecryptable", accepted(19)),
        ("not-a-point", accepted(19)),
        ("short-ciphertext", accepted(19)),
        ("short-share", accepted(19)),
        ("r-pit-negative", accepted(19)),
        ("r-pit-over-u32", accepted(19)),
        ("r-pit-over-modulus", accepted(19)),
        ("r-pit-one-root-of-unity", accepted(19)),
        ("duplicate-packet", accepted(20)),
        ("r-pit-zero", accepted(20)),
        ("hamming-weight", accepted(20)),
        // No share has the length for these bins. The first side treats it as a wrong key, and the
        // second waits for its validation batch.
        (
            "bins-wrong",
            [
                Err((Exit::Retry, "wrong-key")),
                Err((Exit::Retry, "not-there")),
            ],
        ),
        ("empty-batch", nothing(Exit::Rejected, "empty-batch")),
        ("bins-zero", nothing(Exit::Rejected, "bins")),
        ("other-prime", nothing(Exit::Rejected, "other-prime")),
        (
            "header-mismatch",
            nothing(Exit::Rejected, "header-mismatch"),
        ),
        ("bad-digest", first_only("bad-digest")),
        ("bad-signature", first_only("bad-signature")),
        ("unknown-key-id", first_only("unknown-key")),
    ];
    for (name, expected) in table {
        let case = Case::load(&format!("bad/{name}"));
        let (ends, total, invalid) = run_bad(&case).await;
        let ends: Vec<_> = ends
            .iter()
            .map(|end| end.as_ref().map(|n| *n).map_err(|(e, r)| (*e, r.as_str())))
            .collect();
        assert_eq!(ends, expected, "{name}");
        let Some(total) = total else { continue };
        assert_eq!(
            invalid[0], invalid[1],
            "{name}: both sum parts list the same invalid packets"
        );
        let edited = 20 - *expected[0].as_ref().unwrap();
        assert_eq!(invalid[0].len() as u64, edited, "{name}");
        assert_eq!(total, plain_sum(&case, &invalid[0]), "{name}");
    }
}
