//! What the conformance suite cannot show: mailboxes that we may not read, and a failure at every operation.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::ops::Range;

use async_trait::async_trait;
use futures::stream::{self, BoxStream};

use super::*;
use crate::faults::{Faults, Kind, died};
use crate::{Entry, ListRange, LocalBucket, Object, SharedBucket, memory};

/// A peer's mailbox: objects can be created, nothing else is allowed.
#[derive(Debug)]
struct Mailbox(SharedBucket);

impl Mailbox {
    fn denied<T>(&self, key: &str) -> Result<T, BucketError> {
        Err(BucketError::PermissionDenied {
            key: key.to_owned(),
            bucket: self.location(),
            source: "403".into(),
        })
    }
}

#[async_trait]
impl Bucket for Mailbox {
    async fn get(&self, key: &str) -> Result<Object, BucketError> {
        self.denied(key)
    }
    async fn get_range(&self, key: &str, _: Range<u64>) -> Result<Bytes, BucketError> {
        self.denied(key)
    }
    async fn size(&self, key: &str) -> Result<u64, BucketError> {
        self.denied(key)
    }
    async fn create(&self, key: &str, size_hint: Option<u64>) -> Result<Box<dyn Upload>, BucketError> {
        self.0.create(key, size_hint).await
    }
    async fn list(
        &self,
        prefix: &str,
        _: ListRange,
    ) -> Result<BoxStream<'static, Result<Entry, BucketError>>, BucketError> {
        self.denied(prefix)
    }
    async fn list_directories(&self, prefix: &str) -> Result<Vec<String>, BucketError> {
        self.denied(prefix)
    }
    async fn delete(&self, key: &str) -> Result<(), BucketError> {
        self.denied(key)
    }
    fn location(&self) -> String {
        self.0.location()
    }
    fn stores_empty_objects(&self) -> bool {
        self.0.stores_empty_objects()
    }
}

const BYTES: Bytes = Bytes::from_static(b"what was fixed");

async fn publish_both(bucket: &dyn Bucket, fixed: bool) -> Result<[Published; 2], BucketError> {
    let sum: [u8; 32] = Sha256::digest(BYTES).into();
    let source = stream::iter([Ok(BYTES.slice(..4)), Ok(BYTES.slice(4..))]);
    let first = publish_bytes(bucket, "d/bytes", BYTES, fixed).await?;
    let second = publish_stream(bucket, "d/stream", &sum, BYTES.len() as u64, fixed, source).await?;
    Ok([first, second])
}

#[tokio::test]
async fn in_a_mailbox_we_cannot_read_only_fixed_bytes_count_as_ours() {
    let mailbox = Mailbox(memory("peer"));
    assert_eq!(publish_both(&mailbox, false).await.unwrap(), [Published::New; 2]);
    assert_eq!(publish_both(&mailbox, true).await.unwrap(), [Published::Same; 2]);
    let unsure = publish_both(&mailbox, false).await;
    assert!(
        matches!(unsure, Err(BucketError::PermissionDenied { .. })),
        "{unsure:?}"
    );
}

/// A failure or death at each operation in turn, then a rerun: the same bytes, and nothing beside them.
#[tokio::test]
async fn a_rerun_after_any_failure_ends_in_the_same_bytes() {
    let directory = tempfile::tempdir().unwrap();
    for kind in [Kind::Fail, Kind::FailAfterEffect, Kind::Die] {
        for (place, n) in [0, 1].into_iter().flat_map(|place| (1..=7).map(move |n| (place, n))) {
            let inner: SharedBucket = match place {
                0 => memory(""),
                _ => std::sync::Arc::new(LocalBucket::new(directory.path().join(format!("{kind:?}-{n}")))),
            };
            let error = publish_both(&*Faults::new(n, kind).wrap(inner.clone()), false)
                .await
                .unwrap_err();
            assert_eq!(died(&error), kind == Kind::Die);
            publish_both(&*inner, false).await.unwrap();
            assert_eq!(publish_both(&*inner, false).await.unwrap(), [Published::Same; 2]);
            for key in ["d/bytes", "d/stream"] {
                assert_eq!(read_all(&*inner, key, 99).await.unwrap(), BYTES);
            }
        }
    }
}

/// A server that announces less than it sends must not fill the memory.
#[tokio::test]
async fn the_limit_holds_whatever_size_is_announced() {
    #[derive(Debug)]
    struct Liar;
    #[async_trait]
    impl Bucket for Liar {
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
            "liar:".into()
        }
        fn stores_empty_objects(&self) -> bool {
            true
        }
    }
    let read = read_all(&Liar, "k", 5000).await;
    assert!(matches!(read, Err(BucketError::TooLarge { limit: 5000, .. })));
}
