//! A mailbox with the permissions of its writer.

use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;

use crate::{Bucket, BucketError, Entry, ListRange, Object, SharedBucket, Upload};

/// A mailbox of another organisation. Creating objects is permitted; all other operations are
/// denied.
#[derive(Debug)]
pub struct WriteOnly(pub SharedBucket);

impl WriteOnly {
    fn denied<T>(&self, key: &str) -> Result<T, BucketError> {
        Err(BucketError::PermissionDenied {
            key: key.to_owned(),
            bucket: self.location(),
            source: "403".into(),
        })
    }
}

#[async_trait]
impl Bucket for WriteOnly {
    async fn get(&self, key: &str) -> Result<Object, BucketError> {
        self.denied(key)
    }

    async fn get_range(&self, key: &str, _: Range<u64>) -> Result<Bytes, BucketError> {
        self.denied(key)
    }

    async fn size(&self, key: &str) -> Result<u64, BucketError> {
        self.denied(key)
    }

    async fn create(
        &self,
        key: &str,
        size_hint: Option<u64>,
    ) -> Result<Box<dyn Upload>, BucketError> {
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
