//! Successive runs with memory buckets and memory queues.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use support::{World, at, batch, day, hour};

const AGG: &str = "kittens-seen";

#[tokio::test]
async fn a_complete_batch_is_taken_in_once() {
    let world = World::new(at("08/30"));
    let name = batch(AGG, at("08/00"), 1);
    world.ingest(&name).await;
    let incomplete = batch(AGG, at("08/05"), 2);
    support::put(&world.ingestion, &incomplete.ingestion().signature).await;
    let summary = world.run().await;
    assert_eq!(summary.started.len(), 1);
    assert_eq!(world.intakes().await, std::slice::from_ref(&name));
    assert!(world.run().await.started.is_empty(), "the marker dampens");
    world.prepare(&name).await;
    world.set(at("12/00"));
    assert!(world.run().await.started.is_empty(), "the outcome is there");
}

#[tokio::test]
async fn a_task_without_an_outcome_is_started_again() {
    let world = World::new(at("08/30"));
    let name = batch(AGG, at("08/00"), 1);
    world.ingest(&name).await;
    for (now, attempt) in [
        ("08/30", 1),
        ("08/59", 0),
        ("09/00", 2),
        ("09/29", 0),
        ("09/30", 3),
    ] {
        world.set(at(now));
        let summary = world.run().await;
        let attempts: Vec<u32> = summary.started.iter().map(|task| task.attempt).collect();
        assert_eq!(
            attempts,
            Vec::from_iter((attempt > 0).then_some(attempt)),
            "{now}"
        );
    }
    assert_eq!(world.intakes().await.len(), 3);
}

#[tokio::test]
async fn tasks_and_markers_are_the_predecessors() {
    let world = World::new(at("09/10"));
    let name = batch(AGG, at("08/05"), 1);
    world.ingest(&name).await;
    world.validate(&name).await;
    world.run().await;
    // A window names only batches whose intake is done.
    world.prepare(&name).await;
    world.run().await;
    use tallybox_queue::TaskQueue as _;
    let body = |delivery: Option<tallybox_queue::Delivery>| {
        String::from_utf8(delivery.unwrap().body.to_vec()).unwrap()
    };
    let intake = body(
        world
            .intake
            .receive(std::time::Duration::ZERO)
            .await
            .unwrap(),
    );
    let aggregate = body(
        world
            .aggregate
            .receive(std::time::Duration::ZERO)
            .await
            .unwrap(),
    );
    assert_eq!(
        intake,
        concat!(
            r#"{"trace-id":"INTAKE","aggregation-id":"kittens-seen","#,
            r#""batch-id":"01010101-0101-0101-0101-010101010101","date":"2026/03/01/08/05"}"#
        )
        .replace("INTAKE", &intake[13..49])
    );
    assert_eq!(
        aggregate,
        concat!(
            r#"{"trace-id":"SUM","aggregation-id":"kittens-seen","aggregation-start":"2026/03/01/08/00","#,
            r#""aggregation-end":"2026/03/01/09/00","#,
            r#""batches":[{"id":"01010101-0101-0101-0101-010101010101","time":"2026/03/01/08/05"}]}"#
        )
        .replace("SUM", &aggregate[13..49])
    );
    let marker =
        "task-markers/intake-kittens-seen-2026-03-01-08-05-01010101-0101-0101-0101-010101010101";
    assert!(world.own.size(marker).await.is_ok());
    let marker = "task-markers/aggregate-kittens-seen-2026-03-01-08-00-2026-03-01-09-00";
    let text = support::records()
        .read(&*world.own, marker, 1000)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        text,
        "aggregate-kittens-seen-2026-03-01-08-00-2026-03-01-09-00 2026/03/01/09/10"
    );
}

#[tokio::test]
async fn a_window_is_summed_when_its_grace_has_passed_and_names_what_is_on_both_sides() {
    let world = World::new(at("09/09"));
    let [both, ours, theirs, next] = [(8, 1), (8, 2), (8, 3), (9, 4)]
        .map(|(hour, number)| batch(AGG, at(&format!("{hour:02}/00")), number));
    for name in [&both, &next] {
        world.both(name).await;
    }
    world.ingest(&ours).await;
    world.prepare(&ours).await;
    world.validate(&theirs).await;
    world.run().await;
    assert!(world.sums().await.is_empty());
    world.set(at("09/10"));
    let summary = world.run().await;
    assert_eq!(
        summary.skipped_by_peer,
        [ours.to_string()],
        "said before the sum is made"
    );
    let sums = world.sums().await;
    assert_eq!(sums.len(), 1);
    assert_eq!(
        sums[0].batches.as_deref(),
        Some(std::slice::from_ref(&both))
    );
    // Batches that arrive later are late; the window is started again with the same batches.
    world.ingest(&theirs).await;
    world.validate(&ours).await;
    world.set(at("09/40"));
    let summary = world.run().await;
    assert_eq!(summary.late, [theirs.to_string()]);
    assert_eq!(summary.skipped_by_peer, [ours.to_string()]);
    let repeated = world.sums().await;
    assert_eq!(
        (repeated.len(), &repeated[0].batches),
        (1, &sums[0].batches)
    );
    world.done(&hour(AGG, at("08/00"))).await;
    world.set(at("09/59"));
    let summary = world.run().await;
    assert_eq!(
        (
            summary.started.len(),
            summary.skipped_by_peer.len(),
            summary.late.len()
        ),
        (0, 0, 1)
    );
}

#[tokio::test]
async fn with_rosters_a_window_goes_through_all_its_steps() {
    let world = World::with_rosters(at("07/00"), at("08/00"));
    let (name, window) = (batch(AGG, at("08/00"), 1), hour(AGG, at("08/00")));
    world.both(&name).await;
    world.set(at("09/10"));
    let step = async |world: &World| {
        world.run().await;
        let tasks = world.window_tasks().await;
        assert!(tasks.len() < 2);
        tasks.into_iter().next()
    };
    assert!(
        step(&world)
            .await
            .is_some_and(|task| task.is_roster() && task.name == window)
    );
    assert!(step(&world).await.is_none());
    support::put(&world.own, &window.roster(world.manager.policy.role)).await;
    assert!(step(&world).await.is_none(), "it waits for the peer");
    support::put(
        &world.mailbox,
        &window.roster(world.manager.policy.role.peer()),
    )
    .await;
    assert!(step(&world).await.is_some_and(|task| task.is_roster()));
    assert!(step(&world).await.is_none());
    support::put(&world.own, &window.agreed()).await;
    assert!(step(&world).await.is_some_and(|task| task.is_sum_agreed()));
    assert!(step(&world).await.is_none());
    world.done(&window).await;
    world.set(at("10/09"));
    assert!(step(&world).await.is_none());
    // The next window has no batch, and gets a roster nevertheless.
    world.set(at("10/10"));
    assert!(
        step(&world)
            .await
            .is_some_and(|task| task.is_roster() && task.name == hour(AGG, at("09/00")))
    );
}

#[tokio::test]
async fn windows_before_the_switch_are_the_predecessors() {
    let world = World::with_rosters(at("07/00"), at("08/00"));
    let [before, after] = ["07/00", "08/00"].map(|start| batch(AGG, at(start), 1));
    world.both(&before).await;
    world.both(&after).await;
    world.set(at("09/10"));
    world.run().await;
    let tasks = world.window_tasks().await;
    assert!(tasks[0].batches.is_some() && tasks[0].name == hour(AGG, at("07/00")));
    assert!(tasks[1].is_roster() && tasks[1].name == hour(AGG, at("08/00")));
}

#[tokio::test]
async fn a_roster_of_the_peers_is_answered_without_a_batch_of_ours() {
    let world = World::with_rosters(at("07/00"), at("08/00"));
    let window = hour(AGG, at("08/00"));
    support::put(
        &world.mailbox,
        &window.roster(world.manager.policy.role.peer()),
    )
    .await;
    world.set(at("09/10"));
    world.run().await;
    let tasks = world.window_tasks().await;
    assert_eq!(tasks.len(), 1);
    assert!(tasks[0].is_roster() && tasks[0].name == window);
}

/// A window that is older than the horizon is not started any more, and does not disappear either.
#[tokio::test]
async fn a_window_that_was_never_summed_is_reported_until_it_is_summed_or_acknowledged() {
    let world = World::new(day(2, "10/00"));
    let starts = ["01/00", "02/00", "03/00", "04/00"].map(|start| day(1, start));
    for (number, start) in (1..).zip(starts) {
        world.both(&batch(AGG, start, number)).await;
    }
    // This batch is incomplete, and the third window is summed.
    support::put(
        &world.ingestion,
        &batch(AGG, day(1, "06/00"), 9).ingestion().packets,
    )
    .await;
    let names = starts.map(|start| hour(AGG, start));
    world.done(&names[2]).await;
    let given_up = async || {
        let observation = world
            .manager
            .observe(world.manager.policy.scope(world.manager.now()))
            .await
            .unwrap();
        let all = observation
            .assessment
            .given_up
            .into_iter()
            .chain(observation.assessment.passed);
        all.map(|name| name.window.start()).collect::<Vec<_>>()
    };
    let counted = |count: u32| {
        let line = format!("workflow_manager_windows_given_up_total {count}\n");
        assert!(
            world.manager.metrics.text().contains(&line),
            "{}",
            world.manager.metrics.text()
        );
    };
    world.run().await;
    assert_eq!(given_up().await, []);
    // The first two windows have passed the horizon of seven days, the fourth has not; no run took
    // place for a day.
    world.set(day(8, "03/30"));
    let started = world.run().await.started;
    assert!(
        started
            .iter()
            .all(|task| !task.task.contains("20260301010")),
        "{started:?}"
    );
    assert_eq!(given_up().await, starts[..2]);
    counted(2);
    world.run().await;
    counted(2);
    // Another process sees the record, too, and does not report it again.
    let other = World::with(
        day(8, "03/40"),
        world.ingestion.clone(),
        world.own.clone(),
        world.mailbox.clone(),
    );
    other.run().await;
    assert!(
        other
            .manager
            .metrics
            .text()
            .contains("workflow_manager_windows_given_up_total 0\n")
    );
    assert!(
        other
            .manager
            .metrics
            .text()
            .contains("workflow_manager_windows_given_up_now 2\n")
    );
    let acknowledged = world
        .manager
        .acknowledge(&AGG.parse().unwrap(), Some(day(1, "01/30")))
        .await;
    assert_eq!(acknowledged.unwrap(), names[..1]);
    let repeated = world
        .manager
        .acknowledge(&AGG.parse().unwrap(), Some(day(1, "01/30")))
        .await;
    assert!(repeated.is_err());
    assert_eq!(given_up().await, starts[1..2]);
    // Long after, when no other record exists and its batches have been deleted.
    world.set(day(30, "00/00"));
    assert_eq!(given_up().await, starts[1..2]);
    world.done(&names[1]).await;
    assert_eq!(given_up().await, []);
}
