//! Tests with a power cut, or a killed writer, at each sync: acknowledged objects exist, and no
//! object is incomplete.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;

use futures::TryStreamExt as _;
use tallybox_durable::{Entries, PowerCut};
use tempfile::tempdir;

use super::*;
use crate::{publish_bytes, read_all};

/// Keys in directories that have to be created, in an existing directory, and at the root.
const KEYS: [&str; 4] = ["a/b/one", "a/b/two", "a/three", "four"];
/// The path of the bucket on the disk: two directories that have to be created as well.
const BUCKET_PATH: &str = "deep/bucket";

fn content(key: &str) -> Bytes {
    format!("content of {key}").into()
}

/// Creates all objects and returns those that were acknowledged.
async fn write(bucket: &LocalBucket) -> BTreeSet<&'static str> {
    let mut acknowledged = BTreeSet::new();
    for key in KEYS {
        if publish_bytes(bucket, key, content(key), false)
            .await
            .is_ok()
        {
            acknowledged.insert(key);
        }
    }
    acknowledged
}

/// Cuts the power and returns the objects that exist afterwards.
async fn after_cut(disk: &PowerCut, entries: Entries) -> BTreeSet<String> {
    let into = tempdir().unwrap();
    disk.survivors(entries, into.path()).unwrap();
    let disk = Arc::new(PowerCut::new(into.path(), 0));
    let bucket = LocalBucket::on_disk(disk, into.path().join(BUCKET_PATH));
    let listed = bucket.list("", ListRange::default()).await.unwrap();
    let remaining: Vec<Entry> = listed.try_collect().await.unwrap();
    for entry in &remaining {
        let bytes = read_all(&bucket, &entry.key, 100).await.unwrap();
        assert_eq!(bytes, content(&entry.key), "{} is incomplete", entry.key);
    }
    // A process that starts after the cut creates the missing objects.
    assert_eq!(write(&bucket).await.len(), KEYS.len());
    remaining.into_iter().map(|entry| entry.key).collect()
}

#[tokio::test]
async fn what_is_acknowledged_survives_a_power_cut_at_any_moment() {
    let mut fails_at = 0;
    loop {
        let root = tempdir().unwrap();
        let disk = Arc::new(PowerCut::new(root.path(), fails_at));
        let open = || LocalBucket::on_disk(disk.clone(), root.path().join(BUCKET_PATH));
        let acknowledged = write(&open()).await;
        assert_eq!(
            acknowledged.len() == KEYS.len(),
            fails_at == 0 || disk.syncs() < fails_at
        );
        for entries in [Entries::Synced, Entries::All] {
            let remaining = after_cut(&disk, entries).await;
            let lost: Vec<_> = acknowledged
                .iter()
                .filter(|key| !remaining.contains(**key))
                .collect();
            assert!(lost.is_empty(), "sync {fails_at}, {entries:?}: {lost:?}");
        }
        if fails_at > 0 && acknowledged.len() == KEYS.len() {
            break;
        }
        // Only the writer was killed: another writer finds the files it left, and makes them
        // durable.
        assert_eq!(write(&open()).await.len(), KEYS.len());
        assert_eq!(
            after_cut(&disk, Entries::Synced).await.len(),
            KEYS.len(),
            "sync {fails_at}"
        );
        fails_at += 1;
    }
    assert!(fails_at > 2 * KEYS.len() as u64, "{fails_at} syncs");
}

#[tokio::test]
async fn what_was_deleted_does_not_come_back() {
    let root = tempdir().unwrap();
    let disk = Arc::new(PowerCut::new(root.path(), 0));
    let bucket = LocalBucket::on_disk(disk.clone(), root.path().join(BUCKET_PATH));
    write(&bucket).await;
    bucket.delete("a/b/one").await.unwrap();
    let remaining = after_cut(&disk, Entries::Synced).await;
    assert!(
        !remaining.contains("a/b/one") && remaining.len() == KEYS.len() - 1,
        "{remaining:?}"
    );
}
