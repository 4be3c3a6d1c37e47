//! The validation packets of a peer that signs anything, joined with an intake of ours.

use crate::forge::as_container;
use crate::world::{INVALID_PROOF, World};
use std::sync::Arc;
use tallybox_facilitator::aggregate::{AggregateTask, aggregate};
use tallybox_facilitator::config::Points;
use tallybox_facilitator::intake::no_progress;
use tallybox_model::avro::Record;
use tallybox_model::header::{PRIME, ValidationHeader};
use tallybox_model::packet::ValidationPacket;
use tallybox_model::role::Role;
use tallybox_model::time::Window;

thread_local! {
    static WORLD: World = world();
}

/// A processor that has taken the batch in.
fn world() -> World {
    let world = World::new(Role::First, Points::Pinned);
    // The corpus begins with what the predecessor's facilitator validated of this batch.
    world.runtime.block_on(world.taken_in(INVALID_PROOF));
    world
}

pub fn run(data: &[u8]) {
    let validation = as_container(data, ValidationPacket::KIND);
    WORLD.with(|world| world.runtime.block_on(summed(world, &validation)));
}

async fn summed(world: &World, packets: &[u8]) {
    let World { processor, name, .. } = world;
    let inbox = &*processor.buckets.peer_validation_in;
    let objects = name.validation(Role::Second);
    let header = |digest| ValidationHeader::new(name.id, world.parameters(), digest);
    world.put(inbox, objects.clone(), header, packets, ("peer", &world.peer)).await;
    let window = Window::new(name.date, name.date.plus_minutes(1).expect("a later minute")).expect("a window");
    let task = AggregateTask { aggregation: name.aggregation.clone(), window, batches: Vec::new(), dry_run: true };
    if let Ok(summary) = aggregate(&Arc::clone(processor), &task, no_progress()).await {
        assert!(summary.packets_accepted > 0, "a window of nothing");
        let counted = summary.packets_accepted + summary.packets_rejected + summary.duplicates;
        assert_eq!(counted, summary.packets_read, "each packet is one of accepted, rejected, repeated");
        assert_eq!(summary.sum.len(), 8);
        assert!(summary.sum.iter().all(|value| i64::from(*value) < PRIME));
    }
    for object in [objects.header, objects.packets, objects.signature] {
        inbox.delete(&object).await.expect("a bucket in memory");
    }
}
