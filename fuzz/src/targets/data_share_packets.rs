//! Files of data share packets, with their ids and evaluation points.

use crate::forge::{MARKER, as_container, blocks, generous};
use tallybox_crypto::prio2::{Point, Prio2};
use tallybox_model::avro::{ContainerWriter, FileLimits, Record, RecordReader};
use tallybox_model::packet::DataSharePacket;

pub fn run(data: &[u8]) {
    let limits = generous();
    let Some(ours) = encoded_again(&as_container(data, DataSharePacket::KIND), &limits) else { return };
    if !ours.is_empty() {
        assert_eq!(encoded_again(&ours, &limits).expect("what we encode decodes"), ours);
    }
}

/// Encodes the file again with this project's writer; returns `None` if it is not a file of
/// packets.
fn encoded_again(file: &[u8], limits: &FileLimits) -> Option<Vec<u8>> {
    let prio2 = Prio2::new(8).expect("eight bins");
    let (blocks, schema) = blocks(file, limits).ok()?;
    let mut writer = ContainerWriter::new(Vec::new(), DataSharePacket::KIND, MARKER);
    for block in &blocks {
        for packet in RecordReader::<DataSharePacket<'_>>::new(block, &schema, limits) {
            let packet = packet.ok()?;
            if let Ok(id) = packet.packet_id() {
                assert_eq!(id.to_string().parse(), Ok(id));
            }
            if let Ok(point) = Point::new(packet.r_pit, &prio2) {
                assert_eq!(i64::from(point.value()), packet.r_pit);
            }
            writer.append(&packet).expect("what was decoded can be encoded");
        }
    }
    Some(writer.finish().expect("a vector takes everything"))
}
