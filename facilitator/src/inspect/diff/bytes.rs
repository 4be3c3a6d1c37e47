//! Compares two objects byte by byte.

use crate::error::Error;
use bytes::Bytes;
use futures::TryStreamExt as _;
use tallybox_transport::SharedBucket;

/// Returns the index of the first different byte of two objects. Streams both.
pub(super) async fn first_difference(
    (left_bucket, left_key): (&SharedBucket, &str),
    (right_bucket, right_key): (&SharedBucket, &str),
) -> Result<Option<u64>, Error> {
    let mut left = left_bucket.get(left_key).await?.body;
    let mut right = right_bucket.get(right_key).await?.body;
    let mut left_part = Bytes::new();
    let mut right_part = Bytes::new();
    let mut position = 0;
    loop {
        if left_part.is_empty() {
            left_part = left.try_next().await?.unwrap_or_default();
        }
        if right_part.is_empty() {
            right_part = right.try_next().await?.unwrap_or_default();
        }
        let length = left_part.len().min(right_part.len());
        if length == 0 {
            return Ok((left_part.len() != right_part.len()).then_some(position));
        }
        let left_run = left_part.split_to(length);
        let right_run = right_part.split_to(length);
        let mut pairs = left_run.iter().zip(&right_run);
        if let Some(index) = pairs.position(|(left, right)| left != right) {
            return Ok(Some(position + index as u64));
        }
        position += length as u64;
    }
}
