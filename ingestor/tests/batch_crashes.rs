//! The batcher, interrupted at every operation on every bucket, and several concurrent jobs: the
//! bytes are always the same.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use support::*;
use tallybox_ingestor::batch::BatchOptions;
use tallybox_ingestor::ingestor::Ingestor;
use tallybox_transport::faults::{FaultKind, Faults};

async fn filled() -> (World, Vec<Stored>) {
    World::new().with_two_windows().await
}

async fn undisturbed() -> (BTreeMap<String, Bytes>, Vec<Stored>) {
    let (world, all) = filled().await;
    world.batch().await.unwrap();
    world.batched().await.assert_exactly(&all);
    (world.snapshot().await, all)
}

fn under(world: &World, faults: &Faults) -> Ingestor {
    let wrap = |bucket: &tallybox_transport::SharedBucket| faults.wrap(Arc::clone(bucket));
    world.ingestor_over(wrap(&world.spool), world.mailboxes.each_ref().map(wrap))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_broken_off_at_any_operation_is_completed_by_the_next() {
    let (expected, _) = undisturbed().await;
    for kind in [FaultKind::Fail, FaultKind::FailAfterEffect, FaultKind::Die] {
        let mut interrupted = 0;
        for n in 1.. {
            let (world, _) = filled().await;
            let faults = Faults::new(n, kind);
            let ingestor = under(&world, &faults);
            let first = world.batch_with(&ingestor, &BatchOptions::default()).await;
            if faults.operations() < n {
                assert!(first.is_ok());
                break;
            }
            interrupted += 1;
            // Every object that exists after the fault has the bytes of an undisturbed run.
            for (key, bytes) in world.snapshot().await {
                assert!(expected.get(&key) == Some(&bytes), "{kind:?} {n}: {key}");
            }
            world.batch().await.unwrap();
            assert!(
                world.snapshot().await == expected,
                "{kind:?} at operation {n}"
            );
        }
        assert!(
            interrupted > 60,
            "{kind:?} interrupted only {interrupted} times"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_jobs_at_once_write_what_one_would() {
    let (expected, _) = undisturbed().await;
    for round in 0..20 {
        let (world, _) = filled().await;
        let ingestors = [world.ingestor(), world.ingestor(), world.ingestor()];
        let options = [0, 1, 2].map(|seed| BatchOptions {
            partition_seed: seed + round,
            ..BatchOptions::default()
        });
        let runs = ingestors.iter().zip(&options);
        let runs = runs.map(|(ingestor, options)| world.batch_with(ingestor, options));
        for done in futures::future::join_all(runs).await {
            done.unwrap();
        }
        assert!(world.snapshot().await == expected, "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn jobs_that_share_a_window_by_partition_write_it_together() {
    let (expected, _) = undisturbed().await;
    let (world, _) = filled().await;
    let ingestor = world.ingestor();
    let shard_options = |ours| BatchOptions {
        shard: Some((ours, 2)),
        ..BatchOptions::default()
    };
    let alone = world
        .batch_with(&ingestor, &shard_options(0))
        .await
        .unwrap();
    let (_, waiting) = alone.waiting.expect("the other half is missing");
    assert!(
        waiting.iter().all(|partition| partition % 2 == 1),
        "{waiting:?}"
    );
    // Window by window, each job writes its partitions until all windows are complete.
    for _ in 0..4 {
        for ours in [1, 0] {
            world
                .batch_with(&ingestor, &shard_options(ours))
                .await
                .unwrap();
        }
    }
    assert!(world.snapshot().await == expected);
}

/// Two concurrent jobs, of which one dies at some operation, with slabs that arrive in between:
/// each report is batched once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_job_that_dies_beside_another_loses_nothing() {
    for n in (1..80).step_by(3) {
        let (world, all) = filled().await;
        let (dying, living) = (
            under(&world, &Faults::new(n, FaultKind::Die)),
            world.ingestor(),
        );
        let options = BatchOptions::default();
        let late = reports(NOTIFIED, 50..56);
        let (_, living, _) = futures::future::join3(
            world.batch_with(&dying, &options),
            world.batch_with(&living, &options),
            world.slab(time(START), &late),
        )
        .await;
        living.unwrap();
        world.at(185);
        world.batch().await.unwrap();
        world.batched().await.assert_exactly(&[all, late].concat());
    }
}
