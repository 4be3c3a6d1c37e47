//! Shutdown, and the health checks of stuck workers and unreachable buckets.

use std::sync::Arc;
use std::time::Duration;

use tallybox_facilitator::worker::watch_buckets;
use tallybox_model::task::QueueKind;
use tallybox_queue::TaskQueue as _;
use tallybox_service::operations::Operable as _;
use tallybox_transport::faults::{FaultKind, Faults};
use tokio::time::Instant;

use crate::world::{BucketFault, World, emptied, start};

/// The predecessor checked for the signal only between tasks, so that a long task was killed while
/// its lease still ran.
#[tokio::test(start_paused = true)]
async fn w20_a_worker_that_is_told_to_stop_gives_its_tasks_back_within_five_seconds() {
    let world = World::new("dim8", Duration::from_secs(600));
    let mut processor = world.processor();
    processor.buckets.ingestion =
        BucketFault::Slow(Duration::from_secs(100_000)).wrap(processor.buckets.ingestion);
    let running = start(world.worker(processor));
    world.publish_intakes().await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let depth = world.intake.depth().await.unwrap();
    assert_eq!(
        (depth.ready, depth.held),
        (Some(1), Some(2)),
        "two tasks have to be leased"
    );
    let begun = Instant::now();
    let worker = Arc::clone(&running.worker);
    running.stop().await;
    assert!(
        begun.elapsed() <= Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
    let depth = world.intake.depth().await.unwrap();
    assert_eq!(
        (depth.ready, depth.held),
        (Some(3), Some(0)),
        "all tasks have to be available immediately"
    );
    assert!(!worker.readiness().ready());
    let returned_tasks = r#"facilitator_tasks_handed_back_total{queue="intake"}"#;
    assert_eq!(crate::world::metric(&worker, returned_tasks), 2);

    // Another worker completes them.
    let other = start(world.worker(world.processor()));
    emptied(&world.intake).await;
    other.stop().await;
}

#[tokio::test(start_paused = true)]
async fn w20_a_task_that_ends_in_a_moment_is_not_given_back() {
    let world = World::new("dim2", Duration::from_secs(600));
    let mut processor = world.processor();
    processor.buckets.ingestion =
        BucketFault::Slow(Duration::from_millis(500)).wrap(processor.buckets.ingestion);
    let running = start(world.worker(processor));
    let task = world.intake_task(&world.case.batches()[0]);
    world.intake.publish(task.into()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    running.stop().await;
    let depth = world.intake.depth().await.unwrap();
    assert_eq!((depth.ready, depth.held), (Some(0), Some(0)));
}

#[tokio::test(start_paused = true)]
async fn an_idle_worker_stops_within_a_moment_and_loses_no_message_that_comes_meanwhile() {
    let world = World::new("dim2", Duration::from_secs(600));
    let running = start(world.worker(world.processor()));
    tokio::time::sleep(Duration::from_secs(25)).await;
    running.stop.cancel();
    let task = world.intake_task(&world.case.batches()[0]);
    world.intake.publish(task.into()).await.unwrap();
    let begun = Instant::now();
    running.task.await.unwrap();
    assert!(
        begun.elapsed() <= Duration::from_secs(2),
        "{:?}",
        begun.elapsed()
    );
    // The task was handed back or is done; in both cases no lease is left.
    assert_eq!(world.intake.depth().await.unwrap().held, Some(0));
}

#[tokio::test(start_paused = true)]
async fn a_stuck_task_fails_liveness_and_an_idle_or_busy_worker_does_not() {
    let world = World::new("dim2", Duration::from_secs(600));
    let mut processor = world.processor();
    processor.buckets.ingestion =
        BucketFault::Slow(Duration::from_secs(100_000)).wrap(processor.buckets.ingestion);
    let running = start(world.worker(processor));
    tokio::time::sleep(Duration::from_secs(10_000)).await;
    assert!(
        running.worker.stuck().is_empty(),
        "{:?}",
        running.worker.stuck()
    );
    let task = world.intake_task(&world.case.batches()[0]);
    world.intake.publish(task.into()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(800)).await;
    assert!(
        running.worker.stuck().is_empty(),
        "{:?}",
        running.worker.stuck()
    );
    tokio::time::sleep(Duration::from_secs(200)).await;
    let stuck = running.worker.stuck();
    assert!(
        stuck.len() == 1 && stuck[0].contains(QueueKind::Intake.as_str()),
        "{stuck:?}"
    );
    running.stop().await;
}

/// Without this check, an idle worker would not detect that its buckets are unreachable, and a busy
/// one would only log it.
#[tokio::test(start_paused = true)]
async fn a_worker_whose_bucket_does_not_answer_for_a_minute_is_not_ready() {
    let world = World::new("dim2", Duration::from_secs(600));
    let mut processor = world.processor();
    // The third request and all later ones fail.
    processor.buckets.own = Faults::new(3, FaultKind::Die).wrap(processor.buckets.own);
    let worker = world.worker(processor);
    let watching = tokio::spawn(watch_buckets(Arc::clone(&worker)));
    tokio::time::sleep(Duration::from_secs(75)).await;
    assert!(worker.readiness().ready(), "{:?}", worker.readiness());
    tokio::time::sleep(Duration::from_secs(10)).await;
    let reasons = worker.readiness().reasons;
    assert!(
        reasons.len() == 1 && reasons[0].starts_with("the own bucket has been out of reach for 6"),
        "{reasons:?}"
    );
    assert!(reasons[0].ends_with("the process is dead"), "{reasons:?}");
    watching.abort();
}
