//! Known weaknesses of ENPA's workflow manager, by their number in the list: each test fails on the
//! old behaviour.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use std::sync::Arc;

use async_trait::async_trait;
use support::{World, at, batch, day, hour, put};
use tallybox_model::time::BatchTime;
use tallybox_queue::TaskQueue as _;
use tallybox_service::exit::Exit;
use tallybox_transport::intercept::{Decision, Intercepted, Interceptor, OperationKind, Request};
use tallybox_transport::{BucketError, SharedBucket, memory};

const AGG: &str = "kittens-seen";

/// ENPA's workflow manager considered one window per run: a missed window was lost.
#[tokio::test]
async fn w3_windows_that_were_missed_are_caught_up_oldest_first() {
    let world = World::new(day(1, "00/00"));
    let starts: Vec<BatchTime> = [(1, "10/00"), (2, "03/00"), (2, "04/00"), (3, "23/00")]
        .map(|(number, time)| day(number, time))
        .to_vec();
    for (number, start) in starts.iter().enumerate() {
        world
            .both(&batch(AGG, *start, u8::try_from(number).unwrap()))
            .await;
    }
    world.set(day(4, "00/10"));
    world.run().await;
    let sums: Vec<BatchTime> = world
        .sums()
        .await
        .iter()
        .map(|task| task.name.window.start())
        .collect();
    assert_eq!(sums, starts);
}

/// Each side of ENPA chose batches independently: after one late validation, two sum parts could
/// not be added.
#[tokio::test]
async fn w3_with_rosters_no_side_names_batches_by_itself() {
    let world = World::with_rosters(at("00/00"), at("00/00"));
    let window = hour(AGG, at("08/00"));
    world.both(&batch(AGG, at("08/00"), 1)).await;
    put(&world.own, &window.agreed()).await;
    world.set(at("09/10"));
    world.run().await;
    let tasks = world.window_tasks().await;
    assert_eq!(tasks.len(), 1);
    assert!(tasks[0].is_sum_agreed());
}

/// A task whose lease expired too often was lost, and its marker prevented another start.
#[tokio::test]
async fn w7_a_task_that_is_lost_is_started_again_by_its_missing_outcome() {
    let world = World::new(at("08/30"));
    let name = batch(AGG, at("08/00"), 1);
    world.ingest(&name).await;
    world.both(&batch(AGG, at("08/05"), 2)).await;
    world.run().await;
    assert_eq!(
        world.intakes().await.len(),
        1,
        "taken off the queue, and lost"
    );
    world.set(at("09/10"));
    world.run().await;
    assert_eq!(world.intakes().await, std::slice::from_ref(&name));
    assert_eq!(world.sums().await.len(), 1, "lost, too");
    world.prepare(&name).await;
    world.set(at("09/40"));
    world.run().await;
    assert_eq!(
        (world.intakes().await.len(), world.sums().await.len()),
        (0, 1)
    );
}

/// One misnamed object stopped the scheduling of its aggregation and of all later ones.
#[tokio::test]
async fn w18_misnamed_objects_are_passed_over_and_counted() {
    let world = World::new(at("08/30"));
    let name = batch(AGG, at("08/00"), 1);
    world.ingest(&name).await;
    for key in [
        "kittens-seen/2026/03/01/08/00/notes.txt",
        "kittens-seen/2026/03/01/08/readme",
        "kittens-seen/2026/03/01/08/00/x.batch.sig",
        "kittens-seen/2026/03/01/8/00/01010101-0101-0101-0101-010101010101.batch",
        ".trash/2026/x",
        "no name/x",
    ] {
        put(&world.ingestion, key).await;
    }
    put(&world.mailbox, "kittens-seen/2026/03/01/08/00/whatever").await;
    put(&world.own, "task-markers/nonsense").await;
    put(
        &world.own,
        "windows/kittens-seen/202603010800-202603010900.new-thing",
    )
    .await;
    let summary = world.run().await;
    assert_eq!(
        summary.unknown_objects.count, 8,
        "{:?}",
        summary.unknown_objects
    );
    assert_eq!(summary.exit(), Exit::Done);
    assert_eq!(world.intakes().await, [name]);
}

/// An error of one aggregation ended the program, with exit status 0.
#[tokio::test]
async fn w18_one_aggregation_that_fails_holds_up_no_other_and_shows_in_the_exit_code() {
    let inner = memory("ingestion");
    let broken = OneBroken {
        directory: "b-broken",
    };
    let broken = Intercepted::wrap(inner.clone(), broken);
    let world = World::with(at("08/30"), broken, memory("own"), memory("mailbox"));
    let names = ["a-good", "b-broken", "c-good"].map(|name| batch(name, at("08/00"), 1));
    for name in &names {
        let objects = name.ingestion();
        for key in [objects.packets, objects.header, objects.signature] {
            put(&inner, &key).await;
        }
    }
    let summary = world.manager.run_once().await.unwrap();
    assert_eq!(summary.failed.len(), 1);
    assert_eq!(summary.failed[0].what, "b-broken");
    assert_eq!(summary.exit(), Exit::Retry);
    assert_eq!(world.intakes().await, [names[0].clone(), names[2].clone()]);
}

/// Times were formatted in the machine's time zone, and a trailing part of an hour was missed where
/// listings were hourly.
#[tokio::test]
async fn w19_ranges_are_exact_to_the_minute_on_every_kind_of_bucket() {
    let directory = tempfile::tempdir().unwrap();
    let local = |name: &str| -> SharedBucket {
        Arc::new(tallybox_transport::LocalBucket::new(
            directory.path().join(name),
        ))
    };
    for (ingestion, own) in [
        (memory("ingestion"), memory("own")),
        (local("ingestion"), local("own")),
    ] {
        let mut world = World::with(day(3, "08/17"), ingestion, own, memory("mailbox"));
        world.manager.policy.look_back_minutes = 90;
        world.manager.policy.horizon_minutes = 90;
        let inside = ["06/47", "06/59", "07/00", "08/17", "09/59"].map(|time| day(3, time));
        let inside = inside.into_iter().chain([day(4, "08/00"), day(4, "08/16")]);
        let outside = [day(3, "06/46"), day(4, "08/17"), day(4, "08/30")];
        let mut expected = Vec::new();
        for (number, date) in inside.enumerate() {
            expected.push(batch(AGG, date, u8::try_from(number).unwrap()));
        }
        for name in expected
            .iter()
            .cloned()
            .chain(outside.map(|date| batch(AGG, date, 99)))
        {
            world.ingest(&name).await;
        }
        world.run().await;
        assert_eq!(world.intakes().await, expected);
        assert_eq!(world.intake.depth().await.unwrap().ready, Some(0));
    }
}

/// A bucket in which one directory cannot be listed.
#[derive(Debug)]
struct OneBroken {
    directory: &'static str,
}

#[async_trait]
impl Interceptor for OneBroken {
    async fn before(&self, request: &Request<'_>) -> Result<Decision, BucketError> {
        if request.kind == OperationKind::List && request.key == self.directory {
            return Err(request.unavailable("the server is on fire"));
        }
        Ok(Decision::Proceed)
    }
}
