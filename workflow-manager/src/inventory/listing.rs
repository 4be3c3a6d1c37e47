//! A bounded listing that is streamed and never held in memory.

use futures::StreamExt as _;
use tallybox_transport::{Bucket, BucketError, ListRange};

/// Calls `visit` with the key of each object of a directory in the half-open range of keys.
pub(super) async fn each(
    bucket: &dyn Bucket,
    directory: &str,
    (start_at, end_before): (String, String),
    mut visit: impl FnMut(&str),
) -> Result<(), BucketError> {
    let range = ListRange {
        start_at: Some(start_at),
        end_before: Some(end_before),
    };
    let mut entries = bucket.list(directory, range).await?;
    while let Some(entry) = entries.next().await {
        visit(&entry?.key);
    }
    Ok(())
}
