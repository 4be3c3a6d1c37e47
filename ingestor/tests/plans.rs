//! Plans of windows: the slabs and settings that they contain, and jobs whose view of them is
//! outdated.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt as _};
use support::*;
use tallybox_ingestor::batch::{BatchOptions, records};
use tallybox_model::spool::Plan;
use tallybox_transport::recorded::RecordedBucket;
use tallybox_transport::{Bucket, BucketError, Entry, ListRange, Object, SharedBucket, Upload};

/// Returns the plan of the window that starts at this time.
async fn plan(world: &World, start: &str) -> Plan {
    let key = names().plan(time(start));
    let text = world.records().read(&*world.spool, &key, 1 << 20).await;
    Plan::parse(&text.unwrap().unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slab_up_to_two_windows_ahead_of_the_clock_waits_for_its_window() {
    // At 11:05 a window that starts at 13:00 is less than two windows ahead; at 12:00 a window that
    // starts at 14:00 is exactly two windows ahead.
    for (minutes, ahead) in [(65, "2026/11/23/13/00"), (120, "2026/11/23/14/00")] {
        let world = World::new();
        world.slab(time(START), &reports(NOTIFIED, 0..6)).await;
        world.slab(time(ahead), &reports(NOTIFIED, 6..12)).await;
        world.at(minutes);
        let windows = world.batch().await.unwrap().windows;
        let batched: Vec<_> = windows.iter().map(|window| window.batched).collect();
        assert_eq!(batched, [6], "{ahead}");
        assert_eq!(plan(&world, START).await.slabs.len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn replays_are_looked_up_for_the_acceptance_settling_and_carrying_of_a_report() {
    let world = World::new();
    world.slab(time(START), &reports(NOTIFIED, 0..6)).await;
    world.at(24 * 60);
    let mut ingestor = world.ingestor();
    ingestor.acceptance.max_age_hours = 48;
    ingestor.acceptance.max_ahead_minutes = 30;
    // One second more than an hour and a half.
    ingestor.batches.settle_secs = 5401;
    ingestor.batches.max_carry_windows = 7;
    world
        .batch_with(&ingestor, &BatchOptions::default())
        .await
        .unwrap();
    // 48 hours, 30 minutes and 91 minutes are 51 windows.
    assert_eq!(plan(&world, START).await.replay_windows, 51 + 7 + 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_window_after_the_last_requested_one_is_planned_or_batched() {
    let (world, _) = World::new().with_two_windows().await;
    let options = BatchOptions {
        until: Some(time(START)),
        ..BatchOptions::default()
    };
    let ingestor = world.ingestor();
    let summary = world.batch_with(&ingestor, &options).await.unwrap();
    let starts: Vec<_> = summary
        .windows
        .iter()
        .map(|window| window.window.start())
        .collect();
    assert_eq!(starts, [time(START)]);
    let later = names().plan(time("2026/11/23/11/00"));
    assert!(world.spool.size(&later).await.is_err(), "not planned");

    // A window that is planned already is not batched either.
    let (world, _) = World::new().with_two_windows().await;
    let ingestor = world.ingestor();
    world
        .batch_with(&ingestor, &BatchOptions::default())
        .await
        .unwrap();
    let records = [START, "2026/11/23/11/00"].map(|start| {
        let id = world.secrets[0].id();
        names().record(time(start), &id)
    });
    for record in &records {
        world.spool.delete(record).await.unwrap();
    }
    world.batch_with(&ingestor, &options).await.unwrap();
    assert!(world.spool.size(&records[0]).await.is_ok());
    assert!(world.spool.size(&records[1]).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_records_of_complete_windows_are_read_for_audits() {
    let (world, _) = World::new().with_two_windows().await;
    let windows = world.batch().await.unwrap().windows;
    let ingestor = world.ingestor();
    let found = records(&ingestor, locality(&ingestor)).await.unwrap();
    let found: Vec<_> = found.into_iter().map(|record| record.summary).collect();
    assert_eq!(found, windows);
}

/// A bucket whose first listing of a directory is empty, as for a job that listed it before the
/// objects existed.
#[derive(Debug)]
struct StaleListing {
    inner: SharedBucket,
    directory: String,
    listed: AtomicBool,
}

#[async_trait]
impl Bucket for StaleListing {
    async fn get(&self, key: &str) -> Result<Object, BucketError> {
        self.inner.get(key).await
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, BucketError> {
        self.inner.get_range(key, range).await
    }

    async fn size(&self, key: &str) -> Result<u64, BucketError> {
        self.inner.size(key).await
    }

    async fn create(
        &self,
        key: &str,
        size_hint: Option<u64>,
    ) -> Result<Box<dyn Upload>, BucketError> {
        self.inner.create(key, size_hint).await
    }

    async fn list(
        &self,
        prefix: &str,
        range: ListRange,
    ) -> Result<BoxStream<'static, Result<Entry, BucketError>>, BucketError> {
        if prefix == self.directory && !self.listed.swap(true, Ordering::SeqCst) {
            return Ok(stream::empty().boxed());
        }
        self.inner.list(prefix, range).await
    }

    async fn list_directories(&self, prefix: &str) -> Result<Vec<String>, BucketError> {
        self.inner.list_directories(prefix).await
    }

    async fn delete(&self, key: &str) -> Result<(), BucketError> {
        self.inner.delete(key).await
    }

    fn location(&self) -> String {
        self.inner.location()
    }

    fn stores_empty_objects(&self) -> bool {
        self.inner.stores_empty_objects()
    }
}

/// A job is suspended after it has listed plans and records. Meanwhile others complete two windows,
/// and prune the slabs of the first and the plan of the second.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_missed_the_records_of_other_jobs_batches_nothing_again() {
    let (world, reports) = World::new().with_two_windows().await;
    world.batch().await.unwrap();
    let published = world.published().await;
    for slab in plan(&world, START).await.slabs {
        world.spool.delete(&slab.key).await.unwrap();
    }
    let second = names().plan(time("2026/11/23/11/00"));
    world.spool.delete(&second).await.unwrap();

    let spool = Arc::new(StaleListing {
        inner: Arc::clone(&world.spool),
        directory: names().records(),
        listed: AtomicBool::new(false),
    });
    let mut suspended = world.ingestor_over(spool, world.mailboxes.clone());
    // The plan of this job would cut other batches.
    suspended.batches.min_packets = 1;
    suspended.batches.max_packets = 2;
    let summary = world
        .batch_with(&suspended, &BatchOptions::default())
        .await
        .unwrap();
    assert_eq!(summary.windows.len(), 1, "the first window, by its record");
    assert!(world.published().await == published);
    world.batched().await.assert_exactly(&reports);
}

/// `serve --batch` looks at the spool again when another window is due, and not in between.
#[tokio::test(start_paused = true)]
async fn a_server_looks_at_the_spool_once_for_each_window() {
    let world = World::new();
    world.slab(time(START), &reports(NOTIFIED, 0..6)).await;
    world.at(65);
    let spool = RecordedBucket::new(Arc::clone(&world.spool));
    let mut ingestor = world.ingestor_over(spool.clone(), world.mailboxes.clone());
    ingestor.batches.poll_secs = 60;
    let metrics = tallybox_ingestor::metrics::Metrics::new();
    let stop = tokio_util::sync::CancellationToken::new();
    let cycling = tallybox_ingestor::batch::cycle(&ingestor, &metrics, &stop);
    let watching = async {
        let polls = async |number: u32| {
            tokio::time::sleep(Duration::from_secs(60) * number).await;
            spool.drain().len()
        };
        tokio::time::sleep(Duration::from_secs(30)).await;
        assert_ne!(spool.drain().len(), 0, "the window is due at once");
        assert_eq!(polls(5).await, 0);
        world.at(124);
        assert_eq!(polls(5).await, 0, "the next window has not settled");
        world.at(125);
        assert_ne!(polls(1).await, 0);
        assert_eq!(polls(5).await, 0);
        stop.cancel();
    };
    tokio::join!(cycling, watching);
}
