//! A spool that fails: every acknowledged report is durable, and no durable report is lost.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tallybox_ingestor::batch::{BatchOptions, batch};
use tallybox_service::clock::Clock;
use tallybox_transport::faults::{FaultKind, Faults, FaultyBucket};
use tallybox_transport::memory;

use crate::world::*;

#[tokio::test(start_paused = true)]
async fn a_dead_spool_acknowledges_nothing() {
    let inner = memory("spool");
    // The scan of the plans is the first operation.
    let faults = Faults::new(2, FaultKind::Die);
    let world = World::with(|ingestor| ingestor.spool = faults.wrap(Arc::clone(&inner))).await;
    let answer = world.post_report(&report(0)).await;
    assert_eq!(
        (answer.problem(), answer.status.as_u16()),
        ("unavailable", 503)
    );
    let seconds: u32 = answer.header("retry-after").parse().unwrap();
    assert!((1..=30).contains(&seconds));
    assert!(faults.operations() > 3, "it was tried more than once");
    let answer = world.post_many(&[report(0), report(1)]).await;
    assert_eq!(
        (answer.problem(), answer.status.as_u16()),
        ("unavailable", 503)
    );
    assert!(!answer.header("retry-after").is_empty());
    // One report is invalid in any case: the client learns this when the others are stored.
    let mut bad = report(2);
    bad.bins = 4;
    let answer = world.post_many(&[report(0), bad.clone()]).await;
    assert_eq!(
        (answer.problem(), answer.status.as_u16()),
        ("unavailable", 503)
    );
    assert_eq!(
        world.post_many(&[bad.clone(), bad]).await.results(),
        ["parameterMismatch"; 2]
    );
    let ready = world.ready().await;
    assert_eq!(ready.status, 503);
    assert!(String::from_utf8_lossy(&ready.body).contains("could not be written"));
    assert!(slabs(&*inner).await.is_empty());
    let line = format!(
        "ingestor_reports_rejected_total{{locality=\"us-xx\",metric=\"{NOTIFIED}\",reason=\"unavailable\"}}"
    );
    assert_eq!(world.count(&line), 4);
    assert_eq!(world.count("ingestor_memory_in_use_bytes"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_write_that_fails_is_tried_again_under_another_name() {
    for kind in [FaultKind::Fail, FaultKind::FailAfterEffect] {
        // The operations are: create, write the reports, write the trailer, commit.
        for operation in 2..=5 {
            let inner = memory("spool");
            let faults = Faults::new(operation, kind);
            let world =
                World::with(|ingestor| ingestor.spool = faults.wrap(Arc::clone(&inner))).await;
            assert_eq!(
                outcome(&world.post_report(&report(0)).await.result()),
                "accepted"
            );
            assert_eq!(world.ready().await.status, 200);
            assert_eq!(
                world.count("ingestor_slab_failures_total{locality=\"us-xx\"}"),
                1
            );
            let slabs = slabs(&*inner).await;
            let copies = if operation == 5 && kind == FaultKind::FailAfterEffect {
                2
            } else {
                1
            };
            assert_eq!(slabs.len(), copies, "{kind:?} {operation}");
            assert!(slabs.values().all(|ids| *ids == [report(0).id]));
            assert_eq!(
                outcome(&world.post_report(&report(0)).await.result()),
                "alreadyAccepted"
            );
        }
    }
}

/// Whichever operation on the spool fails, or is the last one: every acknowledged report is in the
/// spool and is batched once.
#[tokio::test(start_paused = true)]
async fn what_was_acknowledged_is_batched_once_whatever_operation_fails() {
    for kind in [FaultKind::Fail, FaultKind::FailAfterEffect, FaultKind::Die] {
        let mut interrupted = 0;
        for n in 1.. {
            let inner = memory("spool");
            let faults = Faults::new(n, kind);
            let world =
                World::with(|ingestor| ingestor.spool = faults.wrap(Arc::clone(&inner))).await;
            let mut acknowledged = Vec::new();
            for index in 0..4 {
                let report = report(index);
                // Posted twice, as by clients that lost the answer.
                for _ in 0..2 {
                    let answer = world.post_report(&report).await;
                    if answer.status == 200 {
                        acknowledged.push(report.id.clone());
                    } else {
                        assert_eq!(answer.problem(), "unavailable");
                    }
                }
            }
            world.app.close().await;
            if faults.operations() < n {
                break;
            }
            interrupted += 1;
            acknowledged.dedup();
            if kind != FaultKind::Die {
                assert_eq!(acknowledged.len(), 4, "{kind:?} at {n}: it is tried again");
            }
            let stored: BTreeSet<_> = slabs(&*inner).await.into_values().flatten().collect();
            assert!(
                acknowledged.iter().all(|id| stored.contains(id)),
                "{kind:?} at {n}: {acknowledged:?} in {stored:?}"
            );
            let mut job = open(&world.directory);
            job.spool = inner;
            job.clock = Clock::manual(NOW + HOUR);
            job.batches.min_packets = 1;
            let summary = batch(&job, &job.localities[LOCALITY], &BatchOptions::default())
                .await
                .unwrap();
            let batched: u64 = summary.windows.iter().map(|window| window.batched).sum();
            assert_eq!(batched, stored.len() as u64, "{kind:?} at {n}");
        }
        assert!(
            interrupted > 8,
            "{kind:?} interrupted only {interrupted} times"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_spool_that_cannot_be_listed_is_not_ready_until_it_can() {
    let world =
        World::with(|ingestor| ingestor.spool = FaultyBucket::fail_after(memory("spool"), 0)).await;
    assert_eq!(world.ready().await.status, 503);
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert_eq!(world.ready().await.status, 200);
}

#[tokio::test]
async fn who_goes_away_takes_nobody_along() {
    let world = World::with(|ingestor| ingestor.serve.slab_millis = 50).await;
    let gone = tokio::spawn({
        let router = world.app.router();
        let request = post_to(LOCALITY, report_json(&report(0)), JSON);
        async move { tower::ServiceExt::oneshot(router, request).await }
    });
    let second = report(1);
    let stays = world.post_report(&second);
    let leaving = async {
        // Wait until the report is admitted.
        let line =
            format!("ingestor_reports_received_total{{locality=\"us-xx\",metric=\"{NOTIFIED}\"}}");
        while world.count(&line) < 2 {
            tokio::task::yield_now().await;
        }
        gone.abort();
    };
    let (answer, ()) = tokio::join!(stays, leaving);
    assert_eq!(outcome(&answer.result()), "accepted");
    let mut both = [report(0).id, report(1).id];
    both.sort();
    assert_eq!(world.stored().await, both);
    assert_eq!(
        outcome(&world.post_report(&report(0)).await.result()),
        "alreadyAccepted"
    );
    assert_eq!(world.count("ingestor_memory_in_use_bytes"), 0);
}

#[tokio::test]
async fn the_end_writes_and_answers_what_is_there_and_takes_no_more() {
    let world = World::with(|ingestor| ingestor.serve.slab_millis = 3_600_000).await;
    let posts: Vec<_> = (0..20)
        .map(|index| {
            let (router, request) = (
                world.app.router(),
                post_to(LOCALITY, report_json(&report(index)), JSON),
            );
            tokio::spawn(async move {
                HttpAnswer::read(tower::ServiceExt::oneshot(router, request).await.unwrap()).await
            })
        })
        .collect();
    let line =
        format!("ingestor_reports_received_total{{locality=\"us-xx\",metric=\"{NOTIFIED}\"}}");
    while world.count(&line) < 20 {
        tokio::task::yield_now().await;
    }
    world.app.close().await;
    for post in posts {
        assert_eq!(outcome(&post.await.unwrap().result()), "accepted");
    }
    assert_eq!(world.stored().await.len(), 20);
    assert_eq!(world.ready().await.status, 503);
    assert_eq!(
        world.post_report(&report(30)).await.problem(),
        "unavailable"
    );
}

#[tokio::test]
async fn slabs_close_by_size_too() {
    let world = World::with(|ingestor| {
        ingestor.serve.slab_millis = 3_600_000;
        ingestor.serve.slab_bytes = 10_000;
    })
    .await;
    // Reports of 400 bytes each; write requests are never split, so all reports go into one slab.
    let first: Vec<_> = (0..30).map(report).collect();
    assert_eq!(world.post_many(&first).await.results(), ["accepted"; 30]);
    assert_eq!(world.slabs().await.len(), 1);
    // Many write requests fill one slab after the other.
    let posts = (100..160).map(|index| {
        let world = &world;
        async move { world.post_report(&report(index)).await.result() }
    });
    let closing = async {
        let line =
            format!("ingestor_reports_received_total{{locality=\"us-xx\",metric=\"{NOTIFIED}\"}}");
        while world.count(&line) < 90 {
            tokio::task::yield_now().await;
        }
        world.app.close().await;
    };
    let (results, ()) = tokio::join!(futures::future::join_all(posts), closing);
    assert!(results.iter().all(|result| outcome(result) == "accepted"));
    let slabs = world.slabs().await;
    assert!(slabs.len() >= 3, "{}", slabs.len());
    assert_eq!(world.stored().await.len(), 90);
}

#[tokio::test(start_paused = true)]
async fn a_spool_that_does_not_answer_for_a_minute_makes_the_server_not_ready_without_a_request() {
    // The scans of the plans come first, and one check of the spool succeeds.
    let faults = Faults::new(4, FaultKind::Die);
    let world = World::with(|ingestor| ingestor.spool = faults.wrap(memory("spool"))).await;
    let app = Arc::clone(&world.app);
    let watching = tokio::spawn(async move { app.watch_spool().await });
    tokio::time::sleep(Duration::from_secs(50)).await;
    assert_eq!(world.ready().await.status, 200);
    tokio::time::sleep(Duration::from_secs(60)).await;
    let ready = world.ready().await;
    let body = String::from_utf8_lossy(&ready.body).into_owned();
    assert!(
        ready.status == 503 && body.contains("the spool has been out of reach for"),
        "{body}"
    );
    assert!(body.contains("the process is dead"), "{body}");
    watching.abort();
}
