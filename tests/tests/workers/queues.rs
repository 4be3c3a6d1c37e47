//! Queues with transient errors, and leases during slow operations.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tallybox_facilitator::worker::Worker;
use tallybox_model::task::QueueKind;
use tallybox_queue::{SharedQueue, TaskQueue as _};

use crate::world::{BucketFault, Flaky, World, config, emptied, start};

/// The predecessor renewed its lease only after all packets were decrypted. If the work before that
/// exceeded the lease, the task was delivered to a second worker.
#[tokio::test(start_paused = true)]
async fn w7_a_lease_is_kept_from_the_moment_of_receipt_however_slow_the_bucket_is() {
    let world = World::new("dim2", Duration::from_secs(600));
    let mut processor = world.processor();
    processor.buckets.ingestion =
        BucketFault::Slow(Duration::from_secs(2000)).wrap(processor.buckets.ingestion);
    let queue = Flaky::new(Arc::new(world.intake.clone()), [("extend", 2)]);
    let worker = Worker::new(
        processor,
        [(QueueKind::Intake, Arc::clone(&queue) as SharedQueue)],
        config(),
    );
    let running = start(worker);
    let task = world.intake_task(&world.case.batches()[0]);
    world.intake.publish(task.into()).await.unwrap();
    emptied(&world.intake).await;
    assert_eq!(
        queue.received.load(Ordering::SeqCst),
        1,
        "the task was delivered a second time"
    );
    assert!(running.metric("facilitator_leases_extended_total") >= 20);
    assert_eq!(
        running.metric("facilitator_leases_lost_total"),
        0,
        "two failed renewals must not lose the lease"
    );
    running.stop().await;
}

/// Each of these errors ended the predecessor's worker.
#[tokio::test(start_paused = true)]
async fn w26_failed_receives_acks_extensions_and_rejections_end_no_worker() {
    let world = World::new("dim8", Duration::from_secs(600));
    let mut processor = world.processor();
    processor.buckets.ingestion =
        BucketFault::Slow(Duration::from_secs(500)).wrap(processor.buckets.ingestion);
    let failures = [("receive", 5), ("ack", 2), ("extend", 3), ("reject", 1)];
    let queue = Flaky::new(Arc::new(world.intake.clone()), failures);
    let worker = Worker::new(
        processor,
        [(QueueKind::Intake, Arc::clone(&queue) as SharedQueue)],
        config(),
    );
    let running = start(worker);
    world.publish_intakes().await;
    world.intake.publish("poison".into()).await.unwrap();
    emptied(&world.intake).await;
    assert!(!running.task.is_finished());
    assert_eq!(
        running.metric(r#"facilitator_tasks_total{task="intake",outcome="done"}"#),
        3
    );
    for (operation, failed) in failures {
        let name =
            format!(r#"facilitator_queue_errors_total{{queue="intake",operation="{operation}"}}"#);
        assert_eq!(running.metric(&name), u64::from(failed), "{operation}");
    }
    assert_eq!(World::rejected(&world.intake).await.len(), 1);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn w26_an_ack_that_never_succeeds_brings_the_task_back_and_it_is_done_a_second_time() {
    let world = World::new("dim2", Duration::from_secs(600));
    let queue = Flaky::new(Arc::new(world.intake.clone()), [("ack", 4)]);
    let worker = Worker::new(
        world.processor(),
        [(QueueKind::Intake, Arc::clone(&queue) as SharedQueue)],
        config(),
    );
    let running = start(worker);
    let task = world.intake_task(&world.case.batches()[0]);
    world.intake.publish(task.into()).await.unwrap();
    emptied(&world.intake).await;
    assert_eq!(queue.received.load(Ordering::SeqCst), 2);
    assert_eq!(
        running.metric("facilitator_packets_accepted_total"),
        20,
        "counted once"
    );
    running.stop().await;
}
