//! A bucket that fails at a chosen operation, to show what a crash or a lost answer leaves behind.
//!
//! Every call counts as one operation: opening an object, a range, a size, starting an upload, each write, the commit,
//! both listings, a deletion, the date. Bytes of an object or listing already opened, and aborting, do not.

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

/// What happens at the chosen operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It fails without effect; later ones succeed.
    Fail,
    /// It takes effect, but the answer is an error, as when a connection breaks; later ones succeed.
    FailAfterEffect,
    /// It and all later ones fail without effect, as for a process that was killed: see [`died`].
    Die,
}

/// A plan of failure that several buckets share: they count together.
#[derive(Debug, Clone)]
pub struct Faults {
    at: u64,
    kind: Kind,
    count: Arc<AtomicU64>,
}

impl Faults {
    /// Strikes at the `n`-th operation, counted from 1; 0 never strikes, and only counts.
    pub fn new(n: u64, kind: Kind) -> Self {
        Self {
            at: n,
            kind,
            count: Arc::default(),
        }
    }

    /// The bucket under this plan.
    pub fn wrap(&self, inner: SharedBucket) -> SharedBucket {
        Arc::new(FaultyBucket {
            inner,
            faults: self.clone(),
        })
    }

    /// Operations counted so far, those that failed included. A run is through when it counts fewer than `n`.
    pub fn operations(&self) -> u64 {
        self.count.load(Ordering::SeqCst)
    }

    /// Counts one operation and does it, or what the plan makes of it.
    async fn run<T>(
        &self,
        bucket: &str,
        key: &str,
        operation: impl Future<Output = Result<T, BucketError>>,
    ) -> Result<T, BucketError> {
        let number = self.count.fetch_add(1, Ordering::SeqCst) + 1;
        let struck = self.at != 0 && (number == self.at || (number > self.at && self.kind == Kind::Die));
        if !struck {
            return operation.await;
        }
        match self.kind {
            Kind::Fail => Err(BucketError::unavailable(bucket, key, Injected { number })),
            Kind::Die => Err(BucketError::unavailable(bucket, key, Died)),
            Kind::FailAfterEffect => {
                operation.await?;
                Err(BucketError::unavailable(bucket, key, Injected { number }))
            }
        }
    }
}

/// Whether the error comes from [`Kind::Die`], or carries one that does.
pub fn died(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.is::<Died>() {
            return true;
        }
        // An error in an `io::Error` is not its source but stands in its place.
        next = match error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    false
}

#[derive(Debug, thiserror::Error)]
#[error("operation {number} was made to fail")]
struct Injected {
    number: u64,
}

#[derive(Debug, thiserror::Error)]
#[error("the process is dead")]
struct Died;

/// A bucket under a plan of failure.
#[derive(Debug)]
pub struct FaultyBucket {
    inner: SharedBucket,
    faults: Faults,
}

impl FaultyBucket {
    /// A bucket of which `n` operations succeed, the next fails, and those after it succeed again.
    pub fn fail_after(inner: SharedBucket, n: u64) -> SharedBucket {
        Faults::new(n + 1, Kind::Fail).wrap(inner)
    }

    async fn run<T>(
        &self,
        key: &str,
        operation: impl Future<Output = Result<T, BucketError>>,
    ) -> Result<T, BucketError> {
        self.faults.run(&self.inner.location(), key, operation).await
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

    async fn create(&self, key: &str, size_hint: Option<u64>) -> Result<Box<dyn Upload>, BucketError> {
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
        self.faults.run(&self.bucket, &self.key, self.inner.write(bytes)).await
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
