//! The view of operators: gauges of waiting work, and a scheduler whose dependencies are out of
//! reach.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use std::sync::Arc;
use std::time::Duration;

use support::{World, at, batch, hour};
use tallybox_model::task::QueueKind;
use tallybox_queue::{SharedQueue, TaskQueue as _};
use tallybox_service::operations::Operable as _;
use tallybox_transport::faults::{FaultKind, Faults};
use tallybox_workflow_manager::leader::Alone;
use tallybox_workflow_manager::serve::{RunHeartbeat, Scheduler};
use tallybox_workflow_manager::start::QueueStarter;
use tokio_util::sync::CancellationToken;

const AGG: &str = "kittens-seen";

fn gauge(world: &World, name: &str) -> i64 {
    let text = world.manager.metrics.text();
    let name = format!("workflow_manager_{name} ");
    let value = text.lines().find_map(|line| line.strip_prefix(&name));
    value
        .unwrap_or_else(|| panic!("{name} in {text}"))
        .parse()
        .unwrap()
}

#[tokio::test]
async fn open_batches_and_waiting_windows_have_their_age() {
    let world = World::new(at("09/30"));
    let ages = || {
        [
            "open_batches",
            "open_batch_age_seconds",
            "waiting_window_age_seconds",
        ]
        .map(|name| gauge(&world, name))
    };
    world.run().await;
    assert_eq!(ages(), [0, 0, 0]);
    let (old, new) = (batch(AGG, at("08/15"), 1), batch(AGG, at("09/20"), 2));
    world.ingest(&old).await;
    world.ingest(&new).await;
    world.run().await;
    assert_eq!(ages(), [2, 75 * 60, 30 * 60]);
    world.both(&batch(AGG, at("08/16"), 3)).await;
    world.validate(&old).await;
    world.prepare(&old).await;
    world.done(&hour(AGG, at("08/00"))).await;
    world.set(at("09/40"));
    world.run().await;
    assert_eq!(ages(), [1, 20 * 60, 0]);
}

#[tokio::test]
async fn rejected_tasks_are_counted_once_each_until_they_are_done() {
    let mut world = World::new(at("08/30"));
    let rejected: SharedQueue = Arc::new(world.intake.rejected());
    world.manager.starter = Arc::new(QueueStarter {
        intake: Arc::new(world.intake.clone()),
        aggregate: Arc::new(world.aggregate.clone()),
        rejected: [(QueueKind::Intake, rejected)].into(),
    });
    let name = batch(AGG, at("08/00"), 1);
    world.ingest(&name).await;
    // It is started and rejected twice.
    for now in ["08/30", "09/00"] {
        world.set(at(now));
        world.run().await;
        let delivery = world.intake.receive(Duration::ZERO).await.unwrap().unwrap();
        world.intake.reject(&delivery, "unknown-key").await.unwrap();
    }
    world.set(at("09/05"));
    world.run().await;
    assert_eq!(gauge(&world, r#"rejected_tasks{queue="intake"}"#), 1);
    assert_eq!(world.intake.depth().await.unwrap().rejected, Some(2));
    world.prepare(&name).await;
    world.run().await;
    assert_eq!(gauge(&world, r#"rejected_tasks{queue="intake"}"#), 0);
}

#[tokio::test(start_paused = true)]
async fn a_scheduler_that_reaches_no_bucket_for_a_minute_is_not_ready() {
    let mut world = World::new(at("08/30"));
    world.ingest(&batch(AGG, at("08/00"), 1)).await;
    let faults = Faults::new(100, FaultKind::Die);
    world.manager.buckets.own = faults.wrap(world.own.clone());
    let scheduler = Arc::new(Scheduler {
        manager: world.manager,
        election: Arc::new(Alone),
        poll: Duration::from_secs(1),
        lease: Duration::from_secs(60),
        stuck: Duration::from_secs(1800),
        heartbeat: RunHeartbeat::default(),
    });
    let (stop, running) = (CancellationToken::new(), Arc::clone(&scheduler));
    let ending = stop.clone();
    let task = tokio::spawn(async move { running.run(&ending).await });
    while faults.operations() < 100 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(scheduler.readiness().ready(), "{:?}", scheduler.readiness());
    }
    tokio::time::sleep(Duration::from_secs(50)).await;
    let readiness = scheduler.readiness();
    assert!(
        readiness.ready() && !readiness.warnings.is_empty(),
        "{readiness:?}"
    );
    tokio::time::sleep(Duration::from_secs(15)).await;
    let reasons = scheduler.readiness().reasons;
    assert!(
        reasons.len() == 1 && reasons[0].contains("the process is dead"),
        "{reasons:?}"
    );
    stop.cancel();
    task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_scheduler_whose_own_bucket_is_silent_is_not_ready_while_its_run_waits() {
    let mut world = World::new(at("08/30"));
    world.manager.buckets.own = Faults::new(1, FaultKind::Die).wrap(world.own.clone());
    let scheduler = Scheduler {
        manager: world.manager,
        election: Arc::new(Alone),
        poll: Duration::from_secs(1),
        lease: Duration::from_secs(60),
        stuck: Duration::from_secs(1800),
        heartbeat: RunHeartbeat::default(),
    };
    let watching = tokio::time::timeout(Duration::from_secs(65), scheduler.watch_own_bucket());
    assert!(watching.await.is_err());
    let reasons = scheduler.readiness().reasons;
    let is_reported =
        |reason: &String| reason.starts_with("the own bucket has been out of reach for 6");
    assert!(reasons.iter().any(is_reported), "{reasons:?}");
}
