//! A bucket on top of any `object_store` implementation: those of the clouds and the one in memory.

pub(crate) mod answer;
mod paths;
mod upload;

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{Error as StoreError, ObjectStore, ObjectStoreExt, PutPayload};

use crate::bucket::CLOCK;
use crate::key::{check_key, check_prefix};
use crate::{Bucket, BucketError, Entry, ListRange, Object, Upload};

use paths::offset;
use upload::StoreUpload;

pub(crate) use paths::to_path;

/// Objects of up to this many bytes are created with one conditional request. Larger objects use a
/// multipart upload, for which `object_store` supports no condition.
const SINGLE_REQUEST_BYTES: usize = 64 * 1024 * 1024;

/// Maximum size of a chunk that is passed on, in bytes. A store may return larger chunks.
const CHUNK_BYTES: usize = 1024 * 1024;

/// A bucket on top of an [`ObjectStore`].
#[derive(Debug, Clone)]
pub(crate) struct StoreBucket {
    store: Arc<dyn ObjectStore>,
    location: String,
    stores_empty_objects: bool,
    single_request_bytes: usize,
}

impl StoreBucket {
    /// Creates the bucket of all objects in `store`; `location` identifies it in messages.
    pub(crate) fn new(
        store: Arc<dyn ObjectStore>,
        location: String,
        stores_empty_objects: bool,
    ) -> Self {
        Self {
            store,
            location,
            stores_empty_objects,
            single_request_bytes: SINGLE_REQUEST_BYTES,
        }
    }

    fn path(key: &str) -> Result<Path, BucketError> {
        check_key(key)?;
        to_path(key)
    }

    fn error(&self, key: &str, error: StoreError) -> BucketError {
        meaning(&self.location, key, error)
    }
}

#[async_trait]
impl Bucket for StoreBucket {
    async fn get(&self, key: &str) -> Result<Object, BucketError> {
        let found = self
            .store
            .get(&Self::path(key)?)
            .await
            .map_err(|error| self.error(key, error))?;
        let size = found.meta.size;
        let (location, key) = (self.location.clone(), key.to_owned());
        let body = found
            .into_stream()
            .map_err(move |error| meaning(&location, &key, error))
            .flat_map(|chunk| stream::iter(split(chunk)))
            .boxed();
        Ok(Object { size, body })
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, BucketError> {
        let path = Self::path(key)?;
        if range.is_empty() {
            // Servers refuse an empty range. Only the existence of the object has to be checked.
            return self.size(key).await.map(|_| Bytes::new());
        }
        match self.store.get_range(&path, range.clone()).await {
            Ok(bytes) => Ok(bytes),
            // A server responds with "not satisfiable", which is a generic error, to a range that
            // starts past the end.
            Err(error @ StoreError::Generic { .. }) => match self.size(key).await {
                Ok(size) if range.start >= size => Ok(Bytes::new()),
                _ => Err(self.error(key, error)),
            },
            Err(error) => Err(self.error(key, error)),
        }
    }

    async fn size(&self, key: &str) -> Result<u64, BucketError> {
        let found = self.store.head(&Self::path(key)?).await;
        found
            .map(|meta| meta.size)
            .map_err(|error| self.error(key, error))
    }

    async fn create(
        &self,
        key: &str,
        size_hint: Option<u64>,
    ) -> Result<Box<dyn Upload>, BucketError> {
        let upload = StoreUpload::start(self.clone(), Self::path(key)?, size_hint).await?;
        Ok(Box::new(upload))
    }

    async fn list(
        &self,
        prefix: &str,
        range: ListRange,
    ) -> Result<BoxStream<'static, Result<Entry, BucketError>>, BucketError> {
        let prefix = check_prefix(prefix)?.to_owned();
        let directory = to_path(&prefix)?;
        let listed = match offset(&prefix, &range) {
            Some(offset) => self.store.list_with_offset(Some(&directory), &offset),
            None => self.store.list(Some(&directory)),
        };
        let location = self.location.clone();
        let end = range.clone();
        Ok(listed
            .map_ok(|meta| Entry {
                key: meta.location.to_string(),
                size: meta.size,
            })
            .map_err(move |error| meaning(&location, &prefix, error))
            .try_take_while(move |entry| futures::future::ready(Ok(!end.is_after(&entry.key))))
            .try_filter(move |entry| futures::future::ready(!range.is_before(&entry.key)))
            .boxed())
    }

    async fn list_directories(&self, prefix: &str) -> Result<Vec<String>, BucketError> {
        let directory = to_path(check_prefix(prefix)?)?;
        let listed = self.store.list_with_delimiter(Some(&directory)).await;
        let prefixes = listed
            .map_err(|error| self.error(prefix, error))?
            .common_prefixes;
        let mut directories: Vec<String> = prefixes.into_iter().map(String::from).collect();
        directories.sort_unstable();
        Ok(directories)
    }

    async fn delete(&self, key: &str) -> Result<(), BucketError> {
        match self.store.delete(&Self::path(key)?).await {
            Ok(()) | Err(StoreError::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.error(key, error)),
        }
    }

    async fn date(&self) -> Result<i64, BucketError> {
        let path = Self::path(CLOCK)?;
        // Overwriting the object updates its modification date.
        let written = self.store.put(&path, PutPayload::new()).await;
        written.map_err(|error| self.error(CLOCK, error))?;
        let found = self
            .store
            .head(&path)
            .await
            .map_err(|error| self.error(CLOCK, error))?;
        Ok(found.last_modified.timestamp_millis())
    }

    fn location(&self) -> String {
        self.location.clone()
    }

    fn stores_empty_objects(&self) -> bool {
        self.stores_empty_objects
    }
}

fn split(chunk: Result<Bytes, BucketError>) -> Vec<Result<Bytes, BucketError>> {
    match chunk {
        Ok(mut rest) => {
            let mut pieces = Vec::with_capacity(rest.len() / CHUNK_BYTES + 1);
            while rest.len() > CHUNK_BYTES {
                pieces.push(Ok(rest.split_to(CHUNK_BYTES)));
            }
            if !rest.is_empty() {
                pieces.push(Ok(rest));
            }
            pieces
        }
        Err(error) => vec![Err(error)],
    }
}

fn meaning(location: &str, key: &str, error: StoreError) -> BucketError {
    match error {
        StoreError::NotFound { .. } => BucketError::not_found(location, key),
        StoreError::PermissionDenied { .. } | StoreError::Unauthenticated { .. } => {
            BucketError::PermissionDenied {
                key: key.to_owned(),
                bucket: location.to_owned(),
                source: Box::new(error),
            }
        }
        other => BucketError::unavailable(location, key, other),
    }
}

#[cfg(test)]
mod tests;
