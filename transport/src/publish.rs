//! Idempotent publishing of an object: create it if absent, compare it if present.

use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt, pin_mut};
use sha2::{Digest, Sha256};

use crate::{Bucket, BucketError, Created, Upload};

/// The outcome of publishing: the object exists with the given bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Published {
    /// This call created the object.
    New,
    /// The object existed before, and its bytes were read and compared.
    Same,
    /// The bucket reports that the object existed before, but does not permit reading it.
    Assumed,
}

impl Published {
    /// Returns whether the bucket's report "exists" is the only evidence for the object. Later runs
    /// create such an object again, until one of them succeeds or the retry period has passed.
    #[must_use]
    pub fn is_assumed(self) -> bool {
        self == Self::Assumed
    }
}

/// Publishes an object from bytes in memory.
///
/// If the object exists, its digest is compared: an equal digest is [`Published::Same`], another is
/// [`BucketError::Conflict`]. In a mailbox that does not permit reading, an existing object is
/// [`Published::Assumed`] only if `fixed` states that exactly these bytes were recorded in the own
/// bucket before; otherwise, the error is [`BucketError::PermissionDenied`]. An object that is
/// reported as existing but cannot be found is [`BucketError::NotSettled`].
///
/// If there are no bytes and the bucket does not store empty objects, the function does nothing and
/// returns `New`.
pub async fn publish_bytes(
    bucket: &dyn Bucket,
    key: &str,
    bytes: Bytes,
    fixed: bool,
) -> Result<Published, BucketError> {
    if bytes.is_empty() && !bucket.stores_empty_objects() {
        return Ok(Published::New);
    }
    let mut upload = bucket.create(key, Some(bytes.len() as u64)).await?;
    if let Err(error) = upload.write(bytes.clone()).await {
        upload.abort().await;
        return Err(error);
    }
    let created = upload.commit().await?;
    compare_existing(
        bucket,
        key,
        created,
        || Sha256::digest(&bytes).into(),
        fixed,
    )
    .await
}

/// Publishes an object of `size` bytes with the SHA-256 `digest` from a stream, in constant memory.
/// Otherwise, the function behaves like [`publish_bytes`].
///
/// If the stream does not yield the announced bytes, the object is not published, and the error is
/// [`BucketError::NotReproduced`]. An error of the stream aborts the upload and is returned.
pub async fn publish_stream(
    bucket: &dyn Bucket,
    key: &str,
    digest: &[u8; 32],
    size: u64,
    fixed: bool,
    source: impl Stream<Item = Result<Bytes, BucketError>> + Send,
) -> Result<Published, BucketError> {
    let mut upload = bucket.create(key, Some(size)).await?;
    let written = match write_all(upload.as_mut(), size, source).await {
        Ok(written) => written,
        Err(error) => {
            upload.abort().await;
            return Err(error);
        }
    };
    if written != (*digest, size) {
        upload.abort().await;
        return Err(BucketError::NotReproduced {
            key: key.to_owned(),
            bucket: bucket.location(),
            expected: *digest,
            expected_size: size,
            actual: written.0,
            actual_size: written.1,
        });
    }
    if size == 0 && !bucket.stores_empty_objects() {
        upload.abort().await;
        return Ok(Published::New);
    }
    compare_existing(bucket, key, upload.commit().await?, || *digest, fixed).await
}

/// Reads a whole object of at most `limit` bytes into memory. Returns [`BucketError::TooLarge`],
/// before reading, if it is larger.
pub async fn read_all(bucket: &dyn Bucket, key: &str, limit: u64) -> Result<Bytes, BucketError> {
    let too_large = || BucketError::TooLarge {
        key: key.to_owned(),
        bucket: bucket.location(),
        limit,
    };
    let mut object = bucket.get(key).await?;
    if object.size > limit {
        return Err(too_large());
    }
    let Some(first) = object.body.next().await.transpose()? else {
        return Ok(Bytes::new());
    };
    // A single chunk needs no copy.
    if first.len() as u64 == object.size {
        return Ok(first);
    }
    // The limit bounds the allocation, whatever size the server announced.
    let mut whole = BytesMut::with_capacity(usize::try_from(object.size).map_err(|_| too_large())?);
    whole.extend_from_slice(&first);
    while let Some(chunk) = object.body.next().await.transpose()? {
        whole.extend_from_slice(&chunk);
        if whole.len() as u64 > limit {
            return Err(too_large());
        }
    }
    Ok(whole.freeze())
}

/// Computes the SHA-256 and the length in bytes of an object, in constant memory.
pub async fn digest(bucket: &dyn Bucket, key: &str) -> Result<([u8; 32], u64), BucketError> {
    let mut object = bucket.get(key).await?;
    let mut hash = Sha256::new();
    let mut size = 0;
    while let Some(chunk) = object.body.next().await.transpose()? {
        hash.update(&chunk);
        size += chunk.len() as u64;
    }
    Ok((hash.finalize().into(), size))
}

/// Writes the stream to the upload. Stops at the first chunk beyond `size` bytes, because the
/// result is wrong in any case.
async fn write_all(
    upload: &mut dyn Upload,
    size: u64,
    source: impl Stream<Item = Result<Bytes, BucketError>> + Send,
) -> Result<([u8; 32], u64), BucketError> {
    pin_mut!(source);
    let mut hash = Sha256::new();
    let mut written = 0;
    while let Some(chunk) = source.next().await.transpose()? {
        hash.update(&chunk);
        written += chunk.len() as u64;
        if written > size {
            break;
        }
        upload.write(chunk).await?;
    }
    Ok((hash.finalize().into(), written))
}

/// Determines the outcome of publishing, depending on whether the object was created or existed.
async fn compare_existing(
    bucket: &dyn Bucket,
    key: &str,
    created: Created,
    ours: impl FnOnce() -> [u8; 32] + Send,
    fixed: bool,
) -> Result<Published, BucketError> {
    if created == Created::New {
        return Ok(Published::New);
    }
    let ours = ours();
    let mut read = digest(bucket, key).await;
    if read.as_ref().is_ok_and(|(theirs, _)| *theirs != ours) {
        // Read a second time: a single corrupted read is not a conflict.
        read = digest(bucket, key).await;
    }
    match read {
        Ok((theirs, _)) => {
            if ours == theirs {
                return Ok(Published::Same);
            }
            Err(BucketError::Conflict {
                key: key.to_owned(),
                bucket: bucket.location(),
                ours,
                theirs,
            })
        }
        Err(BucketError::PermissionDenied { .. }) if fixed => Ok(Published::Assumed),
        Err(BucketError::NotFound { .. }) => {
            Err(BucketError::not_settled(&bucket.location(), key, None))
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests;
