//! The requirements of every bucket, as a test suite for any implementation.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test suite: a panic is its result"
)]

mod listings;
mod publishing;

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use sha2::{Digest, Sha256};

use crate::faults::{Phantoms, WriteOnly};
use crate::{
    Bucket, BucketError, Created, ListRange, Published, SharedBucket, digest, publish_bytes,
    publish_stream, read_all,
};

use listings::{SIBLINGS, SORTED, directories, keys, listings};
use publishing::{publishing, publishing_after_a_phantom, publishing_streams};

/// A length of several chunks in any bucket that is not a multiple of a chunk.
const LARGE_BYTES: usize = 5 * 1024 * 1024 + 4321;

/// Runs the whole suite. `make` returns a new, empty bucket each time. Panics at the first failure.
pub async fn conformance(make: impl Fn() -> SharedBucket) {
    suite(make, &SORTED).await;
}

/// Runs the suite for a server that lists objects in the order of a directory walk, as SeaweedFS
/// does. Such a server lists `a/x` at the position of `a`, before `a-b`, whereas byte order puts it
/// after `a-b`; and directories may remain after their last object is deleted. Tallybox uses no
/// directory name that is a prefix of another name in the same directory.
pub async fn conformance_of_tree(make: impl Fn() -> SharedBucket) {
    suite(make, &SORTED[SIBLINGS..]).await;
}

async fn suite(make: impl Fn() -> SharedBucket, sorted: &[&str]) {
    absent_objects(&*make()).await;
    created_objects(&*make()).await;
    empty_objects(&*make()).await;
    large_objects(&*make()).await;
    aborted_uploads(&*make()).await;
    concurrent_creation(&make()).await;
    keys(&*make()).await;
    listings(&*make(), sorted).await;
    directories(&*make()).await;
    deletion(&*make(), sorted.len() == SORTED.len()).await;
    publishing(&*make()).await;
    publishing_after_a_phantom(&make()).await;
    dates(&*make()).await;
    publishing_streams(&*make()).await;
}

async fn put(bucket: &dyn Bucket, key: &str, bytes: &'static [u8]) -> Created {
    let mut upload = bucket.create(key, Some(bytes.len() as u64)).await.unwrap();
    upload.write(Bytes::from_static(bytes)).await.unwrap();
    upload.commit().await.unwrap()
}

async fn listed(bucket: &dyn Bucket, prefix: &str, range: ListRange) -> Vec<String> {
    let entries: Vec<_> = bucket
        .list(prefix, range)
        .await
        .unwrap()
        .try_collect()
        .await
        .unwrap();
    entries.into_iter().map(|entry| entry.key).collect()
}

async fn all(bucket: &dyn Bucket) -> Vec<String> {
    listed(bucket, "", ListRange::default()).await
}

fn is_not_found<T>(result: Result<T, BucketError>, wanted: &str) -> bool {
    matches!(result, Err(BucketError::NotFound { key, .. }) if key == wanted)
}

async fn absent_objects(bucket: &dyn Bucket) {
    assert!(is_not_found(bucket.get("a/b").await, "a/b"));
    assert!(is_not_found(bucket.get_range("a/b", 0..1).await, "a/b"));
    assert!(is_not_found(bucket.get_range("a/b", 0..0).await, "a/b"));
    assert!(is_not_found(bucket.size("a/b").await, "a/b"));
    assert!(is_not_found(read_all(bucket, "a/b", 9).await, "a/b"));
    assert!(is_not_found(digest(bucket, "a/b").await, "a/b"));
    bucket.delete("a/b").await.unwrap();
    assert!(all(bucket).await.is_empty());
    assert!(listed(bucket, "a/", ListRange::default()).await.is_empty());
    assert!(bucket.list_directories("").await.unwrap().is_empty());
    assert!(bucket.list_directories("a/b").await.unwrap().is_empty());
    put(bucket, "a", b"x").await;
    assert!(
        is_not_found(bucket.get("a/b").await, "a/b"),
        "under an object there is nothing"
    );
}

async fn created_objects(bucket: &dyn Bucket) {
    assert_eq!(put(bucket, "d/e/f", b"0123456789").await, Created::New);
    assert_eq!(put(bucket, "d/e/f", b"other").await, Created::Exists);
    assert_eq!(bucket.size("d/e/f").await.unwrap(), 10);
    let object = bucket.get("d/e/f").await.unwrap();
    assert_eq!(object.size, 10);
    let body: Vec<Bytes> = object.body.try_collect().await.unwrap();
    assert_eq!(body.concat(), b"0123456789");
    for (range, expected) in [
        (0..10, "0123456789"),
        (3..5, "34"),
        (8..99, "89"),
        (4..4, ""),
        (10..12, ""),
        (50..60, ""),
    ] {
        let read = bucket.get_range("d/e/f", range.clone()).await.unwrap();
        assert_eq!(read, expected, "{range:?}");
    }
    assert!(
        is_not_found(bucket.size("d/e").await, "d/e"),
        "a directory is not an object"
    );
    assert!(is_not_found(bucket.get("d").await, "d"));
    assert_eq!(read_all(bucket, "d/e/f", 10).await.unwrap(), "0123456789");
    let refused = read_all(bucket, "d/e/f", 9).await;
    assert!(matches!(
        refused,
        Err(BucketError::TooLarge { limit: 9, .. })
    ));
    let expected: [u8; 32] = Sha256::digest(b"0123456789").into();
    assert_eq!(digest(bucket, "d/e/f").await.unwrap(), (expected, 10));
}

async fn empty_objects(bucket: &dyn Bucket) {
    let upload = bucket.create("empty", Some(0)).await.unwrap();
    assert_eq!(upload.commit().await.unwrap(), Created::New);
    publish_bytes(bucket, "empty", Bytes::new(), false)
        .await
        .unwrap();
    let nothing: [u8; 32] = Sha256::digest(b"").into();
    let source = stream::empty::<Result<Bytes, BucketError>>();
    publish_stream(bucket, "empty", &nothing, 0, false, source)
        .await
        .unwrap();
    if bucket.stores_empty_objects() {
        assert_eq!(bucket.size("empty").await.unwrap(), 0);
        assert_eq!(bucket.get("empty").await.unwrap().body.count().await, 0);
        assert_eq!(read_all(bucket, "empty", 0).await.unwrap(), "");
        assert_eq!(digest(bucket, "empty").await.unwrap(), (nothing, 0));
        assert_eq!(
            bucket
                .create("empty", None)
                .await
                .unwrap()
                .commit()
                .await
                .unwrap(),
            Created::Exists
        );
    } else {
        assert!(is_not_found(bucket.get("empty").await, "empty"));
        assert!(all(bucket).await.is_empty());
    }
}

/// Returns bytes that differ between positions.
fn pattern(length: usize) -> Bytes {
    (0..length)
        .map(|i| (i ^ (i >> 8) ^ (i >> 16)) as u8)
        .collect()
}

fn in_chunks(bytes: &Bytes, chunk: usize) -> Vec<Result<Bytes, BucketError>> {
    (0..bytes.len())
        .step_by(chunk)
        .map(|at| Ok(bytes.slice(at..bytes.len().min(at + chunk))))
        .collect()
}

async fn large_objects(bucket: &dyn Bucket) {
    let bytes = pattern(LARGE_BYTES);
    for (key, hint) in [
        ("large", Some(LARGE_BYTES as u64)),
        ("unannounced", None),
        ("wrong", Some(1)),
    ] {
        let mut upload = bucket.create(key, hint).await.unwrap();
        for chunk in in_chunks(&bytes, 70_000) {
            upload.write(chunk.unwrap()).await.unwrap();
        }
        assert!(
            is_not_found(bucket.size(key).await, key),
            "nothing is visible before the commit"
        );
        assert_eq!(upload.commit().await.unwrap(), Created::New);
        let object = bucket.get(key).await.unwrap();
        let chunks: Vec<Bytes> = object.body.try_collect().await.unwrap();
        assert!(
            chunks
                .iter()
                .all(|chunk| chunk.len() <= 1 << 20 && !chunk.is_empty())
        );
        assert!(chunks.concat() == bytes, "{key}: the bytes come back");
    }
    let mut second = bucket
        .create("large", Some(LARGE_BYTES as u64))
        .await
        .unwrap();
    second.write(pattern(LARGE_BYTES).slice(1..)).await.unwrap();
    assert_eq!(second.commit().await.unwrap(), Created::Exists);
    let at = LARGE_BYTES as u64 - 7;
    assert_eq!(
        bucket.get_range("large", at..at + 4).await.unwrap(),
        bytes.slice(at as usize..at as usize + 4)
    );
    assert!(read_all(bucket, "large", LARGE_BYTES as u64).await.unwrap() == bytes);
}

async fn aborted_uploads(bucket: &dyn Bucket) {
    for bytes in [pattern(10), pattern(LARGE_BYTES)] {
        let mut upload = bucket
            .create("x/aborted", Some(bytes.len() as u64))
            .await
            .unwrap();
        upload.write(bytes.clone()).await.unwrap();
        upload.abort().await;
        let mut upload = bucket.create("x/dropped", None).await.unwrap();
        upload.write(bytes).await.unwrap();
        drop(upload);
    }
    assert!(all(bucket).await.is_empty());
    assert!(bucket.list_directories("").await.unwrap().is_empty());
    assert_eq!(put(bucket, "x/aborted", b"y").await, Created::New);
}

async fn concurrent_creation(bucket: &SharedBucket) {
    for round in 0..4 {
        let key = format!("one/of/many-{round}");
        let writers = (0..8u8).map(|writer| {
            let (bucket, key) = (SharedBucket::clone(bucket), key.clone());
            async move {
                let mut upload = bucket.create(&key, None).await.unwrap();
                upload.write(vec![writer; 1000].into()).await.unwrap();
                tokio::task::yield_now().await;
                (upload.commit().await.unwrap(), writer)
            }
        });
        let outcomes: Vec<_> = stream::iter(writers)
            .map(tokio::spawn)
            .buffer_unordered(8)
            .try_collect()
            .await
            .unwrap();
        let winners: Vec<_> = outcomes
            .iter()
            .filter(|(created, _)| *created == Created::New)
            .collect();
        assert_eq!(winners.len(), 1, "{outcomes:?}");
        assert_eq!(
            read_all(&**bucket, &key, 1000).await.unwrap(),
            vec![winners[0].1; 1000]
        );
    }
}

async fn deletion(bucket: &dyn Bucket, with_directory: bool) {
    put(bucket, "a/b", b"old").await;
    bucket.delete("a").await.unwrap();
    assert_eq!(all(bucket).await, ["a/b"], "a directory is not deleted");
    bucket.delete("a/b").await.unwrap();
    bucket.delete("a/b").await.unwrap();
    assert!(is_not_found(bucket.get("a/b").await, "a/b"));
    assert!(
        !with_directory || bucket.list_directories("").await.unwrap().is_empty(),
        "a directory goes with its last object"
    );
    assert_eq!(put(bucket, "a/b", b"new").await, Created::New);
    assert_eq!(read_all(bucket, "a/b", 3).await.unwrap(), "new");
}

async fn dates(bucket: &dyn Bucket) {
    let [first, second] = [bucket.date().await.unwrap(), bucket.date().await.unwrap()];
    // The servers of the tests run on this machine. Clouds return whole seconds.
    let ours = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_millis() as i64;
    assert!(
        first <= second && (ours - second).abs() < 60_000,
        "{first} {second} {ours}"
    );
}
