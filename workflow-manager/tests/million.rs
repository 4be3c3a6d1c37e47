//! A bucket with a million objects of old windows: a run reads only the open windows.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use support::{World, day, hour};
use tallybox_model::id::BatchId;
use tallybox_model::path::BatchName;
use tallybox_model::time::BatchTime;
use tallybox_transport::{
    Bucket, BucketError, Entry, ListRange, Object, SharedBucket, Upload, memory,
};

const AGG: &str = "kittens-seen";
/// Number of batches per minute.
const BATCHES: usize = 25;
/// Number of objects in total.
const OBJECTS: usize = 1_000_050;
/// The minute of the newest objects.
const NEWEST: &str = "2026/03/08/05/59";

/// A bucket with the batches of an ingestor that are computed and not stored: three objects per
/// batch, 25 batches per minute, a million objects in total. The number of an object determines its
/// name.
#[derive(Debug)]
struct Generated {
    lists: AtomicU64,
    listed: Arc<AtomicU64>,
    directories: AtomicU64,
}

impl Generated {
    fn minute_at(index: usize) -> BatchTime {
        let newest: BatchTime = NEWEST.parse().unwrap();
        let minutes = OBJECTS / (3 * BATCHES);
        newest
            .plus_minutes((index / (3 * BATCHES)) as i64 - (minutes - 1) as i64)
            .unwrap()
    }

    fn key(index: usize) -> String {
        let batch = index % (3 * BATCHES) / 3;
        let name = BatchName {
            aggregation: AGG.parse().unwrap(),
            date: Self::minute_at(index),
            id: BatchId::from_bytes([u8::try_from(batch).unwrap(); 16]),
        };
        let objects = name.ingestion();
        // In the order of their names.
        match index % 3 {
            0 => objects.header,
            1 => objects.packets,
            _ => objects.signature,
        }
    }

    /// Returns the first object at or after a key, by binary search.
    fn first_at(key: &str) -> usize {
        let (mut low, mut high) = (0, OBJECTS);
        while low < high {
            let middle = (low + high) / 2;
            if Self::key(middle).as_str() < key {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }
}

#[async_trait]
impl Bucket for Generated {
    async fn list(
        &self,
        prefix: &str,
        range: ListRange,
    ) -> Result<BoxStream<'static, Result<Entry, BucketError>>, BucketError> {
        assert_eq!(prefix, AGG);
        self.lists.fetch_add(1, Ordering::SeqCst);
        let start = range.start_at.map_or(0, |key| Self::first_at(&key));
        let end = range.end_before.map_or(OBJECTS, |key| Self::first_at(&key));
        let listed = self.listed.clone();
        let entry = move |index| {
            listed.fetch_add(1, Ordering::SeqCst);
            Ok(Entry {
                key: Self::key(index),
                size: 1,
            })
        };
        Ok(stream::iter((start..end).map(entry)).boxed())
    }

    async fn list_directories(&self, prefix: &str) -> Result<Vec<String>, BucketError> {
        assert_eq!(prefix, "");
        self.directories.fetch_add(1, Ordering::SeqCst);
        Ok(vec![AGG.to_owned()])
    }

    async fn get(&self, key: &str) -> Result<Object, BucketError> {
        panic!("{key} is opened")
    }

    async fn get_range(&self, key: &str, _: Range<u64>) -> Result<Bytes, BucketError> {
        panic!("{key} is opened")
    }

    async fn size(&self, key: &str) -> Result<u64, BucketError> {
        panic!("{key} is scanned")
    }

    async fn create(&self, key: &str, _: Option<u64>) -> Result<Box<dyn Upload>, BucketError> {
        panic!("{key} is written")
    }

    async fn delete(&self, key: &str) -> Result<(), BucketError> {
        panic!("{key} is deleted")
    }

    fn location(&self) -> String {
        "generated".to_owned()
    }

    fn stores_empty_objects(&self) -> bool {
        false
    }
}

/// Returns the largest memory use of this process in MiB; `None` where the system does not report
/// it.
fn most_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kibibytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kibibytes / 1024)
}

#[tokio::test]
async fn a_run_over_a_million_objects_of_old_windows_touches_only_the_open_ones() {
    let generated = Arc::new(Generated {
        lists: AtomicU64::new(0),
        listed: Arc::default(),
        directories: AtomicU64::new(0),
    });
    let bucket: SharedBucket = generated.clone();
    let mut world = World::with(day(8, "08/00"), bucket, memory("own"), memory("mailbox"));
    // The last hours are scanned whatever the state of their windows. In the week before them, and
    // in the week before that, which has passed the horizon, only windows that are not done are
    // scanned.
    world.manager.policy.look_back_minutes = 3 * 60;
    let open = [
        hour(AGG, day(4, "03/00")),
        hour(AGG, day(4, "04/00")),
        hour(AGG, day(7, "20/00")),
    ];
    let policy = world.manager.policy;
    let mut start: BatchTime = "2026/02/22/08/00".parse().unwrap();
    while start < day(8, "06/00") {
        let window = hour(AGG, start);
        if !open.contains(&window) {
            world.done(&window).await;
        }
        start = window.window.end();
    }
    assert_eq!(Generated::minute_at(OBJECTS - 1), NEWEST.parse().unwrap());
    let plan = world
        .manager
        .observe(policy.scope(world.manager.now()))
        .await
        .unwrap();
    assert!(plan.assessment.passed.is_empty() && plan.assessment.given_up.is_empty());
    // Three open windows, and 05:00 to 05:59 of today.
    let hours = 4;
    assert_eq!(plan.assessment.due.len(), hours * 60 * BATCHES);
    assert_eq!(
        generated.listed.load(Ordering::SeqCst),
        (hours * 60 * BATCHES * 3) as u64
    );
    assert_eq!(
        generated.lists.load(Ordering::SeqCst),
        3,
        "two windows side by side are one listing"
    );
    assert_eq!(generated.directories.load(Ordering::SeqCst), 1);
    let most = most_memory().unwrap_or(0);
    assert!(most < 128, "{most} MiB");
}
