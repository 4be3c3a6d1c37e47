//! Files of validation packets and of invalid packets, with the messages in them.

use crate::forge::{MARKER, as_container, blocks, generous};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use tallybox_crypto::prio2::{MODULUS, Message};
use tallybox_model::avro::{ContainerWriter, Record, RecordReader};
use tallybox_model::packet::{InvalidPacket, ValidationPacket};

pub fn run(data: &[u8]) {
    for packet in round_trip::<ValidationPacket>(data) {
        let Ok(message) = Message::new(packet.f_r, packet.g_r, packet.h_r) else { continue };
        assert!([message.f, message.g, message.h].iter().all(|element| *element < MODULUS));
        assert_eq!(Message::from_bytes(&message.to_bytes()), Some(message));
        assert_eq!(message.is_valid_with(&Message::default()), Message::default().is_valid_with(&message));
    }
    round_trip::<InvalidPacket>(data);
}

/// Returns the packets of the file; empty if the file is malformed.
fn round_trip<T: Record + Serialize + DeserializeOwned + Debug + PartialEq>(data: &[u8]) -> Vec<T> {
    let Some(packets) = decode::<T>(&as_container(data, T::KIND)) else { return Vec::new() };
    let mut writer = ContainerWriter::new(Vec::new(), T::KIND, MARKER);
    for packet in &packets {
        writer.append(packet).expect("what was decoded can be encoded");
    }
    let ours = writer.finish().expect("a vector takes everything");
    if !ours.is_empty() {
        assert_eq!(decode::<T>(&ours).expect("what we encode decodes"), packets);
    }
    packets
}

fn decode<T: Record + DeserializeOwned>(file: &[u8]) -> Option<Vec<T>> {
    let (blocks, schema) = blocks(file, &generous()).ok()?;
    let records = |block| RecordReader::<T>::new(block, &schema, &generous());
    blocks.iter().flat_map(records).collect::<Result<_, _>>().ok()
}
