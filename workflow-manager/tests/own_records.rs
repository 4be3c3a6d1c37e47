//! Each small record that the workflow manager reads in the own bucket, changed without a record
//! key: no work is started because of it, and the error names the object.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use bytes::Bytes;
use support::{World, at, batch, hour, records};
use tallybox_model::extensions::{ANNOUNCED, ROSTERS_FROM};
use tallybox_model::path::leader;
use tallybox_model::task::{TaskMarker, TaskName, WindowKind};
use tallybox_transport::{BucketError, SharedBucket, TRAILER_BYTES, publish_bytes, read_all};
use tallybox_workflow_manager::error::Error;
use tallybox_workflow_manager::leader::{BucketLock, Election};

const AGG: &str = "kittens-seen";

/// Replaces an object with other bytes: the last digit differs.
async fn edit(own: &SharedBucket, key: &str) {
    let mut object = read_all(&**own, key, 1 << 20).await.unwrap().to_vec();
    let payload = object.len() - TRAILER_BYTES;
    let digit = object[..payload]
        .iter_mut()
        .rev()
        .find(|byte| byte.is_ascii_digit())
        .unwrap();
    *digit = if *digit == b'1' { b'2' } else { b'1' };
    replace(own, key, object.into()).await;
}

async fn replace(own: &SharedBucket, key: &str, object: Bytes) {
    own.delete(key).await.unwrap();
    publish_bytes(&**own, key, object, false).await.unwrap();
}

#[tokio::test]
async fn the_batches_of_a_window_and_its_markers() {
    let world = World::new(at("09/10"));
    let (name, window) = (batch(AGG, at("08/00"), 1), hour(AGG, at("08/00")));
    world.both(&name).await;
    world.run().await;
    assert_eq!(world.sums().await.len(), 1);
    let marker = TaskMarker {
        task: TaskName::Window(WindowKind::Aggregate, window.clone()),
        attempt: 1,
        at: None,
    };
    for key in [window.batches(), marker.name()] {
        let good = read_all(&*world.own, &key, 1 << 20).await.unwrap();
        edit(&world.own, &key).await;
        // Simulates a restarted program, with empty caches.
        let mut second_world = World::with(
            at("10/10"),
            world.ingestion.clone(),
            world.own.clone(),
            world.mailbox.clone(),
        );
        second_world.manager.buckets = world.manager.buckets.clone();
        let summary = second_world.manager.run_once().await.unwrap();
        assert!(summary.started.is_empty(), "{summary:?}");
        let [failed] = summary.failed.as_slice() else {
            panic!("{summary:?}")
        };
        assert!(
            failed.problem.contains(&key) && failed.problem.contains("cannot be trusted"),
            "{failed:?}"
        );
        replace(&world.own, &key, good).await;
    }
    // A marker of ENPA's workflow manager is not a record, and its task is not started again.
    replace(
        &world.own,
        &marker.name(),
        "aggregate-of-another-program".into(),
    )
    .await;
    let second_world = World::with(
        at("10/10"),
        world.ingestion.clone(),
        world.own.clone(),
        world.mailbox.clone(),
    );
    assert!(second_world.run().await.started.is_empty());
}

#[tokio::test]
async fn the_switches_of_rosters() {
    let world = World::with_rosters(at("07/00"), at("10/00"));
    world.run().await;
    for key in [ANNOUNCED, ROSTERS_FROM] {
        let good = read_all(&*world.own, key, 1 << 20).await.unwrap();
        edit(&world.own, key).await;
        let error = world.manager.run_once().await.unwrap_err();
        assert!(
            matches!(&error, Error::Bucket(BucketError::Unverified { key: named, .. }) if named == key),
            "{error}"
        );
        replace(&world.own, key, good).await;
    }
    world.run().await;
}

#[tokio::test]
async fn who_leads() {
    let world = World::new(at("08/00"));
    let lock = BucketLock {
        own: world.own.clone(),
        records: records(),
        holder: "one".to_owned(),
        lease_millis: 60_000,
        clock: world.manager.clock.clone(),
    };
    lock.campaign().await.unwrap();
    edit(&world.own, &leader(1)).await;
    let error = lock.campaign().await.unwrap_err();
    assert!(error.to_string().contains(&leader(1)), "{error}");
}
