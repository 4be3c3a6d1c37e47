//! Tests with a power cut, or a killed process, at each sync: no published message is lost, and no
//! message is incomplete.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::Path;

use tallybox_durable::{Entries, PowerCut};

use super::*;

/// The path of the queue on the disk: two directories that have to be created as well.
const QUEUE_PATH: &str = "deep/tasks";
const REASON: &str = "cannot be read";

fn open(disk: &Arc<PowerCut>, root: &Path) -> DirectoryQueue {
    DirectoryQueue::on_disk(disk.clone(), root.join(QUEUE_PATH), Duration::from_secs(60))
}

/// Publishes three messages, rejects the first, and returns the acknowledged operations.
async fn work(queue: &DirectoryQueue) -> (BTreeSet<Bytes>, bool) {
    let mut published = BTreeSet::new();
    for body in ["one", "two", "three"] {
        if queue.publish(body.into()).await.is_ok() {
            published.insert(Bytes::from(body));
        }
    }
    let received = queue.receive(Duration::ZERO).await.unwrap();
    let rejected = match received {
        Some(delivery) => queue.reject(&delivery, REASON).await.is_ok(),
        None => false,
    };
    (published, rejected)
}

/// Cuts the power. Returns the bodies of all messages that may be received afterwards, and the
/// number of rejected ones.
async fn after_cut(disk: &PowerCut, entries: Entries) -> (BTreeSet<Bytes>, usize) {
    let into = tempfile::tempdir().unwrap();
    disk.survivors(entries, into.path()).unwrap();
    let queue = DirectoryQueue::new(into.path().join(QUEUE_PATH), Duration::from_secs(60));
    let (mut bodies, mut rejected) = (BTreeSet::new(), 0);
    // A message that is still leased becomes ready later.
    for found in queue.shared.files.list_ready(u64::MAX).unwrap() {
        bodies.extend(queue.shared.files.read(&found).unwrap());
    }
    while let Some(delivery) = queue.rejected().receive(Duration::ZERO).await.unwrap() {
        assert_eq!(delivery.reason.as_deref(), Some(REASON));
        bodies.insert(delivery.body);
        rejected += 1;
    }
    (bodies, rejected)
}

#[tokio::test]
async fn what_is_acknowledged_survives_a_power_cut_at_any_moment() {
    let all = BTreeSet::from(["one", "two", "three"].map(Bytes::from));
    let mut fails_at = 0;
    loop {
        let root = tempfile::tempdir().unwrap();
        let disk = Arc::new(PowerCut::new(root.path(), fails_at));
        let (published, rejected) = work(&open(&disk, root.path())).await;
        for entries in [Entries::Synced, Entries::All] {
            let (bodies, set_aside) = after_cut(&disk, entries).await;
            let lost: Vec<_> = published.difference(&bodies).collect();
            assert!(lost.is_empty(), "sync {fails_at}, {entries:?}: {lost:?}");
            let torn: Vec<_> = bodies.difference(&all).collect();
            assert!(torn.is_empty(), "sync {fails_at}, {entries:?}: {torn:?}");
            assert!(set_aside == 1 || !rejected, "sync {fails_at}, {entries:?}");
        }
        if fails_at > 0 && disk.syncs() < fails_at {
            break;
        }
        fails_at += 1;
    }
    assert!(fails_at > 10, "{fails_at} syncs");
}

/// Of two processes, the one that created the directories is killed before they are durable.
#[tokio::test]
async fn directories_that_a_killed_process_made_are_synced_by_the_next() {
    let mut fails_at = 1;
    loop {
        let root = tempfile::tempdir().unwrap();
        let disk = Arc::new(PowerCut::new(root.path(), fails_at));
        if open(&disk, root.path()).publish("one".into()).await.is_ok() {
            break;
        }
        open(&disk, root.path())
            .publish("two".into())
            .await
            .unwrap();
        let (bodies, _) = after_cut(&disk, Entries::Synced).await;
        assert!(
            bodies.contains("two".as_bytes()),
            "sync {fails_at}: {bodies:?}"
        );
        fails_at += 1;
    }
    assert!(fails_at > 4, "{fails_at} syncs");
}
