//! A bucket that records its operations, for assertions on their order and number.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use crate::intercept::{Decision, Intercepted, Interceptor, Request};
use crate::{BucketError, SharedBucket};

pub use crate::intercept::OperationKind;

/// An operation, recorded when it was requested, independent of its outcome. Writes are not
/// recorded, because their number depends on the sizes of chunks.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Operation {
    /// The kind.
    pub kind: OperationKind,
    /// The key or prefix.
    pub key: String,
}

/// A log of operations.
#[derive(Debug, Default)]
pub struct Log(Mutex<Vec<Operation>>);

/// A bucket with a log of its operations.
pub type RecordedBucket = Intercepted<Log>;

impl RecordedBucket {
    /// Wraps a bucket with an empty log.
    pub fn new(inner: SharedBucket) -> Arc<Self> {
        Self::wrap(inner, Log::default())
    }

    /// Removes and returns the operations since the last call, in order.
    pub fn drain(&self) -> Vec<Operation> {
        let log = &self.interceptor.0;
        std::mem::take(&mut *log.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns the keys of the recorded operations of one kind, in order, without removing the
    /// operations.
    pub fn keys(&self, kind: OperationKind) -> Vec<String> {
        let log = &self.interceptor.0;
        let log = log.lock().unwrap_or_else(PoisonError::into_inner);
        log.iter()
            .filter(|operation| operation.kind == kind)
            .map(|operation| operation.key.clone())
            .collect()
    }
}

#[async_trait]
impl Interceptor for Log {
    async fn before(&self, request: &Request<'_>) -> Result<Decision, BucketError> {
        if request.kind != OperationKind::Write {
            let operation = Operation {
                kind: request.kind,
                key: request.key.to_owned(),
            };
            let mut log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            log.push(operation);
        }
        Ok(Decision::Proceed)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use bytes::Bytes;

    use crate::{Bucket, memory, publish_bytes};

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
