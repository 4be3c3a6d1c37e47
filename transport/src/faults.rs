//! A bucket that fails at a chosen operation, for tests of the state after a crash or a lost
//! response.
//!
//! Each of these calls counts as one operation: opening an object, reading a range, reading a size,
//! starting an upload, each write, the commit, both listings, a deletion, and the date. Reading the
//! bytes of an opened object or listing and aborting an upload do not count.

mod flipped;
mod phantoms;
mod write_only;

use std::future::Future;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;

use crate::bucket::CLOCK;
use crate::{Bucket, BucketError, Created, Entry, ListRange, Object, SharedBucket, Upload};

pub use flipped::{FlippedReads, flip};
pub use phantoms::Phantoms;
pub use write_only::WriteOnly;

/// The effect at the chosen operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// The operation fails without effect. Later operations succeed.
    Fail,
    /// The operation takes effect but returns an error, as when a connection breaks. Later
    /// operations succeed.
    FailAfterEffect,
    /// This and all later operations fail without effect, as for a process that was killed. See
    /// [`died`].
    Die,
}

/// A plan of faults. Several buckets can share it; they count their operations together.
#[derive(Debug, Clone)]
pub struct Faults {
    at: u64,
    kind: FaultKind,
    count: Arc<AtomicU64>,
}

impl Faults {
    /// Creates a plan that fails at the `n`-th operation, counted from 1. With 0, the plan only
    /// counts.
    pub fn new(n: u64, kind: FaultKind) -> Self {
        Self {
            at: n,
            kind,
            count: Arc::default(),
        }
    }

    /// Wraps a bucket with this plan.
    pub fn wrap(&self, inner: SharedBucket) -> SharedBucket {
        Arc::new(FaultyBucket {
            inner,
            faults: self.clone(),
        })
    }

    /// Returns the number of operations so far, including failed ones. A run whose count stays
    /// below `n` was not affected.
    pub fn operations(&self) -> u64 {
        self.count.load(Ordering::SeqCst)
    }

    /// Counts an operation and runs it, or applies the fault.
    async fn run<T>(
        &self,
        bucket: &str,
        key: &str,
        operation: impl Future<Output = Result<T, BucketError>>,
    ) -> Result<T, BucketError> {
        let number = self.count.fetch_add(1, Ordering::SeqCst) + 1;
        let is_faulty = self.at != 0
            && (number == self.at || (number > self.at && self.kind == FaultKind::Die));
        if !is_faulty {
            return operation.await;
        }
        match self.kind {
            FaultKind::Fail => Err(BucketError::unavailable(bucket, key, Injected { number })),
            FaultKind::Die => Err(BucketError::unavailable(bucket, key, Died)),
            FaultKind::FailAfterEffect => {
                operation.await?;
                Err(BucketError::unavailable(bucket, key, Injected { number }))
            }
        }
    }
}

/// Returns whether the error, or one of its causes, comes from [`FaultKind::Die`].
pub fn died(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.is::<Died>() {
            return true;
        }
        // The error inside an `io::Error` is not its source but replaces it.
        next = match error
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref)
        {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    false
}

#[derive(Debug, thiserror::Error)]
#[error("injected fault at operation {number}")]
struct Injected {
    number: u64,
}

#[derive(Debug, thiserror::Error)]
#[error("the process is dead")]
struct Died;

/// A bucket with a plan of faults.
#[derive(Debug)]
pub struct FaultyBucket {
    inner: SharedBucket,
    faults: Faults,
}

impl FaultyBucket {
    /// Wraps a bucket so that `n` operations succeed, the next one fails, and later ones succeed
    /// again.
    pub fn fail_after(inner: SharedBucket, n: u64) -> SharedBucket {
        Faults::new(n + 1, FaultKind::Fail).wrap(inner)
    }

    async fn run<T>(
        &self,
        key: &str,
        operation: impl Future<Output = Result<T, BucketError>>,
    ) -> Result<T, BucketError> {
        self.faults
            .run(&self.inner.location(), key, operation)
            .await
    }
}

#[async_trait]
impl Bucket for FaultyBucket {
    async fn get(&self, key: &str) -> Result<Object, BucketError> {
        self.run(key, self.inner.get(key)).await
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, BucketError> {
        self.run(key, self.inner.get_range(key, range)).await
    }

    async fn size(&self, key: &str) -> Result<u64, BucketError> {
        self.run(key, self.inner.size(key)).await
    }

    async fn create(
        &self,
        key: &str,
        size_hint: Option<u64>,
    ) -> Result<Box<dyn Upload>, BucketError> {
        let inner = self.run(key, self.inner.create(key, size_hint)).await?;
        let (faults, bucket) = (self.faults.clone(), self.inner.location());
        Ok(Box::new(FaultyUpload {
            inner,
            faults,
            bucket,
            key: key.to_owned(),
        }))
    }

    async fn list(
        &self,
        prefix: &str,
        range: ListRange,
    ) -> Result<BoxStream<'static, Result<Entry, BucketError>>, BucketError> {
        self.run(prefix, self.inner.list(prefix, range)).await
    }

    async fn list_directories(&self, prefix: &str) -> Result<Vec<String>, BucketError> {
        self.run(prefix, self.inner.list_directories(prefix)).await
    }

    async fn delete(&self, key: &str) -> Result<(), BucketError> {
        self.run(key, self.inner.delete(key)).await
    }

    async fn date(&self) -> Result<i64, BucketError> {
        self.run(CLOCK, self.inner.date()).await
    }

    fn location(&self) -> String {
        self.inner.location()
    }

    fn stores_empty_objects(&self) -> bool {
        self.inner.stores_empty_objects()
    }
}

struct FaultyUpload {
    inner: Box<dyn Upload>,
    faults: Faults,
    bucket: String,
    key: String,
}

#[async_trait]
impl Upload for FaultyUpload {
    async fn write(&mut self, bytes: Bytes) -> Result<(), BucketError> {
        self.faults
            .run(&self.bucket, &self.key, self.inner.write(bytes))
            .await
    }

    async fn commit(self: Box<Self>) -> Result<Created, BucketError> {
        let Self {
            inner,
            faults,
            bucket,
            key,
        } = *self;
        faults.run(&bucket, &key, inner.commit()).await
    }

    async fn abort(self: Box<Self>) {
        self.inner.abort().await;
    }
}

#[cfg(test)]
mod tests;
