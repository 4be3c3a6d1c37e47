//! The validation packets of a peer that signs any content, aggregated with an honest intake.

use crate::forge::as_container;
use crate::world::{INVALID_PROOF, World, clear};
use tallybox_facilitator::aggregate::{AggregateTask, aggregate};
use tallybox_facilitator::progress::no_progress;
use tallybox_model::avro::Record;
use tallybox_model::header::PRIME;
use tallybox_model::packet::ValidationPacket;
use tallybox_model::role::Role;
use tallybox_model::time::Window;

thread_local! {
    static WORLD: World = world();
}

/// Returns a processor that has completed an intake. The corpus begins with the predecessor's
/// validation of that batch.
fn world() -> World {
    let world = World::new(Role::First);
    world.runtime.block_on(world.take_in(INVALID_PROOF));
    world
}

pub fn run(data: &[u8]) {
    let validation = as_container(data, ValidationPacket::KIND);
    WORLD.with(|world| {
        world.runtime.block_on(async {
            world.validate(&validation).await;
            dry_run(world).await;
            clear(&*world.processor.buckets.peer_validation_in).await;
        });
    });
}

async fn dry_run(world: &World) {
    let World { processor, name, .. } = world;
    let window = Window::new(name.date, name.date.plus_minutes(1).expect("a later minute")).expect("a window");
    let task = AggregateTask { aggregation: name.aggregation.clone(), window, batches: Vec::new(), dry_run: true };
    if let Ok(summary) = aggregate(processor, &task, no_progress()).await {
        assert!(summary.packets_accepted > 0, "a window of nothing");
        let counted = summary.packets_accepted + summary.packets_rejected + summary.duplicates;
        assert_eq!(counted, summary.packets_read, "each packet is one of accepted, rejected, repeated");
        assert_eq!(summary.sum.len(), 8);
        assert!(summary.sum.iter().all(|value| i64::from(*value) < PRIME));
    }
}
