//! Configuration and keys that change while a worker runs.

use std::sync::Arc;
use std::time::Duration;

use tallybox_facilitator::worker::{Source, watch};
use tallybox_queue::TaskQueue as _;
use tallybox_service::operations::Operable as _;
use tallybox_service::shutdown::Reload;

use crate::world::{World, emptied, start};

/// Waits until a metric has at least this value.
async fn becomes(running: &crate::world::Running, name: &str, value: u64) {
    for _ in 0..4000 {
        if running.metric(name) >= value {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("{name} is {}, not {value}", running.metric(name));
}

/// The predecessor read its keys only when the process started, which therefore had to end once an
/// hour.
#[tokio::test(flavor = "multi_thread")]
async fn new_keys_are_used_once_the_worker_is_asked_and_a_broken_configuration_changes_nothing() {
    let world = World::new("dim2", Duration::from_secs(600));
    let good = std::fs::read_to_string(&world.config).unwrap();
    // The packets are sealed to the keys of the first role; these are the keys of the second.
    let other_keys = good.replacen("pha-packet-2.x963", "facilitator-packet-2.x963", 1);
    let other_keys = other_keys.replacen("pha-packet-1.x963", "facilitator-packet-1.x963", 1);
    assert_ne!(good, other_keys);
    std::fs::write(&world.config, &other_keys).unwrap();
    let source = Source::new(&world.config);
    let worker = world.worker(source.open().unwrap());
    let running = start(Arc::clone(&worker));
    let (asker, reload) = Reload::channel();
    let watching = tokio::spawn(watch(Arc::clone(&worker), source, reload, Duration::ZERO));

    let task = world.intake_task(&world.case.batches()[0]);
    world.intake.publish(task.into()).await.unwrap();
    let retried = r#"facilitator_tasks_total{task="intake",outcome="retry"}"#;
    becomes(&running, retried, 1).await;

    std::fs::write(&world.config, "role: [").unwrap();
    asker.ask();
    becomes(&running, "facilitator_reload_failures_total", 1).await;
    assert_eq!(worker.readiness().warnings.len(), 1);
    assert!(
        worker.readiness().ready(),
        "the worker is not ready, although the old keys are in use"
    );

    std::fs::write(&world.config, &good).unwrap();
    asker.ask();
    becomes(&running, "facilitator_reloads_total", 1).await;
    assert!(worker.readiness().warnings.is_empty());
    emptied(&world.intake).await;
    assert_eq!(running.metric("facilitator_packets_accepted_total"), 20);
    watching.abort();
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_changes_is_read_again_by_itself() {
    let world = World::new("dim2", Duration::from_secs(600));
    let source = Source::new(&world.config);
    let worker = world.worker(source.open().unwrap());
    let running = start(Arc::clone(&worker));
    let (_asker, reload) = Reload::channel();
    let watching = tokio::spawn(watch(
        Arc::clone(&worker),
        source,
        reload,
        Duration::from_millis(20),
    ));
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(
        running.metric("facilitator_reloads_total"),
        0,
        "the worker reloaded, although no file has changed"
    );
    let sealing = world.config.parent().unwrap().join("sealing.b64");
    std::fs::write(sealing, "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHho= \n").unwrap();
    becomes(&running, "facilitator_reloads_total", 1).await;
    watching.abort();
    running.stop().await;
}
