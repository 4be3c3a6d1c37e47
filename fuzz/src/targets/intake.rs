//! The packet file of an ingestor that signs any content, with an intake by both roles.

use crate::forge::as_container;
use crate::world::{World, objects};
use tallybox_facilitator::intake::intake;
use tallybox_facilitator::progress::no_progress;
use tallybox_model::avro::{ContainerReader, Record, RecordReader};
use tallybox_model::packet::{DataSharePacket, ValidationPacket};
use tallybox_model::role::Role;

thread_local! {
    static WORLDS: [World; 2] = Role::ALL.map(World::new);
}

pub fn run(data: &[u8]) {
    let packets = as_container(data, DataSharePacket::KIND);
    WORLDS.with(|worlds| {
        for world in worlds {
            world.runtime.block_on(both_runs(world, &packets));
            world.runtime.block_on(world.clear());
        }
    });
}

async fn both_runs(world: &World, packets: &[u8]) {
    let World { processor, name, .. } = world;
    world.ingest(packets, |digest| world.header(digest)).await;
    let out = &*processor.buckets.peer_validation_out;
    let first = intake(processor, name, no_progress()).await;
    let published = objects(out).await;
    let second = intake(processor, name, no_progress()).await;
    // The second run finds the objects of the first, and has the same outcome.
    assert_eq!(objects(out).await, published);
    assert_eq!(objects(&*processor.buckets.sum_parts).await.len(), 0);
    match (first, second) {
        (Ok(first), Ok(second)) => {
            assert!(second.done_before && !first.done_before);
            assert_eq!(first.packets_accepted, second.packets_accepted);
            let counted = first.packets_accepted + first.packets_rejected + first.duplicates;
            assert_eq!(counted, first.packets_read, "each packet is one of accepted, rejected, repeated");
            let file = published.get(&name.validation(processor.buckets.role).packets).map_or(&[][..], |file| &file[..]);
            assert_eq!(messages(file), first.packets_accepted);
        }
        (Err(first), Err(second)) => {
            assert_eq!(first.exit(), second.exit());
            assert!(published.is_empty(), "something was published of a batch that fails");
        }
        (first, second) => panic!("once {first:?}, once {second:?}"),
    }
}

/// Returns the number of messages in a validation file that the processor wrote.
fn messages(file: &[u8]) -> u64 {
    if file.is_empty() {
        return 0;
    }
    let mut reader = ContainerReader::open(file, &Default::default()).expect("a file of ours");
    let mut count = 0;
    while let Some(block) = reader.next_block().expect("a file of ours") {
        for packet in RecordReader::<ValidationPacket>::new(&block, reader.schema(), &Default::default()) {
            packet.expect("a packet of ours");
            count += 1;
        }
    }
    count
}
