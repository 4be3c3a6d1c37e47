//! Slabs belong to the current window by the server's clock, and never to a window that is closed.

use async_trait::async_trait;
use bytes::Bytes;
use tallybox_model::spool::SpoolNames;
use tallybox_service::clock::Clock;
use tallybox_transport::intercept::{Intercepted, Interceptor, OperationKind};
use tallybox_transport::{Bucket, memory, publish_bytes};

use crate::world::*;

fn names() -> SpoolNames {
    SpoolNames::new(format!("{LOCALITY}-ingestor").parse().unwrap())
}

async fn plan(spool: &dyn Bucket, window: &str) {
    let key = names().plan(window.parse().unwrap());
    publish_bytes(spool, &key, Bytes::from_static(b"{}"), false)
        .await
        .unwrap();
}

/// Returns the windows of all slabs, in the order of their names.
async fn windows(world: &World) -> Vec<String> {
    world.slabs().await.keys().map(|key| window(key)).collect()
}

/// Posts a report and returns the window of its slab.
async fn post_at(world: &World, index: u64) -> String {
    let mut report = report(index);
    report.created = None;
    assert_eq!(
        outcome(&world.post_report(&report).await.result()),
        "accepted"
    );
    let slabs = world.slabs().await;
    let (key, _) = slabs
        .iter()
        .find(|(_, ids)| ids.contains(&report.id))
        .unwrap();
    window(key)
}

#[tokio::test]
async fn slabs_follow_the_clock_across_the_hour_the_day_and_back() {
    let world = World::new().await;
    assert_eq!(post_at(&world, 0).await, "2026/11/23/10/00");
    world.clock.set(NOW + 40 * MINUTE - 1);
    assert_eq!(post_at(&world, 1).await, "2026/11/23/10/00");
    world.clock.set(NOW + 40 * MINUTE);
    assert_eq!(post_at(&world, 2).await, "2026/11/23/11/00");
    world.clock.set(NOW + 14 * HOUR);
    assert_eq!(post_at(&world, 3).await, "2026/11/24/00/00");
    // A step back of a day, without any plan: the window follows the clock.
    world.clock.set(NOW - 24 * HOUR);
    assert_eq!(post_at(&world, 4).await, "2026/11/22/10/00");
    assert_eq!(
        world.count("ingestor_clock_behind_total{locality=\"us-xx\"}"),
        0
    );
}

#[tokio::test]
async fn no_slab_stands_in_a_planned_window() {
    let spool = memory("spool");
    plan(&*spool, "2026/11/23/09/00").await;
    plan(&*spool, "2026/11/23/10/00").await;
    // Plans of another instance have no effect.
    publish_bytes(
        &*spool,
        "us-yy-ingestor/plans/2026/12/23/10/00.plan",
        Bytes::from_static(b"{}"),
        false,
    )
    .await
    .unwrap();
    let world = World::with(|ingestor| ingestor.spool = spool).await;
    // The clock shows 10:20, but 10:00 is planned: the clock is behind.
    assert_eq!(post_at(&world, 0).await, "2026/11/23/11/00");
    assert_eq!(
        world.count("ingestor_clock_behind_total{locality=\"us-xx\"}"),
        1
    );
    let ready = world.ready().await;
    assert_eq!(ready.status, 200);
    assert!(String::from_utf8_lossy(&ready.body).contains("the clock is behind"));
    // A step back of two days does not change this.
    world.clock.set(NOW - 48 * HOUR);
    assert_eq!(post_at(&world, 1).await, "2026/11/23/11/00");
    world.app.refresh_windows().await;
    assert_eq!(post_at(&world, 2).await, "2026/11/23/11/00");
    // Later plans are found.
    world.clock.set(NOW + HOUR);
    world.app.refresh_windows().await;
    assert_eq!(post_at(&world, 3).await, "2026/11/23/11/00");
    assert!(!String::from_utf8_lossy(&world.ready().await.body).contains("behind"));
    plan(&*world.spool, "2026/11/23/12/00").await;
    world.app.refresh_windows().await;
    assert_eq!(post_at(&world, 4).await, "2026/11/23/13/00");
}

/// The server measures the lag of batching, whichever process batches.
#[tokio::test]
async fn reports_that_nobody_batches_are_noticed() {
    let world = World::new().await;
    let behind = async || {
        world.app.refresh_windows().await;
        world.count("ingestor_batching_behind_seconds{locality=\"us-xx\"}")
    };
    assert_eq!(behind().await, 0);
    post_at(&world, 0).await;
    assert_eq!(behind().await, 0, "the window is still open");
    world.clock.set(NOW + 3 * HOUR);
    // The window ended at 11:00, and the clock shows 13:20.
    assert_eq!(behind().await, 140 * 60);
    plan(&*world.spool, "2026/11/23/10/00").await;
    assert_eq!(behind().await, 140 * 60, "planned is not batched");
    let record = names().record("2026/11/23/10/00".parse().unwrap(), "00000000");
    publish_bytes(&*world.spool, &record, Bytes::from_static(b"{}"), false)
        .await
        .unwrap();
    assert_eq!(behind().await, 0);
}

/// A bucket that simulates a suspended process: the clock advances while an object is being
/// created.
#[derive(Debug)]
struct Pausing {
    clock: Clock,
    /// The times that the clock shows after each creation, in order.
    then: std::sync::Mutex<Vec<i64>>,
}

#[async_trait]
impl Interceptor for Pausing {
    fn changed(&self, _: OperationKind, _: &str) {
        let mut then = self.then.lock().unwrap();
        if !then.is_empty() {
            self.clock.set(then.remove(0));
        }
    }
}

async fn paused(then: &[i64]) -> World {
    World::with(|ingestor| {
        let pausing = Pausing {
            clock: ingestor.clock.clone(),
            then: then.to_vec().into(),
        };
        ingestor.spool = Intercepted::wrap(memory("spool"), pausing);
    })
    .await
}

/// The window of 10:00 ends at 11:00 and is planned at 11:05, so none of its slabs is acknowledged
/// from 11:02:30 on.
const LAST: i64 = NOW + 42 * MINUTE + 30_000 - 1;

#[tokio::test]
async fn a_paused_replica_acknowledges_only_what_its_window_still_takes() {
    let world = paused(&[LAST]).await;
    assert_eq!(
        outcome(&world.post_report(&report(0)).await.result()),
        "accepted"
    );
    assert_eq!(windows(&world).await, ["2026/11/23/10/00"]);
}

#[tokio::test]
async fn a_replica_paused_too_long_writes_once_more() {
    let world = paused(&[LAST + 1]).await;
    assert_eq!(
        world.post_many(&[report(0), report(1)]).await.results(),
        ["accepted"; 2]
    );
    // The late slab exists and is harmless; the acknowledged one belongs to the current window.
    assert_eq!(
        windows(&world).await,
        ["2026/11/23/10/00", "2026/11/23/11/00"]
    );
    assert!(world.slabs().await.values().all(|ids| ids.len() == 2));
    assert_eq!(
        world.count("ingestor_slabs_late_total{locality=\"us-xx\"}"),
        1
    );
    // The process is suspended repeatedly.
    let world = paused(&[NOW + 2 * HOUR, NOW + 4 * HOUR, NOW + 6 * HOUR]).await;
    assert_eq!(
        outcome(&world.post_report(&report(0)).await.result()),
        "accepted"
    );
    let expected = [
        "2026/11/23/10/00",
        "2026/11/23/12/00",
        "2026/11/23/14/00",
        "2026/11/23/16/00",
    ];
    assert_eq!(windows(&world).await, expected);
}
