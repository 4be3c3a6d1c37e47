//! Reads a sealed file: first the footer, then parts on demand.

use super::{Container, Sealed, SealedChunk, SealedError};
use serde::de::DeserializeOwned;
use std::ops::Range;
use tallybox_crypto::SealingKey;
use tallybox_crypto::prepared::FileKey;
use tallybox_transport::SharedBucket;
use zeroize::Zeroizing;

/// A file of up to this many bytes is fetched in one request, a larger one chunk by chunk.
const WHOLE_READ_BYTES: u64 = 4 << 20;
/// The longest head: the magic, and the length and bytes of the sealing key's identifier.
const MAX_HEAD_BYTES: u64 = 8 + 1 + 255;

/// An open sealed file with its footer.
pub(crate) struct SealedReader<F> {
    container: Container,
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
        let object = sealed.object.to_owned();
        let Some(container) = Container::find(bucket, object, WHOLE_READ_BYTES).await? else {
            return Ok(None);
        };
        let head = container.head(MAX_HEAD_BYTES).await?;
        let name = head
            .strip_prefix(&sealed.magic[..])
            .and_then(|rest| rest.get(1..1 + usize::from(*rest.first()?)));
        let name = name.ok_or_else(|| container.malformed("not such a file"))?;
        let name = String::from_utf8_lossy(name).into_owned();
        let Some(sealing) = keys.iter().find(|key| key.id() == name) else {
            return Err(SealedError::UnknownKey {
                object: sealed.object.to_owned(),
                key: name,
            });
        };
        let key = sealed.key(sealing);
        let footer = container.footer(&key).await?;
        Ok(Some(Self {
            container,
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
            let (offset, length) = (chunk.offset, chunk.length);
            let opened = self.container.chunk(&self.key, number, offset, length);
            let bytes = opened.await?;
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
        self.container.malformed(problem)
    }
}
