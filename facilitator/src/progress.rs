//! Progress of long work, for progress bars and watchdogs.

use std::sync::Arc;

/// A progress callback: numbers of packets and bytes processed since the last call.
pub type ProgressCallback = Arc<dyn Fn(u64, u64) + Send + Sync>;

/// Returns a progress callback that does nothing.
#[must_use]
pub fn no_progress() -> ProgressCallback {
    Arc::new(|_, _| {})
}
