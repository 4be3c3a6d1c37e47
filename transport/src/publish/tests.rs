//! Tests beyond the conformance suite: mailboxes that do not permit reading, and a fault at every
//! operation.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::ops::Range;

use async_trait::async_trait;
use futures::stream::{self, BoxStream};

use super::*;
use crate::faults::{FaultKind, Faults, FlippedReads, Phantoms, WriteOnly, died};
use crate::intercept::{Intercepted, Interceptor};
use crate::{Entry, ListRange, LocalBucket, Object, SharedBucket, memory};

const BYTES: Bytes = Bytes::from_static(b"what was fixed");

async fn publish_both(bucket: &dyn Bucket, fixed: bool) -> Result<[Published; 2], BucketError> {
    let sum: [u8; 32] = Sha256::digest(BYTES).into();
    let source = stream::iter([Ok(BYTES.slice(..4)), Ok(BYTES.slice(4..))]);
    let first = publish_bytes(bucket, "d/bytes", BYTES, fixed).await?;
    let second =
        publish_stream(bucket, "d/stream", &sum, BYTES.len() as u64, fixed, source).await?;
    Ok([first, second])
}

#[tokio::test]
async fn in_a_mailbox_we_cannot_read_only_fixed_bytes_count_as_ours() {
    let mailbox = WriteOnly::wrap(memory("peer"));
    assert_eq!(
        publish_both(&*mailbox, false).await.unwrap(),
        [Published::New; 2]
    );
    assert_eq!(
        publish_both(&*mailbox, true).await.unwrap(),
        [Published::Assumed; 2]
    );
    let unsure = publish_both(&*mailbox, false).await;
    assert!(
        matches!(unsure, Err(BucketError::PermissionDenied { .. })),
        "{unsure:?}"
    );
}

/// A fault or death at each operation in turn, then a repeated run: the same bytes and no other
/// objects.
#[tokio::test]
async fn a_rerun_after_any_failure_ends_in_the_same_bytes() {
    let directory = tempfile::tempdir().unwrap();
    for kind in [FaultKind::Fail, FaultKind::FailAfterEffect, FaultKind::Die] {
        for (bucket_kind, n) in [0, 1]
            .into_iter()
            .flat_map(|bucket_kind| (1..=7).map(move |n| (bucket_kind, n)))
        {
            let inner: SharedBucket = match bucket_kind {
                0 => memory(""),
                _ => std::sync::Arc::new(LocalBucket::new(
                    directory.path().join(format!("{kind:?}-{n}")),
                )),
            };
            let error = publish_both(&*Faults::new(n, kind).wrap(inner.clone()), false)
                .await
                .unwrap_err();
            assert_eq!(died(&error), kind == FaultKind::Die);
            publish_both(&*inner, false).await.unwrap();
            assert_eq!(
                publish_both(&*inner, false).await.unwrap(),
                [Published::Same; 2]
            );
            for key in ["d/bytes", "d/stream"] {
                assert_eq!(read_all(&*inner, key, 99).await.unwrap(), BYTES);
            }
        }
    }
}

/// A bucket that reports an absent object as existing. The object must not count as published.
#[tokio::test]
async fn what_is_said_to_exist_and_is_not_there_is_not_published() {
    for n in ["d/bytes", "d/stream"] {
        let inner = memory("");
        let readable = Phantoms::wrap(inner.clone(), move |key| key == n);
        let error = publish_both(&*readable, true).await.unwrap_err();
        assert!(
            matches!(error, BucketError::NotSettled { .. }),
            "{n}: {error}"
        );
        assert_eq!(error.disposition(), crate::Disposition::Retry);

        let inner = memory("");
        let mailbox = WriteOnly::wrap(Phantoms::wrap(inner.clone(), move |key| key == n));
        let published = publish_both(&*mailbox, true).await.unwrap();
        assert!(
            published.into_iter().any(Published::is_assumed),
            "{n}: {published:?}"
        );
        let second = publish_both(&*mailbox, true).await.unwrap();
        assert!(second.contains(&Published::New), "{n}: {second:?}");
        for key in ["d/bytes", "d/stream"] {
            assert_eq!(read_all(&*inner, key, 99).await.unwrap(), BYTES);
        }
    }
}

#[test]
fn only_an_assumed_object_is_published_again() {
    let answers = [Published::New, Published::Same, Published::Assumed];
    assert_eq!(answers.map(Published::is_assumed), [false, false, true]);
}

/// Empty bytes make an object exactly in a bucket that stores empty objects.
#[tokio::test]
async fn empty_bytes_make_an_object_where_empty_objects_are_stored() {
    let nothing: [u8; 32] = Sha256::digest(b"").into();
    for stores in [true, false] {
        let store = std::sync::Arc::new(object_store::memory::InMemory::new());
        let bucket = crate::store::StoreBucket::new(store, "test".to_owned(), stores);
        let bytes = publish_bytes(&bucket, "d/bytes", Bytes::new(), false)
            .await
            .unwrap();
        let stream = publish_stream(&bucket, "d/stream", &nothing, 0, false, stream::empty())
            .await
            .unwrap();
        assert_eq!([bytes, stream], [Published::New; 2]);
        for key in ["d/bytes", "d/stream"] {
            assert_eq!(read_all(&bucket, key, 0).await.is_ok(), stores, "{key}");
        }
    }
}

/// The bytes are read once more before they count as another writer's.
#[tokio::test]
async fn one_bad_read_is_no_conflict() {
    let inner = memory("");
    publish_both(&*inner, false).await.unwrap();
    let bucket = FlippedReads::new(inner.clone(), |_| true);
    assert_eq!(
        publish_both(&*bucket, false).await.unwrap(),
        [Published::Same; 2]
    );
    assert_eq!(bucket.flipped(), ["d/bytes", "d/stream"]);
    let other = publish_bytes(&*inner, "d/bytes", Bytes::from_static(b"other"), true).await;
    assert!(
        matches!(other, Err(BucketError::Conflict { .. })),
        "{other:?}"
    );
}

/// Every byte of the digest is compared.
#[tokio::test]
async fn a_digest_that_differs_in_one_bit_is_another() {
    let inner = memory("");
    publish_both(&*inner, false).await.unwrap();
    let digest: [u8; 32] = Sha256::digest(BYTES).into();
    let compare =
        async |ours| compare_existing(&*inner, "d/bytes", Created::Exists, || ours, false).await;
    assert_eq!(compare(digest).await.unwrap(), Published::Same);
    for at in 0..digest.len() {
        let mut ours = digest;
        ours[at] ^= 1;
        let other = compare(ours).await;
        assert!(
            matches!(other, Err(BucketError::Conflict { .. })),
            "byte {at}: {other:?}"
        );
    }
    // The same for the bytes of a stream.
    for at in 0..digest.len() {
        let mut announced = digest;
        announced[at] ^= 1;
        let source = stream::iter([Ok(BYTES)]);
        let published = publish_stream(
            &*inner,
            "d/other",
            &announced,
            BYTES.len() as u64,
            false,
            source,
        )
        .await;
        assert!(
            matches!(published, Err(BucketError::NotReproduced { .. })),
            "byte {at}: {published:?}"
        );
    }
}

/// A bucket that stores no empty objects.
#[derive(Debug)]
struct NoEmptyObjects;

#[async_trait]
impl Interceptor for NoEmptyObjects {
    fn stores_empty_objects(&self, _inner: bool) -> bool {
        false
    }
}

#[tokio::test]
async fn a_bucket_without_empty_objects_stores_all_others() {
    let bucket = Intercepted::wrap(memory("mailbox"), NoEmptyObjects);
    for bytes in [Bytes::new(), BYTES] {
        let digest: [u8; 32] = Sha256::digest(&bytes).into();
        let size = bytes.len() as u64;
        let source = stream::iter([Ok(bytes)]);
        let published = publish_stream(&*bucket, "d/stream", &digest, size, false, source).await;
        assert_eq!(published.unwrap(), Published::New);
        assert_eq!(bucket.size("d/stream").await.is_ok(), size > 0);
    }
}

/// An upload that counts the bytes written to it.
struct Counting(u64);

#[async_trait]
impl Upload for Counting {
    async fn write(&mut self, bytes: Bytes) -> Result<(), BucketError> {
        self.0 += bytes.len() as u64;
        Ok(())
    }
    async fn commit(self: Box<Self>) -> Result<Created, BucketError> {
        Ok(Created::New)
    }
    async fn abort(self: Box<Self>) {}
}

/// Whatever a stream yields, no more than the announced bytes are written, and little more is read.
#[tokio::test]
async fn no_more_is_written_than_was_announced() {
    for (announced, chunk) in [(100, 10), (100, 7), (1, 10), (0, 10)] {
        let long = || stream::repeat_with(move || Ok(Bytes::from(vec![0; chunk]))).take(1000);
        let mut upload = Counting(0);
        let (_, read) = write_all(&mut upload, announced, long()).await.unwrap();
        assert!(upload.0 <= announced, "{} of {announced} bytes", upload.0);
        assert!(read > announced && read <= announced + chunk as u64);
        let inner = memory("");
        let published = publish_stream(&*inner, "d/long", &[0; 32], announced, false, long()).await;
        assert!(
            matches!(published, Err(BucketError::NotReproduced { .. })),
            "{published:?}"
        );
        assert!(matches!(
            inner.get("d/long").await,
            Err(BucketError::NotFound { .. })
        ));
    }
}

/// A server that announces less than it sends must not exhaust the memory.
#[tokio::test]
async fn the_limit_holds_whatever_size_is_announced() {
    #[derive(Debug)]
    struct Understated;
    #[async_trait]
    impl Bucket for Understated {
        async fn get(&self, _: &str) -> Result<Object, BucketError> {
            let body = stream::repeat_with(|| Ok(Bytes::from_static(&[0; 1000]))).boxed();
            Ok(Object { size: 10, body })
        }
        async fn get_range(&self, key: &str, _: Range<u64>) -> Result<Bytes, BucketError> {
            Err(BucketError::not_found("", key))
        }
        async fn size(&self, _: &str) -> Result<u64, BucketError> {
            Ok(10)
        }
        async fn create(&self, key: &str, _: Option<u64>) -> Result<Box<dyn Upload>, BucketError> {
            Err(BucketError::not_found("", key))
        }
        async fn list(
            &self,
            _: &str,
            _: ListRange,
        ) -> Result<BoxStream<'static, Result<Entry, BucketError>>, BucketError> {
            Ok(stream::empty().boxed())
        }
        async fn list_directories(&self, _: &str) -> Result<Vec<String>, BucketError> {
            Ok(Vec::new())
        }
        async fn delete(&self, _: &str) -> Result<(), BucketError> {
            Ok(())
        }
        fn location(&self) -> String {
            "understated:".into()
        }
        fn stores_empty_objects(&self) -> bool {
            true
        }
    }
    let read = read_all(&Understated, "k", 5000).await;
    assert!(matches!(
        read,
        Err(BucketError::TooLarge { limit: 5000, .. })
    ));
}
