//! A bucket in memory, for tests and for programs that run every role in one process.

use std::sync::Arc;

use object_store::memory::InMemory;

use crate::SharedBucket;
use crate::store::StoreBucket;

/// A new, empty bucket in this process' memory, gone with its last owner. `name` tells it from others in messages.
pub fn memory(name: &str) -> SharedBucket {
    Arc::new(StoreBucket::new(
        Arc::new(InMemory::new()),
        format!("memory:{name}"),
        true,
    ))
}
