//! Writes a sealed file piece by piece; the buffer holds at most one chunk of each kind.

use super::{Sealed, SealedChunk, SealedError};
use bytes::Bytes;
use serde::Serialize;
use tallybox_crypto::SealingKey;
use tallybox_crypto::prepared::{CHUNK, FileKey};
use tallybox_transport::{Bucket, Created, Upload};
use zeroize::Zeroizing;

/// Bytes of one kind that wait for a complete chunk.
struct Pending<K> {
    kind: K,
    bytes: Zeroizing<Vec<u8>>,
    first: u64,
}

/// A sealed file that is being written. The object does not exist before [`Self::finish`].
pub(crate) struct SealedWriter<K> {
    upload: Box<dyn Upload>,
    key: FileKey,
    object: String,
    offset: u64,
    pending: Vec<Pending<K>>,
    chunks: Vec<SealedChunk<K>>,
}

impl<K: Copy + PartialEq + Serialize> SealedWriter<K> {
    /// Starts the file. `kinds` lists all kinds of content.
    ///
    /// # Errors
    /// The bucket's errors.
    pub(crate) async fn create(
        bucket: &dyn Bucket,
        sealed: Sealed<'_>,
        sealing: &SealingKey,
        kinds: &[K],
    ) -> Result<Self, SealedError> {
        let mut upload = bucket.create(sealed.object, None).await?;
        let name = sealing.id();
        let mut head = sealed.magic.to_vec();
        head.push(u8::try_from(name.len()).map_err(|_| sealed.malformed("name of the key"))?);
        head.extend(name.as_bytes());
        let offset = head.len() as u64;
        upload.write(head.into()).await?;
        let pending = |kind: &K| Pending {
            kind: *kind,
            bytes: Zeroizing::new(Vec::new()),
            first: 0,
        };
        Ok(Self {
            upload,
            key: sealed.key(sealing),
            object: sealed.object.to_owned(),
            offset,
            pending: kinds.iter().map(pending).collect(),
            chunks: Vec::new(),
        })
    }

    /// Returns the number of bytes of one kind written so far.
    pub(crate) fn len(&self, kind: K) -> u64 {
        let of_kind = self.pending.iter().find(|pending| pending.kind == kind);
        of_kind.map_or(0, |pending| pending.first + pending.bytes.len() as u64)
    }

    /// Appends bytes of one kind.
    ///
    /// # Errors
    /// The bucket's errors.
    pub(crate) async fn append(&mut self, kind: K, mut bytes: &[u8]) -> Result<(), SealedError> {
        let Some(index) = self.pending.iter().position(|pending| pending.kind == kind) else {
            return Ok(());
        };
        while !bytes.is_empty() {
            let pending = &mut self.pending[index];
            let (now, later) = bytes.split_at(bytes.len().min(CHUNK - pending.bytes.len()));
            pending.bytes.extend_from_slice(now);
            bytes = later;
            if pending.bytes.len() == CHUNK {
                self.flush(index).await?;
            }
        }
        Ok(())
    }

    async fn flush(&mut self, index: usize) -> Result<(), SealedError> {
        let pending = &mut self.pending[index];
        if pending.bytes.is_empty() {
            return Ok(());
        }
        let (kind, first) = (pending.kind, pending.first);
        let bytes = std::mem::take(&mut *pending.bytes);
        let length = bytes.len() as u64;
        pending.first += length;
        let sealed = self.seal(bytes, false)?;
        self.chunks.push(SealedChunk {
            kind,
            offset: self.offset,
            length: sealed.len() as u64,
            first,
            bytes: length,
        });
        self.write(sealed).await
    }

    fn seal(&self, mut bytes: Vec<u8>, last: bool) -> Result<Vec<u8>, SealedError> {
        let number =
            u32::try_from(self.chunks.len()).map_err(|_| self.malformed("too many chunks"))?;
        let sealed = self.key.seal_chunk(number, last, &mut bytes);
        sealed.map_err(|source| SealedError::Sealed {
            object: self.object.clone(),
            source,
        })?;
        Ok(bytes)
    }

    async fn write(&mut self, bytes: Vec<u8>) -> Result<(), SealedError> {
        self.offset += bytes.len() as u64;
        Ok(self.upload.write(Bytes::from(bytes)).await?)
    }

    /// Writes the buffered bytes and the footer that `footer` creates from the list of chunks, then
    /// creates the object.
    ///
    /// # Errors
    /// The bucket's errors; [`SealedError::Sealed`] if the footer is too large for one chunk.
    pub(crate) async fn finish<F: Serialize>(
        mut self,
        footer: impl FnOnce(Vec<SealedChunk<K>>) -> F,
    ) -> Result<Created, SealedError> {
        for index in 0..self.pending.len() {
            self.flush(index).await?;
        }
        let number =
            u32::try_from(self.chunks.len()).map_err(|_| self.malformed("too many chunks"))?;
        let offset = self.offset;
        let footer = serde_json::to_vec(&footer(self.chunks.clone()))
            .map_err(|_| self.malformed("footer"))?;
        let mut sealed = self.seal(footer, true)?;
        sealed.extend(offset.to_le_bytes());
        sealed.extend(number.to_le_bytes());
        self.write(sealed).await?;
        Ok(self.upload.commit().await?)
    }

    fn malformed(&self, problem: &'static str) -> SealedError {
        SealedError::Malformed {
            object: self.object.clone(),
            problem,
        }
    }
}
