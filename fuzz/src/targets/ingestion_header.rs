//! Ingestion headers with a valid signature and any number of bins, processors and packets.

use crate::forge::{container, take_bytes};
use crate::world::World;
use tallybox_facilitator::intake::intake;
use tallybox_facilitator::progress::no_progress;
use tallybox_model::avro::Record;
use tallybox_model::digest::Digest;
use tallybox_model::header::{IngestionHeader, PRIME};
use tallybox_model::packet::DataSharePacket;
use tallybox_model::role::Role;

thread_local! {
    static WORLDS: [World; 2] = Role::ALL.map(World::new);
}

pub fn run(mut data: &[u8]) {
    let [other] = take_bytes(&mut data);
    let bins = i32::from_le_bytes(take_bytes(&mut data));
    let number = i64::from_le_bytes(take_bytes(&mut data));
    let records = u32::from_le_bytes(take_bytes(&mut data));
    // The block begins with the input and has enough bytes for the announced number of records.
    let mut block = data.to_vec();
    block.resize(block.len().max(records as usize % (1 << 17)), 0);
    let packets = match records {
        0 => Vec::new(),
        _ => container(DataSharePacket::KIND.schema_json().as_bytes(), "null", u64::from(records), &block),
    };
    WORLDS.with(|worlds| {
        for world in worlds {
            let header = |digest: Digest| {
                let epsilon = f64::from_bits(number as u64);
                let mut header = IngestionHeader { bins, epsilon, batch_end_time: number, ..world.header(digest) };
                match other {
                    1 => header.prime = number,
                    2 => header.number_of_servers = number as i32,
                    3 => header.name = String::from_utf8_lossy(data).into_owned(),
                    _ => header.hamming_weight = Some(number as i32),
                }
                header
            };
            world.runtime.block_on(async {
                world.ingest(&packets, header).await;
                let done = intake(&world.processor, &world.name, no_progress()).await;
                assert!(done.is_err() || (other != 1 || number == PRIME), "a field that Prio2 does not have");
                assert!(done.is_err() || (other != 2 || number as i32 == 2), "a number that we are not");
                world.clear().await;
            });
        }
    });
}
