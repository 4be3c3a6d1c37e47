//! The form that all sealed files share: a head, chunks that are sealed one by one and numbered from
//! 0, of which the last is the footer, and a tail with the location of the footer.

use super::SealedError;
use bytes::{Bytes, BytesMut};
use futures::TryStreamExt as _;
use serde::de::DeserializeOwned;
use std::ops::Range;
use tallybox_crypto::SealError;
use tallybox_crypto::prepared::FileKey;
use tallybox_transport::{BucketError, SharedBucket};
use zeroize::Zeroizing;

/// The length of the footer's offset and chunk number.
const TAIL_BYTES: u64 = 12;

/// A sealed file that exists: its bytes if it is small, otherwise parts on demand.
pub(crate) struct Container {
    bucket: SharedBucket,
    object: String,
    size: u64,
    whole: Option<Bytes>,
}

impl Container {
    /// Finds the file; returns `None` if there is none. A file of up to `most` bytes is fetched in
    /// one request, a larger one chunk by chunk.
    ///
    /// # Errors
    /// The bucket's errors.
    pub(crate) async fn find(
        bucket: &SharedBucket,
        object: String,
        most: u64,
    ) -> Result<Option<Self>, BucketError> {
        let found = match bucket.get(&object).await {
            Ok(found) => found,
            Err(BucketError::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let size = found.size;
        let whole = if size <= most {
            Some(collect(found).await?)
        } else {
            None
        };
        Ok(Some(Self {
            bucket: bucket.clone(),
            object,
            size,
            whole,
        }))
    }

    /// Creates the container of a file whose bytes are in memory.
    pub(crate) fn in_memory(bucket: &SharedBucket, object: String, bytes: Bytes) -> Self {
        Self {
            bucket: bucket.clone(),
            object,
            size: bytes.len() as u64,
            whole: Some(bytes),
        }
    }

    /// Returns the object's name.
    pub(crate) fn object(&self) -> &str {
        &self.object
    }

    /// Returns the bytes if the file was fetched in one request.
    pub(crate) fn whole(&self) -> Option<&Bytes> {
        self.whole.as_ref()
    }

    /// Returns the first bytes of the file: at most this many.
    ///
    /// # Errors
    /// [`SealedError`] if the bucket fails or returns fewer bytes than the file has.
    pub(crate) async fn head(&self, most: u64) -> Result<Bytes, SealedError> {
        self.part(0..most.min(self.size)).await
    }

    /// Reads the footer, which the tail locates.
    ///
    /// # Errors
    /// [`SealedError`] if the file is damaged or malformed, or the bucket fails.
    pub(crate) async fn footer<F: DeserializeOwned>(
        &self,
        key: &FileKey,
    ) -> Result<F, SealedError> {
        let cut = || self.malformed("cut off");
        let end = self.size.checked_sub(TAIL_BYTES).ok_or_else(cut)?;
        let tail = self.part(end..self.size).await?;
        let (offset, number) = tail.split_first_chunk::<8>().ok_or_else(cut)?;
        let number = u32::from_le_bytes(number.try_into().map_err(|_| cut())?);
        let offset = u64::from_le_bytes(*offset);
        if offset > end {
            return Err(self.malformed("footer outside the file"));
        }
        let sealed = self.part(offset..end).await?;
        let bytes = self.open_chunk(key, number, true, &sealed)?;
        serde_json::from_slice(&bytes).map_err(|_| self.malformed("footer"))
    }

    /// Reads and opens a chunk that is not the footer.
    ///
    /// # Errors
    /// [`SealedError`] if the chunk is damaged, or the bucket fails.
    pub(crate) async fn chunk(
        &self,
        key: &FileKey,
        number: u32,
        offset: u64,
        length: u64,
    ) -> Result<Zeroizing<Vec<u8>>, SealedError> {
        let sealed = self.part(offset..offset.saturating_add(length)).await?;
        self.open_chunk(key, number, false, &sealed)
    }

    /// Reads a range of the file. A result shorter than the range is an error.
    pub(super) async fn part(&self, at: Range<u64>) -> Result<Bytes, SealedError> {
        let length = at.end.saturating_sub(at.start);
        let bytes = match &self.whole {
            Some(whole) => {
                let size = whole.len() as u64;
                whole.slice(at.start.min(size) as usize..at.end.min(size) as usize)
            }
            None => self.bucket.get_range(&self.object, at).await?,
        };
        if (bytes.len() as u64) < length {
            return Err(self.malformed("cut off"));
        }
        Ok(bytes)
    }

    fn open_chunk(
        &self,
        key: &FileKey,
        number: u32,
        last: bool,
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, SealedError> {
        let mut bytes = Zeroizing::new(sealed.to_vec());
        let opened = key.open_chunk(number, last, &mut bytes);
        opened.map_err(|source| SealedError::Sealed {
            object: self.object.clone(),
            source,
        })?;
        Ok(bytes)
    }

    /// Creates the error for a file in another format than this program writes.
    pub(crate) fn malformed(&self, problem: &'static str) -> SealedError {
        SealedError::Malformed {
            object: self.object.clone(),
            problem,
        }
    }
}

async fn collect(object: tallybox_transport::Object) -> Result<Bytes, BucketError> {
    let mut bytes = BytesMut::with_capacity(object.size as usize);
    let mut body = object.body;
    while let Some(part) = body.try_next().await? {
        bytes.extend_from_slice(&part);
    }
    Ok(bytes.freeze())
}

/// Seals the chunks of a file in order.
pub(crate) struct Sealer {
    key: FileKey,
    number: u32,
    offset: u64,
}

impl Sealer {
    /// Creates a sealer for a file with a head of this many bytes.
    pub(crate) fn new(key: FileKey, head_bytes: u64) -> Self {
        Self {
            key,
            number: 0,
            offset: head_bytes,
        }
    }

    /// Seals a chunk in place; returns the offset of its first byte in the file.
    ///
    /// # Errors
    /// [`SealError`] if the chunk is too long, or the file has more chunks than can be numbered.
    pub(crate) fn chunk(&mut self, bytes: &mut Vec<u8>) -> Result<u64, SealError> {
        let offset = self.offset;
        self.key.seal_chunk(self.number, false, bytes)?;
        self.number = self.number.checked_add(1).ok_or(SealError::TooMany)?;
        self.offset += bytes.len() as u64;
        Ok(offset)
    }

    /// Seals the footer and appends the tail: the end of the file.
    ///
    /// # Errors
    /// [`SealError`] if the footer is too long for a chunk.
    pub(crate) fn end(&self, mut sealed: Vec<u8>) -> Result<Vec<u8>, SealError> {
        self.key.seal_chunk(self.number, true, &mut sealed)?;
        sealed.extend(self.offset.to_le_bytes());
        sealed.extend(self.number.to_le_bytes());
        Ok(sealed)
    }
}
