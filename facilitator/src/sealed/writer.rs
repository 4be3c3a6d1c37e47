//! Writes a sealed file piece by piece; the buffer holds at most one chunk of each kind.

use super::{Sealed, SealedChunk, SealedError, Sealer};
use bytes::Bytes;
use serde::Serialize;
use tallybox_crypto::prepared::CHUNK;
use tallybox_crypto::{SealError, SealingKey};
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
    sealer: Sealer,
    object: String,
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
        let sealer = Sealer::new(sealed.key(sealing), head.len() as u64);
        upload.write(head.into()).await?;
        let pending = |kind: &K| Pending {
            kind: *kind,
            bytes: Zeroizing::new(Vec::new()),
            first: 0,
        };
        Ok(Self {
            upload,
            sealer,
            object: sealed.object.to_owned(),
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
        let mut bytes = std::mem::take(&mut *pending.bytes);
        let length = bytes.len() as u64;
        pending.first += length;
        let sealed = self.sealer.chunk(&mut bytes);
        let offset = sealed.map_err(|source| self.failed(source))?;
        self.chunks.push(SealedChunk {
            kind,
            offset,
            length: bytes.len() as u64,
            first,
            bytes: length,
        });
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
        let footer = serde_json::to_vec(&footer(std::mem::take(&mut self.chunks)));
        let footer = footer.map_err(|_| SealedError::Malformed {
            object: self.object.clone(),
            problem: "footer",
        })?;
        let sealed = self.sealer.end(footer);
        let end = sealed.map_err(|source| self.failed(source))?;
        self.upload.write(Bytes::from(end)).await?;
        Ok(self.upload.commit().await?)
    }

    fn failed(&self, source: SealError) -> SealedError {
        SealedError::Sealed {
            object: self.object.clone(),
            source,
        }
    }
}
