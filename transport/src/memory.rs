//! A bucket in memory, for tests and for programs that run all roles in one process.

use std::sync::Arc;

use object_store::memory::InMemory;

use crate::SharedBucket;
use crate::store::StoreBucket;

/// Creates a new, empty bucket in the memory of this process. It is dropped with its last owner.
/// `name` identifies the bucket in messages.
pub fn memory(name: &str) -> SharedBucket {
    Arc::new(StoreBucket::new(
        Arc::new(InMemory::new()),
        format!("memory:{name}"),
        true,
    ))
}
