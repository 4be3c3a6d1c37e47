//! A mailbox with the permissions of its writer.

use async_trait::async_trait;

use crate::intercept::{Decision, Intercepted, Interceptor, OperationKind, Request};
use crate::{BucketError, SharedBucket};

/// The permissions in a mailbox of another organisation. Creating objects is permitted; all other
/// operations are denied.
#[derive(Debug)]
pub struct WriteOnly;

impl WriteOnly {
    /// Wraps a bucket.
    pub fn wrap(inner: SharedBucket) -> SharedBucket {
        Intercepted::wrap(inner, Self)
    }
}

#[async_trait]
impl Interceptor for WriteOnly {
    async fn before(&self, request: &Request<'_>) -> Result<Decision, BucketError> {
        match request.kind {
            OperationKind::Create
            | OperationKind::Write
            | OperationKind::Commit
            | OperationKind::Abort
            | OperationKind::Date => Ok(Decision::Proceed),
            _ => Err(request.denied("403")),
        }
    }
}
