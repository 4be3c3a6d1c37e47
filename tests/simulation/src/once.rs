//! The audit of evaluations: each ciphertext is evaluated at one point and under one number of
//! bins. A second evaluation would reveal the client's answer.

use std::collections::{BTreeMap, BTreeSet};

use tallybox_model::avro::{ContainerReader, FileLimits, RecordReader, decode_one};
use tallybox_model::header::IngestionHeader;
use tallybox_model::packet::{DataSharePacket, ValidationPacket};
use tallybox_model::path::{BatchName, BatchPart};
use tallybox_model::role::Role;

use crate::dishonest_processor::read_records;
use crate::evidence::{Objects, objects};
use crate::machine::Storage;

/// The number of bins and the evaluation point under which a ciphertext was evaluated.
type Evaluation = (i32, i64);

/// Checks every verification message that a processor has ever sent to its peer.
pub async fn evaluated_once(storage: &Storage, problems: &mut Vec<String>) {
    for role in Role::ALL {
        let ingestion = objects(&storage.ingestion[role.index()]).await;
        let sent = objects(&storage.validation[role.peer().index()]).await;
        let mut evaluations: BTreeMap<Vec<u8>, BTreeSet<Evaluation>> = BTreeMap::new();
        for (key, file) in &sent {
            let Some((name, BatchPart::Packets)) = BatchName::validation_part(key, role) else {
                continue;
            };
            let Some((bins, packets)) = offered(&ingestion, &name) else {
                continue;
            };
            for message in read_records::<ValidationPacket>(file, &FileLimits::default()) {
                if let Some((ciphertext, point)) = packets.get(&message.id.to_string()) {
                    evaluations
                        .entry(ciphertext.clone())
                        .or_default()
                        .insert((bins, *point));
                }
            }
        }
        let twice = evaluations
            .values()
            .filter(|evaluations| evaluations.len() > 1);
        for evaluations in twice {
            let bins: Vec<i32> = evaluations.iter().map(|(bins, _)| *bins).collect();
            problems.push(format!(
                "the {role} processor has evaluated a ciphertext in {} ways, under {bins:?} bins",
                evaluations.len()
            ));
        }
    }
}

/// Ciphertexts and evaluation points, by packet id.
type Offers = BTreeMap<String, (Vec<u8>, i64)>;

/// Returns the number of bins of a batch, and its packets.
fn offered(ingestion: &Objects, name: &BatchName) -> Option<(i32, Offers)> {
    let names = name.ingestion();
    let header: IngestionHeader =
        decode_one(ingestion.get(&names.header)?, &FileLimits::default()).ok()?;
    let (limits, mut packets) = (FileLimits::default(), BTreeMap::new());
    let mut reader = ContainerReader::open(&ingestion.get(&names.packets)?[..], &limits).ok()?;
    while let Some(block) = reader.next_block().ok()? {
        for packet in RecordReader::<DataSharePacket<'_>>::new(&block, reader.schema(), &limits) {
            let packet = packet.ok()?;
            let offer = (packet.encrypted_payload.to_vec(), packet.r_pit);
            packets.insert(packet.packet_id().ok()?.to_string(), offer);
        }
    }
    Some((header.bins, packets))
}
