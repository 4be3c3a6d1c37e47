//! Making an object that is the same whoever makes it, however often: create if absent, compare if present.

use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt, pin_mut};
use sha2::{Digest, Sha256};

use crate::{Bucket, BucketError, Created, Upload};

/// The object is there, with our bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Published {
    /// We have made it.
    New,
    /// It was there before, and has been read.
    Same,
    /// The bucket says that it was there before, and we may not read it.
    Assumed,
}

impl Published {
    /// Whether nothing but the word "exists" speaks for the object. It is put again by later runs, until one of them makes
    /// it or it has had its time.
    #[must_use]
    pub fn is_assumed(self) -> bool {
        self == Self::Assumed
    }
}

/// Publishes an object of bytes held in memory.
///
/// If the object is there, its digest decides: equal is [`Published::Same`], another is [`BucketError::Conflict`].
/// In a mailbox that we may not read, a present object counts as ours only if `fixed` says that exactly these bytes
/// were fixed in our own bucket before, and is [`Published::Assumed`]; else the error is
/// [`BucketError::PermissionDenied`]. An object that is said to exist and cannot be found is
/// [`BucketError::NotSettled`].
///
/// No bytes make no object in a bucket that does not store empty ones: nothing is done, and the answer is `New`.
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
    settle(bucket, key, created, || Sha256::digest(&bytes).into(), fixed).await
}

/// Publishes an object of `size` bytes with the SHA-256 `digest` from a stream, in constant memory; else as
/// [`publish_bytes`].
///
/// What does not come out of the stream as announced is not published: [`BucketError::NotReproduced`]. An error of the
/// stream aborts the upload and is passed on.
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
    settle(bucket, key, upload.commit().await?, || *digest, fixed).await
}

/// Reads a whole object of at most `limit` bytes into memory; [`BucketError::TooLarge`] if it is larger, found out
/// before it is read.
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
    if first.len() as u64 == object.size {
        return Ok(first);
    }
    // The limit bounds this, whatever a server announced.
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

/// The SHA-256 and length in bytes of an object, read through in constant memory.
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

/// Writes the stream out. Stops after `size` bytes and one chunk: more cannot be right.
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

/// What it means that the object was made, or was there.
async fn settle(
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
        // One bad read is no conflict.
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
        Err(BucketError::NotFound { .. }) => Err(BucketError::not_settled(&bucket.location(), key, None)),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests;
