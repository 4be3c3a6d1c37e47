//! A bucket whose operations pass through an interceptor, which records, delays or fails them.
//!
//! Tests, the simulation and the sandbox change the behaviour of a bucket only by interceptors.
//! Each of these calls is one operation: opening an object, reading a range, reading a size,
//! starting an upload, each write, the commit, the abort, both listings, a deletion, and the date.
//! Reading the bytes of an opened object or listing is none.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

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
    /// [`Upload::write`].
    Write,
    /// [`Upload::commit`].
    Commit,
    /// [`Upload::abort`], which cannot fail.
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

/// An operation that is about to run.
#[derive(Debug, Clone, Copy)]
pub struct Request<'r> {
    /// The kind.
    pub kind: OperationKind,
    /// The key or prefix.
    pub key: &'r str,
    bucket: &'r SharedBucket,
}

impl Request<'_> {
    /// Returns the error of a request that fails for this reason.
    pub fn unavailable(
        &self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> BucketError {
        BucketError::Unavailable {
            key: self.key.to_owned(),
            bucket: self.bucket.location(),
            source: source.into(),
        }
    }

    /// Returns the error of a request without permission.
    pub fn denied(&self, source: &'static str) -> BucketError {
        BucketError::PermissionDenied {
            key: self.key.to_owned(),
            bucket: self.bucket.location(),
            source: source.into(),
        }
    }
}

/// The effect and the response of an operation that does not fail at once.
#[derive(Debug)]
pub enum Decision {
    /// The operation runs as in the inner bucket.
    Proceed,
    /// The operation takes effect, but returns this error, as when a connection breaks.
    FailAfterEffect(BucketError),
}

/// Changes the behaviour of a bucket.
#[async_trait]
pub trait Interceptor: fmt::Debug + Send + Sync + 'static {
    /// Decides about an operation before it runs. After an error, it does not run.
    async fn before(&self, _request: &Request<'_>) -> Result<Decision, BucketError> {
        Ok(Decision::Proceed)
    }

    /// Returns whether a commit has no effect and reports that the object exists.
    fn reports_existing(&self, _key: &str) -> bool {
        false
    }

    /// Called after an object has been created or deleted.
    fn changed(&self, _kind: OperationKind, _key: &str) {}

    /// Returns the object that a reader receives.
    async fn map_object(&self, _key: &str, object: Object) -> Object {
        object
    }

    /// Returns the entries that a reader receives.
    async fn map_entries(&self, entries: EntryStream) -> EntryStream {
        entries
    }

    /// Returns the date that replaces the inner bucket's.
    fn date(&self) -> Option<i64> {
        None
    }

    /// Returns whether the bucket can contain an empty object; `inner` is the inner bucket's
    /// answer.
    fn stores_empty_objects(&self, inner: bool) -> bool {
        inner
    }
}

/// The entries of a listing.
pub type EntryStream = BoxStream<'static, Result<Entry, BucketError>>;

/// A bucket with an interceptor.
#[derive(Debug)]
pub struct Intercepted<I> {
    inner: SharedBucket,
    pub(crate) interceptor: Arc<I>,
}

impl<I: Interceptor> Intercepted<I> {
    /// Wraps a bucket with an interceptor, which several buckets can share.
    pub fn wrap(inner: SharedBucket, interceptor: impl Into<Arc<I>>) -> Arc<Self> {
        Arc::new(Self {
            inner,
            interceptor: interceptor.into(),
        })
    }

    async fn run<T>(
        &self,
        kind: OperationKind,
        key: &str,
        operation: impl Future<Output = Result<T, BucketError>>,
    ) -> Result<T, BucketError> {
        let request = Request {
            kind,
            key,
            bucket: &self.inner,
        };
        match self.interceptor.before(&request).await? {
            Decision::Proceed => operation.await,
            Decision::FailAfterEffect(error) => {
                operation.await?;
                Err(error)
            }
        }
    }
}

#[async_trait]
impl<I: Interceptor> Bucket for Intercepted<I> {
    async fn get(&self, key: &str) -> Result<Object, BucketError> {
        self.run(OperationKind::Get, key, async {
            let object = self.inner.get(key).await?;
            Ok(self.interceptor.map_object(key, object).await)
        })
        .await
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, BucketError> {
        let operation = self.inner.get_range(key, range);
        self.run(OperationKind::GetRange, key, operation).await
    }

    async fn size(&self, key: &str) -> Result<u64, BucketError> {
        self.run(OperationKind::Size, key, self.inner.size(key))
            .await
    }

    async fn create(
        &self,
        key: &str,
        size_hint: Option<u64>,
    ) -> Result<Box<dyn Upload>, BucketError> {
        let operation = self.inner.create(key, size_hint);
        let inner = self.run(OperationKind::Create, key, operation).await?;
        Ok(Box::new(InterceptedUpload {
            inner,
            bucket: Self {
                inner: Arc::clone(&self.inner),
                interceptor: Arc::clone(&self.interceptor),
            },
            key: key.to_owned(),
        }))
    }

    async fn list(&self, prefix: &str, range: ListRange) -> Result<EntryStream, BucketError> {
        self.run(OperationKind::List, prefix, async {
            let entries = self.inner.list(prefix, range).await?;
            Ok(self.interceptor.map_entries(entries).await)
        })
        .await
    }

    async fn list_directories(&self, prefix: &str) -> Result<Vec<String>, BucketError> {
        let operation = self.inner.list_directories(prefix);
        self.run(OperationKind::ListDirectories, prefix, operation)
            .await
    }

    async fn delete(&self, key: &str) -> Result<(), BucketError> {
        self.run(OperationKind::Delete, key, async {
            self.inner.delete(key).await?;
            self.interceptor.changed(OperationKind::Delete, key);
            Ok(())
        })
        .await
    }

    async fn date(&self) -> Result<i64, BucketError> {
        self.run(OperationKind::Date, CLOCK, async {
            match self.interceptor.date() {
                Some(date) => Ok(date),
                None => self.inner.date().await,
            }
        })
        .await
    }

    fn location(&self) -> String {
        self.inner.location()
    }

    fn stores_empty_objects(&self) -> bool {
        self.interceptor
            .stores_empty_objects(self.inner.stores_empty_objects())
    }
}

struct InterceptedUpload<I> {
    inner: Box<dyn Upload>,
    bucket: Intercepted<I>,
    key: String,
}

#[async_trait]
impl<I: Interceptor> Upload for InterceptedUpload<I> {
    async fn write(&mut self, bytes: Bytes) -> Result<(), BucketError> {
        let operation = self.inner.write(bytes);
        self.bucket
            .run(OperationKind::Write, &self.key, operation)
            .await
    }

    async fn commit(self: Box<Self>) -> Result<Created, BucketError> {
        let Self { inner, bucket, key } = *self;
        let interceptor = &bucket.interceptor;
        let operation = async {
            if interceptor.reports_existing(&key) {
                inner.abort().await;
                return Ok(Created::Exists);
            }
            let created = inner.commit().await?;
            if created == Created::New {
                interceptor.changed(OperationKind::Commit, &key);
            }
            Ok(created)
        };
        bucket.run(OperationKind::Commit, &key, operation).await
    }

    async fn abort(self: Box<Self>) {
        let Self { inner, bucket, key } = *self;
        let operation = async {
            inner.abort().await;
            Ok(())
        };
        // An abort has no result. If the interceptor fails it, dropping the upload aborts it.
        let _ = bucket.run(OperationKind::Abort, &key, operation).await;
    }
}
