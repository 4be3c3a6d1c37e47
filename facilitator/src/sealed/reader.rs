//! Reads a sealed file: first the footer, then parts on demand.

use super::{Sealed, SealedChunk, SealedError, TAIL_BYTES};
use bytes::Bytes;
use serde::de::DeserializeOwned;
use std::ops::Range;
use tallybox_crypto::SealingKey;
use tallybox_crypto::prepared::FileKey;
use tallybox_transport::{BucketError, SharedBucket};
use zeroize::Zeroizing;

/// A file of up to this many bytes is fetched in one request, a larger one chunk by chunk.
const WHOLE_READ_BYTES: u64 = 4 << 20;

/// An open sealed file with its footer.
pub(crate) struct SealedReader<F> {
    bucket: SharedBucket,
    object: String,
    whole: Option<Bytes>,
    key: FileKey,
    footer: F,
}

impl<F: DeserializeOwned> SealedReader<F> {
    /// Opens the file; returns `None` if there is none.
    ///
    /// # Errors
    /// [`SealedError`] if the file is damaged or malformed, its key is unknown, or the bucket
    /// fails.
    pub(crate) async fn open(
        bucket: &SharedBucket,
        sealed: Sealed<'_>,
        keys: &[SealingKey],
    ) -> Result<Option<Self>, SealedError> {
        let object = sealed.object;
        let found = match bucket.get(object).await {
            Ok(found) => found,
            Err(BucketError::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let size = found.size;
        let whole = if size <= WHOLE_READ_BYTES {
            Some(crate::prepared::collect(found).await?)
        } else {
            None
        };
        let read = |at: Range<u64>| part(bucket, object, whole.as_ref(), at);
        let head = read(0..size.min(9 + 255)).await?;
        let name = head
            .strip_prefix(&sealed.magic[..])
            .and_then(|rest| rest.get(1..1 + usize::from(*rest.first()?)));
        let name = name.ok_or_else(|| sealed.malformed("not such a file"))?;
        let name = String::from_utf8_lossy(name).into_owned();
        let unknown = || SealedError::UnknownKey {
            object: object.to_owned(),
            key: name.clone(),
        };
        let sealing = keys
            .iter()
            .find(|key| key.id() == name)
            .ok_or_else(unknown)?;
        let cut = || sealed.malformed("cut off");
        let end = size.checked_sub(TAIL_BYTES).ok_or_else(cut)?;
        let tail = read(end..size).await?;
        let (offset, number) = tail.split_first_chunk::<8>().ok_or_else(cut)?;
        let (offset, number) = (
            u64::from_le_bytes(*offset),
            number.try_into().map_err(|_| cut())?,
        );
        if offset > end {
            return Err(cut());
        }
        let key = sealed.key(sealing);
        let bytes = read(offset..end).await?;
        let bytes = open_chunk(&key, u32::from_le_bytes(number), true, &bytes, object)?;
        let footer = serde_json::from_slice(&bytes).map_err(|_| sealed.malformed("footer"))?;
        Ok(Some(Self {
            bucket: bucket.clone(),
            object: object.to_owned(),
            whole,
            key,
            footer,
        }))
    }

    /// Returns the footer.
    pub(crate) fn footer(&self) -> &F {
        &self.footer
    }

    /// Reads a range of the bytes of one kind, whose chunks the footer lists. Passes each piece to
    /// `each`, in order.
    ///
    /// # Errors
    /// [`SealedError`] if a chunk is damaged or malformed, or the bucket fails.
    pub(crate) async fn read<K: Copy + PartialEq>(
        &self,
        chunks: &[SealedChunk<K>],
        kind: K,
        wanted: Range<u64>,
        mut each: impl FnMut(&[u8]),
    ) -> Result<(), SealedError> {
        let mut missing = wanted.end.saturating_sub(wanted.start);
        for (number, chunk) in (0..).zip(chunks) {
            let (first, end) = (chunk.first, chunk.first.saturating_add(chunk.bytes));
            if chunk.kind != kind || end <= wanted.start || first >= wanted.end {
                continue;
            }
            let at = chunk.offset..chunk.offset.saturating_add(chunk.length);
            let sealed = part(&self.bucket, &self.object, self.whole.as_ref(), at).await?;
            let bytes = open_chunk(&self.key, number, false, &sealed, &self.object)?;
            let from = (wanted.start.max(first) - first) as usize;
            let to = (wanted.end.min(end) - first) as usize;
            let bytes = bytes
                .get(from..to)
                .ok_or_else(|| self.malformed("chunks"))?;
            missing = missing.saturating_sub(bytes.len() as u64);
            each(bytes);
        }
        if missing == 0 {
            Ok(())
        } else {
            Err(self.malformed("chunks"))
        }
    }

    /// Reads a range of the bytes of one kind into memory.
    ///
    /// # Errors
    /// [`SealedError`] if a chunk is damaged or malformed, or the bucket fails.
    pub(crate) async fn bytes<K: Copy + PartialEq>(
        &self,
        chunks: &[SealedChunk<K>],
        kind: K,
        wanted: Range<u64>,
    ) -> Result<Zeroizing<Vec<u8>>, SealedError> {
        let mut all = Zeroizing::new(Vec::new());
        self.read(chunks, kind, wanted, |bytes| all.extend_from_slice(bytes))
            .await?;
        Ok(all)
    }

    /// Creates the error for a file in another format than this program writes.
    pub(crate) fn malformed(&self, problem: &'static str) -> SealedError {
        SealedError::Malformed {
            object: self.object.clone(),
            problem,
        }
    }
}

/// Reads a range of the object. A result shorter than the range is an error.
pub(super) async fn part(
    bucket: &SharedBucket,
    object: &str,
    whole: Option<&Bytes>,
    at: Range<u64>,
) -> Result<Bytes, SealedError> {
    let length = at.end.saturating_sub(at.start);
    let bytes = match whole {
        Some(whole) => {
            let size = whole.len() as u64;
            whole.slice(at.start.min(size) as usize..at.end.min(size) as usize)
        }
        None => bucket.get_range(object, at).await?,
    };
    if (bytes.len() as u64) < length {
        return Err(SealedError::Malformed {
            object: object.to_owned(),
            problem: "cut off",
        });
    }
    Ok(bytes)
}

fn open_chunk(
    key: &FileKey,
    number: u32,
    last: bool,
    sealed: &[u8],
    object: &str,
) -> Result<Zeroizing<Vec<u8>>, SealedError> {
    let mut bytes = Zeroizing::new(sealed.to_vec());
    let opened = key.open_chunk(number, last, &mut bytes);
    opened.map_err(|source| SealedError::Sealed {
        object: object.to_owned(),
        source,
    })?;
    Ok(bytes)
}
