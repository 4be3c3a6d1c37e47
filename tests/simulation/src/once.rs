//! Whether each ciphertext was evaluated once: a second evaluation, at another point or under another number of bins, would
//! give the client's answer away.

use std::collections::{BTreeMap, BTreeSet};

use tallybox_model::avro::{ContainerReader, Limits, Records, decode_one};
use tallybox_model::header::IngestionHeader;
use tallybox_model::packet::{DataSharePacket, ValidationPacket};
use tallybox_model::path::{BatchName, BatchPart};
use tallybox_model::role::Role;

use crate::evidence::{Objects, objects};
use crate::machine::Places;
use crate::tamper::read_records;

/// At what a ciphertext was evaluated: the number of bins and the point.
type Evaluation = (i32, i64);

/// Looks at every message that a processor has ever sent to its peer.
pub async fn evaluated_once(places: &Places, problems: &mut Vec<String>) {
    for role in Role::ALL {
        let ingestion = objects(&places.ingestion[role.index()]).await;
        let sent = objects(&places.validation[role.peer().index()]).await;
        let mut evaluations: BTreeMap<Vec<u8>, BTreeSet<Evaluation>> = BTreeMap::new();
        for (key, file) in &sent {
            let Some((name, BatchPart::Packets)) = BatchName::validation_part(key, role) else {
                continue;
            };
            let Some((bins, packets)) = offered(&ingestion, &name) else {
                continue;
            };
            for message in read_records::<ValidationPacket>(file, &Limits::default()) {
                if let Some((ciphertext, point)) = packets.get(&message.id.to_string()) {
                    evaluations
                        .entry(ciphertext.clone())
                        .or_default()
                        .insert((bins, *point));
                }
            }
        }
        let twice = evaluations.values().filter(|evaluations| evaluations.len() > 1);
        for evaluations in twice {
            let bins: Vec<i32> = evaluations.iter().map(|(bins, _)| *bins).collect();
            problems.push(format!(
                "the {role} processor has evaluated a ciphertext {} times, under {bins:?} bins",
                evaluations.len()
            ));
        }
    }
}

/// Ciphertexts and points, by packet id.
type Offers = BTreeMap<String, (Vec<u8>, i64)>;

/// The bins of a batch, and what it offers to be evaluated.
fn offered(ingestion: &Objects, name: &BatchName) -> Option<(i32, Offers)> {
    let names = name.ingestion();
    let header: IngestionHeader = decode_one(ingestion.get(&names.header)?, &Limits::default()).ok()?;
    let (limits, mut packets) = (Limits::default(), BTreeMap::new());
    let mut reader = ContainerReader::open(&ingestion.get(&names.packets)?[..], &limits).ok()?;
    while let Some(block) = reader.next_block().ok()? {
        for packet in Records::<DataSharePacket<'_>>::new(&block, reader.schema(), &limits) {
            let packet = packet.ok()?;
            let offer = (packet.encrypted_payload.to_vec(), packet.r_pit);
            packets.insert(packet.packet_id().ok()?.to_string(), offer);
        }
    }
    Some((header.bins, packets))
}
