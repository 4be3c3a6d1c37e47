//! Reads a prepared batch: first the footer, then chunks on demand.

use super::{
    ChunkEntry, ChunkKind, Footer, HEAD_BYTES, MAGIC, MESSAGE_BYTES, Owner, PreparedError,
    REJECT_BYTES, TAIL_BYTES,
};
use crate::reason::PacketReason;
use bytes::{Bytes, BytesMut};
use futures::TryStreamExt as _;
use tallybox_crypto::SealingKey;
use tallybox_crypto::prepared::FileKey;
use tallybox_crypto::prio2::Message;
use tallybox_model::digest::Digest;
use tallybox_model::id::PacketId;
use tallybox_model::path::BatchName;
use tallybox_transport::{BucketError, SharedBucket};
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
    bucket: SharedBucket,
    object: String,
    whole: Option<Bytes>,
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
            match bucket.get(&object).await {
                Ok(found) => {
                    let size = found.size;
                    let whole = if size <= most {
                        Some(collect(found).await?)
                    } else {
                        None
                    };
                    return Self::read(bucket.clone(), object, whole, size, owner, key, batch)
                        .await
                        .map(Some);
                }
                Err(BucketError::NotFound { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(None)
    }

    async fn read(
        bucket: SharedBucket,
        object: String,
        whole: Option<Bytes>,
        size: u64,
        owner: Owner<'_>,
        key: &SealingKey,
        batch: &BatchName,
    ) -> Result<Self, PreparedError> {
        let malformed = |problem| PreparedError::Malformed {
            object: object.clone(),
            problem,
        };
        if size < HEAD_BYTES + TAIL_BYTES {
            return Err(malformed("too short"));
        }
        let head = range(&bucket, &object, whole.as_ref(), 0, HEAD_BYTES).await?;
        let tail = range(
            &bucket,
            &object,
            whole.as_ref(),
            size - TAIL_BYTES,
            TAIL_BYTES,
        )
        .await?;
        let digest = head
            .strip_prefix(&MAGIC[..])
            .and_then(|rest| rest.try_into().ok())
            .map(Digest);
        let ingestion_header = digest.ok_or_else(|| malformed("not a prepared batch"))?;
        let (offset, number) = tail_parts(&tail).ok_or_else(|| malformed("cut off"))?;
        let length = (size - TAIL_BYTES)
            .checked_sub(offset)
            .ok_or_else(|| malformed("footer outside the file"))?;
        let key = owner.file_key(key, batch, ingestion_header);
        let sealed = range(&bucket, &object, whole.as_ref(), offset, length).await?;
        let bytes = open_chunk(&key, number, true, &sealed, &object)?;
        let footer: Footer = serde_json::from_slice(&bytes).map_err(|_| malformed("footer"))?;
        Ok(Self {
            bucket,
            object,
            whole,
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
        let (object, size) = (batch.prepared(&key.id()), bytes.len() as u64);
        Self::read(bucket.clone(), object, Some(bytes), size, owner, key, batch).await
    }

    /// Returns the object's name and bytes if the batch was fetched in one request.
    #[must_use]
    pub fn whole(&self) -> Option<(&str, &Bytes)> {
        self.whole
            .as_ref()
            .map(|bytes| (self.object.as_str(), bytes))
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
        &self.object
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
        let sealed = range(
            &self.bucket,
            &self.object,
            self.whole.as_ref(),
            entry.offset,
            entry.length,
        )
        .await?;
        Ok((
            entry,
            open_chunk(&self.key, number, false, &sealed, &self.object)?,
        ))
    }

    fn malformed(&self, problem: &'static str) -> PreparedError {
        PreparedError::Malformed {
            object: self.object.clone(),
            problem,
        }
    }
}

pub(crate) async fn collect(object: tallybox_transport::Object) -> Result<Bytes, BucketError> {
    let mut bytes = BytesMut::with_capacity(object.size as usize);
    let mut body = object.body;
    while let Some(part) = body.try_next().await? {
        bytes.extend_from_slice(&part);
    }
    Ok(bytes.freeze())
}

async fn range(
    bucket: &SharedBucket,
    object: &str,
    whole: Option<&Bytes>,
    offset: u64,
    length: u64,
) -> Result<Bytes, PreparedError> {
    let end = offset.saturating_add(length);
    let bytes = match whole {
        Some(whole) => {
            let size = whole.len() as u64;
            whole.slice(offset.min(size) as usize..end.min(size) as usize)
        }
        None => bucket.get_range(object, offset..end).await?,
    };
    if (bytes.len() as u64) < length {
        return Err(PreparedError::Malformed {
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
) -> Result<Zeroizing<Vec<u8>>, PreparedError> {
    let mut bytes = Zeroizing::new(sealed.to_vec());
    let opened = key.open_chunk(number, last, &mut bytes);
    opened.map_err(|source| PreparedError::Sealed {
        object: object.to_owned(),
        source,
    })?;
    Ok(bytes)
}

fn tail_parts(tail: &[u8]) -> Option<(u64, u32)> {
    let (offset, number) = tail.split_first_chunk::<8>()?;
    Some((
        u64::from_le_bytes(*offset),
        u32::from_le_bytes(number.try_into().ok()?),
    ))
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
