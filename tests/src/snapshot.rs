//! Snapshots of all objects of some buckets, for comparisons.

use futures::TryStreamExt as _;
use std::collections::BTreeMap;
use tallybox_facilitator::buckets::Buckets;
use tallybox_transport::{ListRange, SharedBucket, read_all};

/// The bytes of every object, by bucket and name.
pub type Snapshot = BTreeMap<String, Vec<u8>>;

/// Returns a snapshot of the buckets to which a processor writes.
///
/// # Panics
/// If a bucket cannot be read.
pub async fn written(buckets: &Buckets) -> Snapshot {
    let named_buckets = [
        ("own", &buckets.own),
        ("validation", &buckets.peer_validation_out),
        ("sum", &buckets.sum_parts),
    ];
    all(&named_buckets).await
}

/// Returns a snapshot of these buckets.
///
/// # Panics
/// If a bucket cannot be read.
pub async fn all(named_buckets: &[(&str, &SharedBucket)]) -> Snapshot {
    let mut all = Snapshot::new();
    for (name, bucket) in named_buckets {
        add(&mut all, name, bucket).await;
    }
    all
}

async fn add(all: &mut Snapshot, name: &str, bucket: &SharedBucket) {
    let entries = bucket
        .list("", ListRange::default())
        .await
        .expect("a listing");
    let entries: Vec<_> = entries.try_collect().await.expect("a listing");
    for entry in entries {
        let bytes = read_all(&**bucket, &entry.key, u64::MAX)
            .await
            .expect("an object that is listed");
        all.insert(format!("{name}:{}", entry.key), bytes.to_vec());
    }
}

/// Returns the names of the objects that differ, for a readable message.
#[must_use]
pub fn difference(first: &Snapshot, second: &Snapshot) -> Vec<String> {
    let names: std::collections::BTreeSet<_> = first.keys().chain(second.keys()).collect();
    names
        .into_iter()
        .filter(|name| first.get(*name) != second.get(*name))
        .cloned()
        .collect()
}
