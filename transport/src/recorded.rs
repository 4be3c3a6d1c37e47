//! A bucket that records its operations, for assertions on their order and number.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;

use crate::bucket::CLOCK;
use crate::{Bucket, BucketError, Created, Entry, ListRange, Object, SharedBucket, Upload};

/// The kind of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OperationKind {
    /// [`Bucket::get`].
    Get,
    /// [`Bucket::get_range`].
    GetRange,
    /// [`Bucket::size`].
    Size,
    /// [`Bucket::create`].
    Create,
    /// [`Upload::commit`]. Writes are not recorded, because their number depends on the sizes of
    /// chunks.
    Commit,
    /// [`Upload::abort`].
    Abort,
    /// [`Bucket::list`].
    List,
    /// [`Bucket::list_directories`].
    ListDirectories,
    /// [`Bucket::delete`].
    Delete,
    /// [`Bucket::date`].
    Date,
}

/// An operation, recorded when it was requested, independent of its outcome.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Operation {
    /// The kind.
    pub kind: OperationKind,
    /// The key or prefix.
    pub key: String,
}

type Log = Arc<Mutex<Vec<Operation>>>;

/// A bucket with a log of its operations.
#[derive(Debug)]
pub struct RecordedBucket {
    inner: SharedBucket,
    log: Log,
}

impl RecordedBucket {
    /// Wraps a bucket with an empty log.
    pub fn new(inner: SharedBucket) -> Arc<Self> {
        Arc::new(Self {
            inner,
            log: Log::default(),
        })
    }

    /// Removes and returns the operations since the last call, in order.
    pub fn drain(&self) -> Vec<Operation> {
        std::mem::take(&mut *self.log.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns the keys of the recorded operations of one kind, in order, without removing the
    /// operations.
    pub fn keys(&self, kind: OperationKind) -> Vec<String> {
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.iter()
            .filter(|operation| operation.kind == kind)
            .map(|operation| operation.key.clone())
            .collect()
    }
}

fn record(log: &Log, kind: OperationKind, key: &str) {
    let operation = Operation {
        kind,
        key: key.to_owned(),
    };
    log.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(operation);
}

#[async_trait]
impl Bucket for RecordedBucket {
    async fn get(&self, key: &str) -> Result<Object, BucketError> {
        record(&self.log, OperationKind::Get, key);
        self.inner.get(key).await
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, BucketError> {
        record(&self.log, OperationKind::GetRange, key);
        self.inner.get_range(key, range).await
    }

    async fn size(&self, key: &str) -> Result<u64, BucketError> {
        record(&self.log, OperationKind::Size, key);
        self.inner.size(key).await
    }

    async fn create(
        &self,
        key: &str,
        size_hint: Option<u64>,
    ) -> Result<Box<dyn Upload>, BucketError> {
        record(&self.log, OperationKind::Create, key);
        let inner = self.inner.create(key, size_hint).await?;
        Ok(Box::new(RecordedUpload {
            inner,
            log: Arc::clone(&self.log),
            key: key.to_owned(),
        }))
    }

    async fn list(
        &self,
        prefix: &str,
        range: ListRange,
    ) -> Result<BoxStream<'static, Result<Entry, BucketError>>, BucketError> {
        record(&self.log, OperationKind::List, prefix);
        self.inner.list(prefix, range).await
    }

    async fn list_directories(&self, prefix: &str) -> Result<Vec<String>, BucketError> {
        record(&self.log, OperationKind::ListDirectories, prefix);
        self.inner.list_directories(prefix).await
    }

    async fn delete(&self, key: &str) -> Result<(), BucketError> {
        record(&self.log, OperationKind::Delete, key);
        self.inner.delete(key).await
    }

    async fn date(&self) -> Result<i64, BucketError> {
        record(&self.log, OperationKind::Date, CLOCK);
        self.inner.date().await
    }

    fn location(&self) -> String {
        self.inner.location()
    }

    fn stores_empty_objects(&self) -> bool {
        self.inner.stores_empty_objects()
    }
}

struct RecordedUpload {
    inner: Box<dyn Upload>,
    log: Log,
    key: String,
}

#[async_trait]
impl Upload for RecordedUpload {
    async fn write(&mut self, bytes: Bytes) -> Result<(), BucketError> {
        self.inner.write(bytes).await
    }

    async fn commit(self: Box<Self>) -> Result<Created, BucketError> {
        record(&self.log, OperationKind::Commit, &self.key);
        self.inner.commit().await
    }

    async fn abort(self: Box<Self>) {
        record(&self.log, OperationKind::Abort, &self.key);
        self.inner.abort().await;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{memory, publish_bytes};

    #[tokio::test]
    async fn records_what_is_asked_in_order() {
        let bucket = RecordedBucket::new(memory(""));
        publish_bytes(&*bucket, "a", Bytes::from_static(b"x"), false)
            .await
            .unwrap();
        bucket.get("none").await.unwrap_err();
        assert_eq!(bucket.keys(OperationKind::Get), ["none"]);
        let kinds: Vec<_> = bucket
            .drain()
            .into_iter()
            .map(|operation| operation.kind)
            .collect();
        assert_eq!(
            kinds,
            [
                OperationKind::Create,
                OperationKind::Commit,
                OperationKind::Get
            ]
        );
        assert!(bucket.drain().is_empty());
    }
}
