//! Runs the ingestor on a real S3 server, SeaweedFS: the guarantees for local buckets also hold
//! there.
//!
//! `TALLYBOX_WEED` is the path of the server, as `scripts/seaweedfs` prints it. Without it the
//! tests print a note and pass, except in CI, where they fail. The `ingestor` needs support for S3.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod crash_load;
mod seaweed;
#[path = "../../ingestor/tests/support/mod.rs"]
mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crash_load::site::Site;
use crash_load::{LoadTest, number, run_load_test};
use seaweed::Seaweed;
use support::World;
use tallybox_ingestor::batch::BatchOptions;
use tallybox_transport::conformance::conformance_of_tree;
use tallybox_transport::faults::{FaultKind, Faults};

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_of_s3_does_what_every_bucket_has_to() {
    let Some(weed) = Seaweed::start().await else {
        return;
    };
    let next = AtomicU64::new(0);
    conformance_of_tree(|| {
        weed.bucket(&format!(
            "conformance-{}",
            next.fetch_add(1, Ordering::SeqCst)
        ))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_broken_off_at_any_operation_is_completed_by_the_next() {
    let Some(weed) = Seaweed::start().await else {
        return;
    };
    let (undisturbed, reports) = World::new().with_two_windows().await;
    undisturbed.batch().await.unwrap();
    undisturbed.batched().await.assert_exactly(&reports);
    // The objects on S3 equal those in memory.
    let expected = undisturbed.snapshot().await;
    let mut failures = 0;
    let every = number("TALLYBOX_S3_EVERY", 4) as usize;
    for kind in [FaultKind::Fail, FaultKind::FailAfterEffect, FaultKind::Die] {
        // Each run starts at a random operation.
        for n in (1 + rand::random_range(0..every as u64)..).step_by(every) {
            let bucket = |name: &str| weed.bucket(&format!("crash-{kind:?}-{n}/{name}"));
            let world = World::over(bucket("spool"), ["first", "second"].map(bucket));
            let (world, _) = world.with_two_windows().await;
            let faults = Faults::new(n, kind);
            let ingestor = world.ingestor_over(
                faults.wrap(Arc::clone(&world.spool)),
                world
                    .mailboxes
                    .each_ref()
                    .map(|mailbox| faults.wrap(Arc::clone(mailbox))),
            );
            let first = world.batch_with(&ingestor, &BatchOptions::default()).await;
            if faults.operations() < n {
                first.unwrap();
                assert!(world.snapshot().await == expected, "undisturbed");
                break;
            }
            failures += 1;
            for (key, bytes) in world.snapshot().await {
                assert!(expected.get(&key) == Some(&bytes), "{kind:?} {n}: {key}");
            }
            world.batch().await.unwrap();
            assert!(
                world.snapshot().await == expected,
                "{kind:?} at operation {n}"
            );
        }
    }
    println!("{failures} operations failed");
    assert!(failures * every > 180, "only {failures} operations failed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_was_acknowledged_is_batched_exactly_once() {
    let Some(weed) = Seaweed::start().await else {
        return;
    };
    let seed = number("TALLYBOX_KILL_SEED", rand::random());
    println!("TALLYBOX_KILL_SEED={seed}");
    let load = LoadTest {
        windows: 12,
        reports: 100,
        seconds: number("TALLYBOX_KILL_SECONDS", 15),
        stretch: 15,
        posters: 8,
        last_kills: 8,
    };
    run_load_test(Site::new(seed, |name| weed.location(name)), load, seed).await;
}
