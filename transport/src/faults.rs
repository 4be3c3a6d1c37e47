//! A bucket that fails at a chosen operation, for tests of the state after a crash or a lost
//! response.
//!
//! Every operation of [`OperationKind`] counts, except an abort.

mod flipped;
mod phantoms;
mod write_only;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;

use crate::intercept::{Decision, Intercepted, Interceptor, OperationKind, Request};
use crate::{BucketError, SharedBucket};

pub use flipped::{FlippedReads, Flips, flip};
pub use phantoms::Phantoms;
pub use write_only::WriteOnly;

/// A predicate over keys.
struct Select(Box<dyn Fn(&str) -> bool + Send + Sync>);

impl Select {
    fn new(accepts: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        Self(Box::new(accepts))
    }

    fn accepts(&self, key: &str) -> bool {
        (self.0)(key)
    }
}

impl std::fmt::Debug for Select {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Select")
    }
}

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
        Intercepted::wrap(inner, self.clone())
    }

    /// Returns the number of operations so far, including failed ones. A run whose count stays
    /// below `n` was not affected.
    pub fn operations(&self) -> u64 {
        self.count.load(Ordering::SeqCst)
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
pub type FaultyBucket = Intercepted<Faults>;

impl FaultyBucket {
    /// Wraps a bucket so that `n` operations succeed, the next one fails, and later ones succeed
    /// again.
    pub fn fail_after(inner: SharedBucket, n: u64) -> SharedBucket {
        Faults::new(n + 1, FaultKind::Fail).wrap(inner)
    }
}

#[async_trait]
impl Interceptor for Faults {
    async fn before(&self, request: &Request<'_>) -> Result<Decision, BucketError> {
        if request.kind == OperationKind::Abort {
            return Ok(Decision::Proceed);
        }
        let number = self.count.fetch_add(1, Ordering::SeqCst) + 1;
        let is_faulty = self.at != 0
            && (number == self.at || (number > self.at && self.kind == FaultKind::Die));
        if !is_faulty {
            return Ok(Decision::Proceed);
        }
        match self.kind {
            FaultKind::Fail => Err(request.unavailable(Injected { number })),
            FaultKind::Die => Err(request.unavailable(Died)),
            FaultKind::FailAfterEffect => Ok(Decision::FailAfterEffect(
                request.unavailable(Injected { number }),
            )),
        }
    }
}

#[cfg(test)]
mod tests;
