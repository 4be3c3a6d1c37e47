//! A bucket that returns one corrupted byte for each object, as a damaged cache or cable would.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};

use crate::{Bucket, BucketError, Entry, ListRange, Object, SharedBucket, Upload};

type Select = dyn Fn(&str) -> bool + Send + Sync;

/// A bucket whose first response to `get` has one wrong bit, for each object selected by a
/// predicate.
pub struct FlippedReads {
    inner: SharedBucket,
    select: Box<Select>,
    flipped: Mutex<BTreeSet<String>>,
}

impl std::fmt::Debug for FlippedReads {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FlippedReads")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

impl FlippedReads {
    /// Wraps a bucket. The first read of each object whose key `select` accepts is corrupted.
    pub fn new(
        inner: SharedBucket,
        select: impl Fn(&str) -> bool + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            inner,
            select: Box::new(select),
            flipped: Mutex::default(),
        })
    }

    /// Returns the objects whose read was corrupted, sorted.
    pub fn flipped(&self) -> Vec<String> {
        let flipped = self.flipped.lock().unwrap_or_else(PoisonError::into_inner);
        flipped.iter().cloned().collect()
    }
}

/// Returns the object with one wrong bit in the middle of its first chunk.
pub async fn flip(object: Object) -> Object {
    let Object { size, mut body } = object;
    let first = body.next().await;
    let damaged = first.map(|chunk| {
        chunk.map(|chunk| {
            let mut chunk = BytesMut::from(&chunk[..]);
            let middle = chunk.len() / 2;
            if let Some(byte) = chunk.get_mut(middle) {
                *byte ^= 1;
            }
            chunk.freeze()
        })
    });
    Object {
        size,
        body: stream::iter(damaged).chain(body).boxed(),
    }
}

#[async_trait]
impl Bucket for FlippedReads {
    async fn get(&self, key: &str) -> Result<Object, BucketError> {
        let object = self.inner.get(key).await?;
        let damage = (self.select)(key) && {
            let mut flipped = self.flipped.lock().unwrap_or_else(PoisonError::into_inner);
            flipped.insert(key.to_owned())
        };
        Ok(if damage { flip(object).await } else { object })
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
        self.inner.create(key, size_hint).await
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
