//! What earlier runs have left in the spool: lists and marks that this run cannot continue, and
//! slabs and records that are no longer needed.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use support::*;
use tallybox_ingestor::admission::ReportCache;
use tallybox_ingestor::batch::{BatchOptions, Redelivery, redeliver};
use tallybox_ingestor::error::Error;
use tallybox_ingestor::ingestor::Ingestor;
use tallybox_ingestor::metrics::Metrics;
use tallybox_ingestor::spool::{Collector, WriteOutcome};
use tallybox_transport::faults::{FaultKind, Faults};
use tallybox_transport::intercept::{Decision, Intercepted, Interceptor, OperationKind, Request};
use tallybox_transport::{BucketError, SharedBucket};

/// Changes the record with this name.
async fn edit(world: &World, key: &str, change: impl Fn(&[u8]) -> Vec<u8>) {
    let text = world.records().read(&*world.spool, key, 1 << 20).await;
    let changed = change(&text.unwrap().unwrap());
    world.spool.delete(key).await.unwrap();
    let created = world.records().create(&*world.spool, key, &changed).await;
    created.unwrap();
}

/// Changes the list of the first partition of the first window.
async fn edit_list(world: &World, change: impl Fn(&mut serde_json::Value)) {
    let list = names().list(time(START), 0);
    edit(world, &list, |text| {
        let mut list = serde_json::from_slice(text).unwrap();
        change(&mut list);
        serde_json::to_vec(&list).unwrap()
    })
    .await;
}

fn next_generation(list: &mut serde_json::Value) {
    list["generation"] = (list["generation"].as_u64().unwrap() + 1).into();
}

fn one_packet_more(list: &mut serde_json::Value) {
    let packets = &mut list["batches"][0]["packets"];
    *packets = (packets.as_u64().unwrap() + 1).into();
}

/// Returns a world in which a job has died while it wrote the first partition to the second mailbox.
async fn broken_off() -> World {
    let (world, _) = World::new().with_two_windows().await;
    let [first, second] = world.mailboxes.each_ref();
    let second = Faults::new(2, FaultKind::Die).wrap(Arc::clone(second));
    let cut_off = world.ingestor_over(Arc::clone(&world.spool), [Arc::clone(first), second]);
    world
        .batch_with(&cut_off, &BatchOptions::default())
        .await
        .unwrap_err();
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_that_another_version_has_fixed_are_not_continued() {
    let world = broken_off().await;
    edit_list(&world, one_packet_more).await;
    let conflict = world.batch().await.unwrap_err();
    assert!(
        matches!(conflict, Error::Bucket(BucketError::Conflict { .. })),
        "{conflict}"
    );
    edit_list(&world, next_generation).await;
    let other = world.batch().await.unwrap_err();
    assert!(matches!(other, Error::Generation { .. }), "{other}");
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_that_another_version_has_written_are_not_redelivered() {
    let (world, _) = World::new().with_two_windows().await;
    world.batch().await.unwrap();
    let ingestor = world.ingestor();
    let all = Redelivery {
        window: time(START),
        batches: BTreeSet::new(),
        sides: [true; 2],
    };
    edit_list(&world, one_packet_more).await;
    let changed = redeliver(&ingestor, locality(&ingestor), &all).await;
    let changed = changed.unwrap_err();
    assert!(matches!(changed, Error::Damaged { .. }), "{changed}");
    edit_list(&world, next_generation).await;
    let other = redeliver(&ingestor, locality(&ingestor), &all).await;
    let other = other.unwrap_err();
    assert!(matches!(other, Error::Generation { .. }), "{other}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mark_of_another_plan_is_damage() {
    let (world, _) = World::new().with_two_windows().await;
    let shard = BatchOptions {
        shard: Some((0, 2)),
        ..BatchOptions::default()
    };
    let ingestor = world.ingestor();
    world.batch_with(&ingestor, &shard).await.unwrap();
    let mark = names().partition_written(time(START), 0);
    edit(&world, &mark, |text| vec![b'0'; text.len()]).await;
    let error = world.batch().await.unwrap_err();
    assert!(
        matches!(&error, Error::Damaged { object, .. } if *object == mark),
        "{error}"
    );
}

/// The number of deletions.
#[derive(Clone, Debug, Default)]
struct Deletions(Arc<AtomicU64>);

#[async_trait]
impl Interceptor for Deletions {
    async fn before(&self, request: &Request<'_>) -> Result<Decision, BucketError> {
        if request.kind == OperationKind::Delete {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
        Ok(Decision::Proceed)
    }
}

/// Slabs are kept for two hours after the end of their window. A record is kept for twice the time
/// for which replays are looked up: here for 8 windows.
#[tokio::test(flavor = "multi_thread")]
async fn slabs_and_records_are_deleted_in_time_and_not_earlier() {
    let world = World::new();
    let deletions = Deletions::default();
    let spool: SharedBucket = Intercepted::wrap(Arc::clone(&world.spool), deletions.clone());
    let run = async || {
        let mut ingestor = world.ingestor_over(Arc::clone(&spool), world.mailboxes.clone());
        ingestor.acceptance.max_age_hours = 1;
        ingestor.acceptance.max_ahead_minutes = 0;
        ingestor.batches.max_carry_windows = 0;
        ingestor.batches.keep_slabs_hours = 2;
        let before = deletions.0.load(Ordering::SeqCst);
        let summary = world
            .batch_with(&ingestor, &BatchOptions::default())
            .await
            .unwrap();
        let deleted = deletions.0.load(Ordering::SeqCst) - before;
        assert_eq!(summary.deleted, deleted);
        deleted
    };
    let has = async |key: &str| world.spool.size(key).await.is_ok();
    let record = |start: &str| names().record(time(start), &world.secrets[0].id());

    let slab = world.slab(time(START), &reports(NOTIFIED, 0..6)).await;
    for minutes in [65, 180] {
        world.at(minutes);
        assert_eq!(run().await, 0, "{minutes} minutes");
    }
    assert!(has(&slab).await);
    world.at(181);
    assert_ne!(run().await, 0);
    assert!(!has(&slab).await);

    world
        .slab(time("2026/11/23/18/05"), &reports(NOTIFIED, 6..12))
        .await;
    world.at(9 * 60 + 5);
    // The first run prunes the plan; records of windows that still have a plan stay in any case.
    run().await;
    run().await;
    assert!(has(&record(START)).await, "8 windows before the last one");
    world
        .slab(time("2026/11/23/19/05"), &reports(NOTIFIED, 12..18))
        .await;
    world.at(10 * 60 + 5);
    run().await;
    assert!(!has(&record(START)).await);
    assert!(has(&record("2026/11/23/11/00")).await);
}

/// As long as the spool holds nothing about a key, the configuration decides on its number of bins.
#[tokio::test(flavor = "multi_thread")]
async fn the_first_batch_under_a_key_has_the_configured_number_of_bins() {
    let world = World::new();
    let mut wrong = reports(CODES, 0..10);
    for report in &mut wrong {
        report.keys = KEYS.map(str::to_owned);
    }
    world.slab(time(START), &wrong).await;
    world.at(65);
    let window = world.batch().await.unwrap().windows.remove(0);
    assert_eq!((window.batched, window.other_bins), (0, 10));

    let good = reports(NOTIFIED, 0..10);
    world.slab(time("2026/11/23/11/05"), &good).await;
    world.at(125);
    let window = world.batch().await.unwrap().windows.remove(0);
    assert_eq!((window.batched, window.other_bins), (10, 0));
    world.batched().await.assert_exactly(&good);
}

async fn collector(ingestor: &Ingestor, metrics: &Arc<Metrics>) -> Collector {
    let observer = Arc::new(ReportCache::new(1, 1));
    Collector::start(ingestor, locality(ingestor), metrics, observer).await
}

#[tokio::test(start_paused = true)]
async fn requests_within_the_time_of_a_slab_share_it() {
    let world = World::new();
    let mut ingestor = world.ingestor();
    ingestor.serve.slab_millis = 100;
    let collector = collector(&ingestor, &Arc::new(Metrics::new())).await;
    let first = collector.enqueue(Vec::new(), Arc::new(()));
    tokio::time::sleep(Duration::from_millis(60)).await;
    let second = collector.enqueue(Vec::new(), Arc::new(()));
    for written in [first, second] {
        assert_eq!(written.await, Ok(WriteOutcome::Durable));
    }
    assert_eq!(keys(&*world.spool).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_collector_leaves_no_task() {
    let world = World::new();
    let metrics = Arc::new(Metrics::new());
    drop(collector(&world.ingestor(), &metrics).await);
    // The tasks end while this one sleeps.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(Arc::strong_count(&metrics), 1);
}
