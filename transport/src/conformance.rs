//! The requirements of every bucket, as a test suite for any implementation.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test suite: a panic is its result"
)]

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use sha2::{Digest, Sha256};

use crate::faults::{Phantoms, WriteOnly};
use crate::{
    Bucket, BucketError, Created, ListRange, Published, SharedBucket, digest, publish_bytes,
    publish_stream, read_all,
};

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

async fn keys(bucket: &dyn Bucket) {
    let odd = [
        ".hidden",
        "a..b",
        "a-b_c.d",
        "a.b/c",
        "c=d,e+f",
        "k:l@m",
        "sp ace/x y",
        "trailing.",
        "~tilde",
        "ünï/日本",
        "%41",
    ];
    for key in odd {
        assert_eq!(put(bucket, key, b"x").await, Created::New, "{key}");
        assert_eq!(bucket.size(key).await.unwrap(), 1, "{key}");
    }
    let mut expected = odd.to_vec();
    expected.sort_unstable();
    assert_eq!(all(bucket).await, expected);
    for key in odd {
        bucket.delete(key).await.unwrap();
    }
    for key in [
        "",
        "/",
        "/a",
        "a/",
        "a//b",
        "..",
        "a/../b",
        "./a",
        "a\0",
        "a\nb",
        "a\\b",
        ".tallybox-staged-x",
    ] {
        let invalid = |result| matches!(result, Err(BucketError::InvalidKey { .. }));
        assert!(invalid(bucket.get(key).await.map(drop)), "{key:?}");
        assert!(
            invalid(bucket.get_range(key, 0..1).await.map(drop)),
            "{key:?}"
        );
        assert!(invalid(bucket.size(key).await.map(drop)), "{key:?}");
        assert!(invalid(bucket.create(key, None).await.map(drop)), "{key:?}");
        assert!(invalid(bucket.delete(key).await), "{key:?}");
    }
    for prefix in ["/", "/a", "a//", "..", "a/../b"] {
        let listed = bucket.list(prefix, ListRange::default()).await;
        assert!(
            matches!(listed.map(drop), Err(BucketError::InvalidKey { .. })),
            "{prefix:?}"
        );
        assert!(
            matches!(
                bucket.list_directories(prefix).await,
                Err(BucketError::InvalidKey { .. })
            ),
            "{prefix:?}"
        );
    }
    assert!(all(bucket).await.is_empty());
}

/// Keys in byte order: `-` and `.` precede `/`, which precedes digits and letters.
const SORTED: [&str; 8] = [
    "a-b",
    "a.b",
    "a/2020/10/31/20/29/x",
    "a/2020/10/31/20/30/x",
    "a/2020/10/31/20/30/y",
    "a/2020/11/01/00/00/x",
    "a0",
    "b/c",
];
/// The number of leading keys whose names begin with the name of a directory that they precede.
const SIBLINGS: usize = 2;

async fn listings(bucket: &dyn Bucket, sorted: &[&str]) {
    for key in sorted.iter().rev() {
        put(bucket, key, b"xyz").await;
    }
    assert_eq!(all(bucket).await, sorted);
    let entries: Vec<_> = bucket
        .list("", ListRange::default())
        .await
        .unwrap()
        .try_collect()
        .await
        .unwrap();
    assert!(entries.iter().all(|entry| entry.size == 3));
    for prefix in ["a", "a/"] {
        assert_eq!(
            listed(bucket, prefix, ListRange::default()).await,
            SORTED[2..6],
            "{prefix}"
        );
    }
    assert_eq!(
        listed(bucket, "a/2020/10/31/20/30", ListRange::default()).await,
        SORTED[3..5]
    );
    assert!(
        listed(bucket, "a/2020/1", ListRange::default())
            .await
            .is_empty(),
        "a directory is whole components"
    );

    // For every pair of bounds, the listing equals a plain comparison of keys. The bounds are keys,
    // parts of keys, and other texts. A server that walks through directories and starts after the
    // name of one omits the directory's content. Therefore the bounds have all depths, with and
    // without a trailing slash.
    let cuts = [
        "a",
        "a-",
        "a-b/c",
        "a/",
        "a/2020/1-",
        "a/2020/10.b/31",
        "a/2020/10",
        "a/2020/10/",
        "a/2020/10/31/20/29",
        "a/2020/10/31/20/29/",
        "a/2020/10/31/20/30/",
        "a/2020/11/01/00/00/",
        "a/2020/10/31/20/30/x",
        "a/2020/10/31/20/5",
        "a0",
        "b/c/d",
        "zz",
    ];
    let bounds = || {
        std::iter::once(None).chain(cuts.iter().chain(sorted).map(|cut| Some((*cut).to_owned())))
    };
    for start_at in bounds() {
        for end_before in bounds() {
            let range = ListRange {
                start_at: start_at.clone(),
                end_before,
            };
            let wanted = |key: &&str| {
                range.start_at.as_deref().is_none_or(|start| *key >= start)
                    && range.end_before.as_deref().is_none_or(|end| *key < end)
            };
            let expected: Vec<_> = sorted.iter().copied().filter(wanted).collect();
            assert_eq!(
                listed(bucket, "", range.clone()).await,
                expected,
                "{range:?}"
            );
            let expected: Vec<_> = expected
                .into_iter()
                .filter(|key| key.starts_with("a/2020/10/"))
                .collect();
            assert_eq!(
                listed(bucket, "a/2020/10", range.clone()).await,
                expected,
                "{range:?}"
            );
        }
    }
}

async fn directories(bucket: &dyn Bucket) {
    for key in [
        "top",
        "b/x",
        "a/one/x",
        "a/one.two/x",
        "a/file",
        "a/two/deep/x",
    ] {
        put(bucket, key, b"x").await;
    }
    assert_eq!(bucket.list_directories("").await.unwrap(), ["a", "b"]);
    for prefix in ["a", "a/"] {
        assert_eq!(
            bucket.list_directories(prefix).await.unwrap(),
            ["a/one", "a/one.two", "a/two"]
        );
    }
    assert_eq!(
        bucket.list_directories("a/two").await.unwrap(),
        ["a/two/deep"]
    );
    assert!(bucket.list_directories("a/o").await.unwrap().is_empty());
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

async fn publishing(bucket: &dyn Bucket) {
    let bytes = Bytes::from_static(b"the bytes");
    assert_eq!(
        publish_bytes(bucket, "p/q", bytes.clone(), false)
            .await
            .unwrap(),
        Published::New
    );
    assert_eq!(
        publish_bytes(bucket, "p/q", bytes.clone(), false)
            .await
            .unwrap(),
        Published::Same
    );
    let other = publish_bytes(bucket, "p/q", Bytes::from_static(b"other"), true).await;
    let Err(BucketError::Conflict {
        key, ours, theirs, ..
    }) = other
    else {
        panic!("{other:?}")
    };
    assert_eq!(
        (key.as_str(), ours[..] == Sha256::digest(b"other")[..]),
        ("p/q", true)
    );
    assert_eq!(theirs[..], Sha256::digest(b"the bytes")[..]);
    assert_eq!(
        read_all(bucket, "p/q", 9).await.unwrap(),
        bytes,
        "nothing was changed"
    );
}

/// Publishes into a bucket that once reports an absent object as existing. The first run must not
/// report success; a later run creates the object.
async fn publishing_after_a_phantom(bucket: &SharedBucket) {
    let bytes = Bytes::from_static(b"the bytes");
    let phantom = Phantoms::wrap(SharedBucket::clone(bucket), |_| true);
    let unsettled = publish_bytes(&*phantom, "p/phantom", bytes.clone(), true).await;
    assert!(
        matches!(&unsettled, Err(BucketError::NotSettled { key, .. }) if key == "p/phantom"),
        "{unsettled:?}"
    );
    assert!(is_not_found(bucket.size("p/phantom").await, "p/phantom"));
    let second = publish_bytes(&*phantom, "p/phantom", bytes.clone(), true).await;
    assert_eq!(second.unwrap(), Published::New);
    assert_eq!(read_all(&**bucket, "p/phantom", 9).await.unwrap(), bytes);

    let mailbox = WriteOnly(Phantoms::wrap(SharedBucket::clone(bucket), |_| true));
    for expected in [Published::Assumed, Published::New, Published::Assumed] {
        let published = publish_bytes(&mailbox, "p/unseen", bytes.clone(), true).await;
        assert_eq!(published.unwrap(), expected);
    }
    assert_eq!(read_all(&**bucket, "p/unseen", 9).await.unwrap(), bytes);
}

async fn publishing_streams(bucket: &dyn Bucket) {
    let bytes = pattern(LARGE_BYTES);
    let size = bytes.len() as u64;
    let sum: [u8; 32] = Sha256::digest(&bytes).into();
    let source = || stream::iter(in_chunks(&bytes, 100_000));

    let shorter = publish_stream(bucket, "s", &sum, size, true, source().take(5)).await;
    assert!(
        matches!(
            shorter,
            Err(BucketError::NotReproduced {
                actual_size: 500_000,
                ..
            })
        ),
        "{shorter:?}"
    );
    let longer = publish_stream(bucket, "s", &sum, size - 1, true, source()).await;
    assert!(
        matches!(longer, Err(BucketError::NotReproduced { .. })),
        "{longer:?}"
    );
    let other = publish_stream(bucket, "s", &[7; 32], size, true, source()).await;
    assert!(
        matches!(
            other,
            Err(BucketError::NotReproduced {
                expected: [7, ..],
                ..
            })
        ),
        "{other:?}"
    );
    let broken = source()
        .take(3)
        .chain(stream::iter([Err(BucketError::not_found(
            "elsewhere",
            "part",
        ))]));
    assert!(is_not_found(
        publish_stream(bucket, "s", &sum, size, true, broken).await,
        "part"
    ));
    assert!(
        all(bucket).await.is_empty(),
        "nothing is published that is not as announced"
    );

    assert_eq!(
        publish_stream(bucket, "s", &sum, size, true, source())
            .await
            .unwrap(),
        Published::New
    );
    assert_eq!(
        publish_stream(bucket, "s", &sum, size, true, source())
            .await
            .unwrap(),
        Published::Same
    );
    let different = Bytes::from_static(b"different");
    let theirs: [u8; 32] = Sha256::digest(&different).into();
    let conflict =
        publish_stream(bucket, "s", &theirs, 9, true, stream::iter([Ok(different)])).await;
    assert!(
        matches!(conflict, Err(BucketError::Conflict { .. })),
        "{conflict:?}"
    );
    assert_eq!(digest(bucket, "s").await.unwrap(), (sum, size));
}
