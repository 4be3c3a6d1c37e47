//! Every kind of object in a spool, edited by someone with write access but without the secret: the
//! batcher rejects it by name.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use futures::TryStreamExt as _;
use support::*;
use tallybox_ingestor::batch::BatchOptions;
use tallybox_ingestor::error::Error;
use tallybox_transport::faults::{FaultKind, Faults};
use tallybox_transport::recorded::{OperationKind, RecordedBucket};
use tallybox_transport::{
    BucketError, Disposition, Records, SharedBucket, TRAILER_BYTES, memory, publish_bytes, read_all,
};

/// The progress of batching when the spool is edited.
#[derive(Clone, Copy, Debug)]
enum Progress {
    /// Servers have written slabs.
    Slabs,
    /// A job has died after it fixed the first window.
    Origin,
    /// A job has died while it wrote a partition of the first window to the second mailbox.
    BrokenOff,
    /// The first of two jobs has written its partitions of the first window.
    Shared,
    /// The first window is complete, and its carried slab waits for the next one.
    First,
    /// Two windows are complete, and the third has reports that are not batched.
    Done,
}

async fn prepare(progress: Progress) -> World {
    let (world, _) = World::new().with_two_windows().await;
    match progress {
        Progress::Slabs => {}
        Progress::Origin => {
            world.batch().await.unwrap();
            for key in objects(&world.spool).await.into_keys() {
                let stays = ["/slabs/", "/origin", "/points/"]
                    .iter()
                    .any(|kind| key.contains(kind));
                if !stays || key.ends_with("carried.slab") {
                    world.spool.delete(&key).await.unwrap();
                }
            }
        }
        Progress::BrokenOff => {
            let [first, second] = &world.mailboxes;
            let second = Faults::new(4, FaultKind::Die).wrap(second.clone());
            let cut_off = world.ingestor_over(world.spool.clone(), [first.clone(), second]);
            assert!(
                world
                    .batch_with(&cut_off, &BatchOptions::default())
                    .await
                    .is_err()
            );
        }
        Progress::Shared => {
            let options = BatchOptions {
                shard: Some((0, 2)),
                ..BatchOptions::default()
            };
            world.batch_with(&world.ingestor(), &options).await.unwrap();
        }
        Progress::First => {
            let options = BatchOptions {
                until: Some(time(START)),
                ..BatchOptions::default()
            };
            world.batch_with(&world.ingestor(), &options).await.unwrap();
        }
        Progress::Done => {
            world.batch().await.unwrap();
            world
                .slab(time("2026/11/23/12/05"), &reports(NOTIFIED, 30..40))
                .await;
            world.at(185);
        }
    }
    world
}

async fn objects(bucket: &SharedBucket) -> BTreeMap<String, Bytes> {
    let entries = bucket.list("", Default::default()).await.unwrap();
    let entries: Vec<_> = entries.try_collect().await.unwrap();
    let mut all = BTreeMap::new();
    for entry in entries {
        all.insert(
            entry.key.clone(),
            read_all(&**bucket, &entry.key, u64::MAX).await.unwrap(),
        );
    }
    all
}

/// Returns every form of an edit: other content in the same form, no trailer, and an authentic
/// record from another name.
fn edits(key: &str, object: &Bytes, records: &Records) -> [Bytes; 3] {
    let (payload, trailer) = object.split_at(object.len() - TRAILER_BYTES);
    let mut changed = payload.to_vec();
    let byte = changed
        .iter_mut()
        .rev()
        .find(|byte| byte.is_ascii_hexdigit())
        .unwrap();
    *byte = if *byte == b'1' { b'2' } else { b'1' };
    [
        [&changed, trailer].concat().into(),
        changed.into(),
        records.seal(&format!("{key}.other"), payload),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edited_object_is_refused_by_name_wherever_it_is_read() {
    let (mut all, mut refused) = (BTreeSet::new(), BTreeSet::new());
    for progress in [
        Progress::Slabs,
        Progress::Origin,
        Progress::BrokenOff,
        Progress::Shared,
        Progress::First,
        Progress::Done,
    ] {
        let world_before = prepare(progress).await;
        let spool = objects(&world_before.spool).await;
        let mailboxes = [
            objects(&world_before.mailboxes[0]).await,
            objects(&world_before.mailboxes[1]).await,
        ];
        for (key, object) in &spool {
            let is_record = object.len() > TRAILER_BYTES
                && Records::claimed_key(&object[object.len() - TRAILER_BYTES..]).is_some();
            assert!(
                is_record || key.ends_with(".record"),
                "{key} is neither a record nor sealed"
            );
            if !is_record {
                continue;
            }
            for edit in edits(key, object, &world_before.records()) {
                let copies = [memory("spool"), memory("first"), memory("second")];
                for (bucket, from) in copies.iter().zip([&spool, &mailboxes[0], &mailboxes[1]]) {
                    for (name, bytes) in from {
                        let bytes = if name == key {
                            edit.clone()
                        } else {
                            bytes.clone()
                        };
                        publish_bytes(&**bucket, name, bytes, false).await.unwrap();
                    }
                }
                let [copy, first, second] = copies;
                let recorded = RecordedBucket::new(copy);
                let ingestor = world_before.ingestor_over(recorded.clone(), [first, second]);
                match world_before
                    .batch_with(&ingestor, &BatchOptions::default())
                    .await
                {
                    Ok(_) => {
                        let read = recorded.keys(OperationKind::Get).contains(key);
                        assert!(!read, "{progress:?} {key}: read and believed");
                    }
                    Err(error) => {
                        let named = matches!(&error, Error::Bucket(BucketError::Unverified { key: found, .. }) if found == key);
                        assert!(named, "{progress:?} {key}: {error}");
                        assert_eq!(error.disposition(), Disposition::Reject);
                        assert_eq!(error.reason(), "unverified");
                        refused.insert(key.clone());
                    }
                }
            }
            all.insert(key.clone());
        }
    }
    for kind in [
        "/slabs/",
        "carried.slab",
        "/origin",
        "/plans/",
        "/lists/",
        "/written/",
        "/points/",
    ] {
        assert!(
            refused.iter().any(|key| key.contains(kind)),
            "{kind} among {refused:?}"
        );
    }
    let unread: Vec<_> = all
        .difference(&refused)
        .filter(|key| !key.contains("/lists/") && !key.contains("/written/"))
        .collect();
    assert_eq!(unread, [""; 0], "objects that no stage reads");
}
