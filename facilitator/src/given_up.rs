//! Work on blocking threads that nobody waits for any more: it looks at a flag, and ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Held by who waits; when it is dropped, the work is given up.
#[derive(Debug, Default)]
pub(crate) struct GivingUp(GivenUp);

/// Looked at by the work.
#[derive(Clone, Debug, Default)]
pub(crate) struct GivenUp(Arc<AtomicBool>);

impl GivingUp {
    /// What the work looks at.
    pub(crate) fn flag(&self) -> GivenUp {
        self.0.clone()
    }
}

impl Drop for GivingUp {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Relaxed);
    }
}

impl GivenUp {
    /// Whether nobody waits any more.
    pub(crate) fn is(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
