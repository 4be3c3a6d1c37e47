//! Cancels work on blocking threads when its caller is dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The caller's handle. Dropping the handle cancels the work.
#[derive(Debug, Default)]
pub(crate) struct GivingUp(GivenUp);

/// The flag that the work checks between steps.
#[derive(Clone, Debug, Default)]
pub(crate) struct GivenUp(Arc<AtomicBool>);

impl GivingUp {
    /// Returns the flag for the work.
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
    /// Returns whether the caller has been dropped.
    pub(crate) fn is(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
