//! The conformance suite on `object_store`'s store in memory, configured as a memory bucket and as
//! a cloud without empty objects.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use object_store::memory::InMemory;
use object_store::prefix::PrefixStore;

use super::*;
use crate::conformance::conformance;
use crate::{Created, SharedBucket, memory};

/// Returns a bucket like those of the clouds, with multipart uploads from this many bytes on.
fn cloud_like(single_request_bytes: usize) -> StoreBucket {
    let store = PrefixStore::new(InMemory::new(), "some/prefix");
    let bucket = StoreBucket::new(Arc::new(store), "x://bucket/some/prefix".into(), false);
    StoreBucket {
        single_request_bytes,
        ..bucket
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_conforms() {
    conformance(|| memory("test")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_with_a_prefix_conforms() {
    conformance(|| Arc::new(cloud_like(SINGLE_REQUEST_BYTES))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn multipart_uploads_conform() {
    conformance(|| Arc::new(cloud_like(1_000_000))).await;
}

#[tokio::test]
async fn a_large_upload_looks_before_it_writes() {
    let bucket: SharedBucket = Arc::new(cloud_like(10));
    for (text, created) in [
        ("first, and long", Created::New),
        ("second, and long", Created::Exists),
    ] {
        let mut upload = bucket.create("k", None).await.unwrap();
        upload
            .write(Bytes::from_static(text.as_bytes()))
            .await
            .unwrap();
        upload.write(Bytes::from_static(b"!")).await.unwrap();
        assert_eq!(upload.commit().await.unwrap(), created);
    }
    assert_eq!(
        crate::read_all(&*bucket, "k", 99).await.unwrap(),
        "first, and long!"
    );
}

#[test]
fn an_offset_sorts_just_before_the_first_key_wanted_and_is_no_part_of_it() {
    let range = |start: &str| ListRange {
        start_at: Some(start.into()),
        end_before: None,
    };
    for (start, expected) in [
        ("a/2020/31", Some("a/2020/30~")),
        ("a/2020/31/", Some("a/2020/30~")),
        ("a/2020/10/31/20/00/", Some("a/2020/10/31/20/0.~")),
        ("a/b", Some("a/a~")),
        ("a/0", Some("a/.~")),
        ("a/ü", Some("a/û~")),
        ("a", Some("`~")),
        // No character allowed in a key precedes a space. The offset is then the directory before.
        ("a/ ", Some("`~")),
        (" ", None),
        ("", None),
        ("a//b", Some("`~")),
        // In a walk, the directory `a` precedes `a-`, and its content follows.
        ("a-", Some("`~")),
        ("a-b/c", Some("`~")),
        ("x/a.b/c", Some("x/`~")),
        ("-a", Some("-`~")),
    ] {
        let offset = offset("", &range(start));
        assert_eq!(offset.as_ref().map(Path::as_ref), expected, "{start:?}");
        if let Some(offset) = offset {
            assert!(
                offset.as_ref() < start && !start.starts_with(offset.as_ref()),
                "{start:?}"
            );
        }
    }
    assert_eq!(offset("", &ListRange::default()), None);
    // A walk begins inside the prefix, so hyphens in the prefix have no effect.
    let below = |start: &str| offset("a-v1", &range(start)).map(String::from);
    assert_eq!(below("a-v1/2020/31").as_deref(), Some("a-v1/2020/30~"));
    assert_eq!(below("a-v1/2020-x").as_deref(), Some("a-v1/202.~"));
    assert_eq!(below("a-v1"), None);
    assert_eq!(below("a-v2/2020"), None);
}

#[test]
fn errors_keep_their_meaning() {
    let denied = StoreError::PermissionDenied {
        path: "k".into(),
        source: "no".into(),
    };
    assert!(matches!(
        meaning("b", "k", denied),
        BucketError::PermissionDenied { .. }
    ));
    let unknown = StoreError::Unauthenticated {
        path: "k".into(),
        source: "who".into(),
    };
    assert!(matches!(
        meaning("b", "k", unknown),
        BucketError::PermissionDenied { .. }
    ));
    let broken = StoreError::Generic {
        store: "S3",
        source: "503".into(),
    };
    assert!(matches!(
        meaning("b", "k", broken),
        BucketError::Unavailable { .. }
    ));
}
