//! Reads a prepared batch: first the footer, then chunks on demand.

use super::{
    ChunkEntry, ChunkKind, Footer, HEAD_BYTES, MAGIC, MESSAGE_BYTES, Owner, PreparedError,
    REJECT_BYTES,
};
use crate::reason::PacketReason;
use crate::sealed::Container;
use bytes::Bytes;
use tallybox_crypto::SealingKey;
use tallybox_crypto::prepared::FileKey;
use tallybox_crypto::prio2::Message;
use tallybox_model::digest::Digest;
use tallybox_model::id::PacketId;
use tallybox_model::path::BatchName;
use tallybox_transport::SharedBucket;
use zeroize::Zeroizing;

/// A prepared batch of up to this many bytes is fetched in one request, a larger one chunk by
/// chunk.
const WHOLE_READ_BYTES: u64 = 4 << 20;
/// The same limit as [`WHOLE_READ_BYTES`] for callers that need only the footer.
const WHOLE_FOOTER_BYTES: u64 = 64 << 10;

/// A packet of a prepared batch: its identifier and this processor's verification message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PreparedMessage {
    /// The packet's identifier.
    pub id: PacketId,
    /// The verification message for the peer.
    pub message: Message,
}

/// An open prepared batch.
pub struct PreparedReader {
    container: Container,
    key: FileKey,
    ingestion_header: Digest,
    footer: Footer,
}

impl PreparedReader {
    /// Opens the prepared batch. Its name contains the identifier of the sealing key, so this
    /// looks for the name of each key; returns `None` if no such object exists.
    ///
    /// # Errors
    /// [`PreparedError`] if the batch is damaged or malformed, or the bucket fails.
    pub async fn open(
        bucket: &SharedBucket,
        owner: Owner<'_>,
        keys: &[SealingKey],
        batch: &BatchName,
    ) -> Result<Option<Self>, PreparedError> {
        Self::open_up_to(WHOLE_READ_BYTES, bucket, owner, keys, batch).await
    }

    /// Reads the footer of a prepared batch. Fetches a small batch whole, and of a large one only
    /// the footer.
    ///
    /// # Errors
    /// The same as for [`open`](Self::open).
    pub async fn open_footer(
        bucket: &SharedBucket,
        owner: Owner<'_>,
        keys: &[SealingKey],
        batch: &BatchName,
    ) -> Result<Option<Footer>, PreparedError> {
        let reader = Self::open_up_to(WHOLE_FOOTER_BYTES, bucket, owner, keys, batch).await?;
        Ok(reader.map(|reader| reader.footer))
    }

    async fn open_up_to(
        most: u64,
        bucket: &SharedBucket,
        owner: Owner<'_>,
        keys: &[SealingKey],
        batch: &BatchName,
    ) -> Result<Option<Self>, PreparedError> {
        // After a rotation, older prepared batches are still named after an older key.
        for key in keys {
            let object = batch.prepared(&key.id());
            if let Some(container) = Container::find(bucket, object, most).await? {
                return Self::read(container, owner, key, batch).await.map(Some);
            }
        }
        Ok(None)
    }

    async fn read(
        container: Container,
        owner: Owner<'_>,
        key: &SealingKey,
        batch: &BatchName,
    ) -> Result<Self, PreparedError> {
        let head = container.head(HEAD_BYTES).await?;
        let digest = head
            .strip_prefix(&MAGIC[..])
            .and_then(|rest| rest.try_into().ok())
            .map(Digest);
        let ingestion_header = digest.ok_or_else(|| container.malformed("not a prepared batch"))?;
        let key = owner.file_key(key, batch, ingestion_header);
        let footer = container.footer(&key).await?;
        Ok(Self {
            container,
            key,
            ingestion_header,
            footer,
        })
    }

    /// Reads a prepared batch from bytes in memory, sealed with this key.
    ///
    /// # Errors
    /// [`PreparedError`] if the batch is damaged or malformed.
    pub async fn from_bytes(
        bucket: &SharedBucket,
        owner: Owner<'_>,
        key: &SealingKey,
        batch: &BatchName,
        bytes: Bytes,
    ) -> Result<Self, PreparedError> {
        let container = Container::in_memory(bucket, batch.prepared(&key.id()), bytes);
        Self::read(container, owner, key, batch).await
    }

    /// Returns the object's name and bytes if the batch was fetched in one request.
    #[must_use]
    pub fn whole(&self) -> Option<(&str, &Bytes)> {
        let whole = self.container.whole();
        whole.map(|bytes| (self.object(), bytes))
    }

    /// Returns the footer.
    #[must_use]
    pub fn footer(&self) -> &Footer {
        &self.footer
    }

    /// Returns the digest of the ingestion header file that the intake read.
    #[must_use]
    pub fn ingestion_header(&self) -> Digest {
        self.ingestion_header
    }

    /// Returns the name of the object.
    #[must_use]
    pub fn object(&self) -> &str {
        self.container.object()
    }

    /// Returns the numbers of the chunks of one kind, in order.
    #[must_use]
    pub fn chunks(&self, kind: ChunkKind) -> Vec<u32> {
        let of_kind = |(number, entry): (u32, &ChunkEntry)| (entry.kind == kind).then_some(number);
        (0..).zip(&self.footer.chunks).filter_map(of_kind).collect()
    }

    /// Reads the packets with verification messages from a chunk.
    ///
    /// # Errors
    /// [`PreparedError`] if the chunk is damaged or malformed, or the bucket fails.
    pub async fn messages(&self, chunk: u32) -> Result<Vec<PreparedMessage>, PreparedError> {
        let (_, bytes) = self.chunk(chunk).await?;
        let items = bytes.chunks_exact(MESSAGE_BYTES);
        if !items.remainder().is_empty() {
            return Err(self.malformed("messages"));
        }
        Ok(items.map(message).collect())
    }

    /// Reads the packets without verification messages from a chunk, with the reason for each.
    ///
    /// # Errors
    /// [`PreparedError`] if the chunk is damaged or malformed, or the bucket fails.
    pub async fn rejects(
        &self,
        chunk: u32,
    ) -> Result<Vec<(PacketId, PacketReason)>, PreparedError> {
        let (_, bytes) = self.chunk(chunk).await?;
        let items = bytes.chunks_exact(REJECT_BYTES);
        if !items.remainder().is_empty() {
            return Err(self.malformed("rejects"));
        }
        let item = |item: &[u8]| {
            let reason =
                PacketReason::from_code(item[16]).ok_or_else(|| self.malformed("reason code"))?;
            Ok((packet_id(item), reason))
        };
        items.map(item).collect()
    }

    /// Reads the sum of the shares of all packets with a verification message, one element for each
    /// bin.
    ///
    /// # Errors
    /// [`PreparedError`] if a chunk is damaged or malformed, or the bucket fails.
    pub async fn sum(&self) -> Result<Vec<u32>, PreparedError> {
        let mut sum = Vec::new();
        for chunk in self.chunks(ChunkKind::Sum) {
            let (_, bytes) = self.chunk(chunk).await?;
            let (elements, rest) = bytes.as_chunks::<4>();
            if !rest.is_empty() {
                return Err(self.malformed("sum"));
            }
            sum.extend(elements.iter().map(|element| u32::from_le_bytes(*element)));
        }
        Ok(sum)
    }

    /// Passes the shares at these sorted indices, which count the packets with messages, to `each`.
    ///
    /// # Errors
    /// [`PreparedError`] if a chunk is damaged or malformed, or the bucket fails.
    pub async fn shares(
        &self,
        indices: &[u64],
        mut each: impl FnMut(&[u8]),
    ) -> Result<(), PreparedError> {
        let mut indices = indices.iter().copied().peekable();
        for chunk in self.chunks(ChunkKind::Shares) {
            let entry = &self.footer.chunks[chunk as usize];
            let end = entry
                .first
                .checked_add(entry.count)
                .ok_or_else(|| self.malformed("chunks"))?;
            if indices.peek().is_none_or(|index| *index >= end) {
                continue;
            }
            let (entry, bytes) = self.chunk(chunk).await?;
            let size = bytes.len() / entry.count.max(1) as usize;
            while let Some(index) = indices.next_if(|index| *index < end) {
                let at = index
                    .checked_sub(entry.first)
                    .and_then(|at| (at as usize).checked_mul(size));
                let share = at.and_then(|at| bytes.get(at..)?.get(..size));
                each(share.ok_or_else(|| self.malformed("shares"))?);
            }
        }
        Ok(())
    }

    async fn chunk(&self, number: u32) -> Result<(&ChunkEntry, Zeroizing<Vec<u8>>), PreparedError> {
        let entry = self
            .footer
            .chunks
            .get(number as usize)
            .ok_or_else(|| self.malformed("chunk number"))?;
        let opened = self
            .container
            .chunk(&self.key, number, entry.offset, entry.length);
        Ok((entry, opened.await?))
    }

    /// Creates the error for a batch in another format than this program writes.
    pub(crate) fn malformed(&self, problem: &'static str) -> PreparedError {
        self.container.malformed(problem).into()
    }
}

/// Returns the packet identifier: the first 16 bytes of an item.
fn packet_id(item: &[u8]) -> PacketId {
    let mut id = [0; 16];
    id.copy_from_slice(&item[..16]);
    PacketId::from_bytes(id)
}

fn message(item: &[u8]) -> PreparedMessage {
    let element_at =
        |at: usize| u32::from_le_bytes([item[at], item[at + 1], item[at + 2], item[at + 3]]);
    let message = Message {
        f: element_at(16),
        g: element_at(20),
        h: element_at(24),
    };
    PreparedMessage {
        id: packet_id(item),
        message,
    }
}
