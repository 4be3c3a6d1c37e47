//! A bucket that, once for each object, reports an absent object as existing and does not create
//! it.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;

use crate::{Bucket, BucketError, Created, Entry, ListRange, Object, SharedBucket, Upload};

type Select = dyn Fn(&str) -> bool + Send + Sync;

/// A bucket whose first response to a commit is [`Created::Exists`] without effect, for each object
/// selected by a predicate.
pub struct Phantoms {
    inner: SharedBucket,
    select: Box<Select>,
    reported: Mutex<BTreeSet<String>>,
}

impl std::fmt::Debug for Phantoms {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Phantoms")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

impl Phantoms {
    /// Wraps a bucket. The first commit of each object whose key `select` accepts gets this
    /// response.
    pub fn wrap(
        inner: SharedBucket,
        select: impl Fn(&str) -> bool + Send + Sync + 'static,
    ) -> SharedBucket {
        Arc::new(Self {
            inner,
            select: Box::new(select),
            reported: Mutex::default(),
        })
    }

    fn is_first(&self, key: &str) -> bool {
        let mut reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
        (self.select)(key) && reported.insert(key.to_owned())
    }
}

#[async_trait]
impl Bucket for Phantoms {
    async fn get(&self, key: &str) -> Result<Object, BucketError> {
        self.inner.get(key).await
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, BucketError> {
        self.inner.get_range(key, range).await
    }

    async fn size(&self, key: &str) -> Result<u64, BucketError> {
        self.inner.size(key).await
    }

    async fn create(
        &self,
        key: &str,
        size_hint: Option<u64>,
    ) -> Result<Box<dyn Upload>, BucketError> {
        let inner = self.inner.create(key, size_hint).await?;
        if self.is_first(key) {
            return Ok(Box::new(Phantom(inner)));
        }
        Ok(inner)
    }

    async fn list(
        &self,
        prefix: &str,
        range: ListRange,
    ) -> Result<BoxStream<'static, Result<Entry, BucketError>>, BucketError> {
        self.inner.list(prefix, range).await
    }

    async fn list_directories(&self, prefix: &str) -> Result<Vec<String>, BucketError> {
        self.inner.list_directories(prefix).await
    }

    async fn delete(&self, key: &str) -> Result<(), BucketError> {
        self.inner.delete(key).await
    }

    async fn date(&self) -> Result<i64, BucketError> {
        self.inner.date().await
    }

    fn location(&self) -> String {
        self.inner.location()
    }

    fn stores_empty_objects(&self) -> bool {
        self.inner.stores_empty_objects()
    }
}

/// An upload that creates no object.
struct Phantom(Box<dyn Upload>);

#[async_trait]
impl Upload for Phantom {
    async fn write(&mut self, bytes: Bytes) -> Result<(), BucketError> {
        self.0.write(bytes).await
    }

    async fn commit(self: Box<Self>) -> Result<Created, BucketError> {
        self.0.abort().await;
        Ok(Created::Exists)
    }

    async fn abort(self: Box<Self>) {
        self.0.abort().await;
    }
}
