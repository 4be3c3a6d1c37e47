//! Writes a prepared batch packet by packet, in bounded memory.

use super::{ChunkEntry, ChunkKind, Footer, HEAD_BYTES, MAGIC, MESSAGE_BYTES, Owner, REJECT_BYTES};
use crate::reason::PacketReason;
use crate::sealed::Sealer;
use std::io::{self, Write};
use tallybox_crypto::SealingKey;
use tallybox_crypto::prepared::{CHUNK, TAG_LENGTH};
use tallybox_crypto::prio2::Message;
use tallybox_model::digest::Digest;
use tallybox_model::id::PacketId;
use tallybox_model::path::BatchName;
use zeroize::Zeroizing;

/// The initial capacity of a chunk's buffer in bytes.
const FIRST_CAPACITY_BYTES: usize = 4 << 10;

/// Items of one kind that wait to be sealed as one chunk.
struct Pending {
    kind: ChunkKind,
    bytes: Zeroizing<Vec<u8>>,
    first: u64,
    count: u64,
}

impl Pending {
    fn new(kind: ChunkKind) -> Self {
        Self {
            kind,
            bytes: Zeroizing::new(Vec::new()),
            first: 0,
            count: 0,
        }
    }

    /// Reserves capacity for another item and the authentication tag. A reallocation copies into a
    /// new buffer and wipes the old one, so that no copy of a share remains. The buffer starts
    /// small, since wiping a whole chunk of each kind would dominate the cost of a small batch's
    /// intake.
    fn make_room(&mut self, item: usize) {
        let needed = self.bytes.len() + item + TAG_LENGTH;
        if self.bytes.capacity() < needed {
            let room = self
                .bytes
                .capacity()
                .saturating_mul(8)
                .clamp(FIRST_CAPACITY_BYTES, CHUNK + TAG_LENGTH);
            let mut grown = Zeroizing::new(Vec::with_capacity(room.max(needed)));
            grown.extend_from_slice(&self.bytes);
            self.bytes = grown;
        }
    }
}

/// Writes a prepared batch: packets in order, then the footer.
pub struct PreparedWriter<W> {
    out: W,
    sealer: Sealer,
    /// The buffers of all kinds, in the order in which [`finish`](Self::finish) flushes them.
    pending: [Pending; 4],
    chunks: Vec<ChunkEntry>,
}

impl<W: Write> PreparedWriter<W> {
    /// Writes the head of the file.
    ///
    /// # Errors
    /// The errors of `out`.
    pub fn new(
        mut out: W,
        owner: Owner<'_>,
        sealing: &SealingKey,
        batch: &BatchName,
        header: Digest,
    ) -> io::Result<Self> {
        out.write_all(&MAGIC)?;
        out.write_all(&header.0)?;
        Ok(Self {
            out,
            sealer: Sealer::new(owner.file_key(sealing, batch, header), HEAD_BYTES),
            pending: ChunkKind::ALL.map(Pending::new),
            chunks: Vec::new(),
        })
    }

    /// Appends a packet with its verification message and its share, which is either d elements or
    /// the seed.
    ///
    /// # Errors
    /// The errors of `out`.
    pub fn message(&mut self, id: PacketId, message: Message, share: &[u8]) -> io::Result<()> {
        let mut item = [0; MESSAGE_BYTES];
        item[..16].copy_from_slice(id.as_bytes());
        for (index, value) in [message.f, message.g, message.h].into_iter().enumerate() {
            item[16 + 4 * index..20 + 4 * index].copy_from_slice(&value.to_le_bytes());
        }
        self.push(ChunkKind::Messages, &item)?;
        self.push(ChunkKind::Shares, share)
    }

    /// Appends a packet without a verification message.
    ///
    /// # Errors
    /// The errors of `out`.
    pub fn reject(&mut self, id: PacketId, reason: PacketReason) -> io::Result<()> {
        let mut item = [0; REJECT_BYTES];
        item[..16].copy_from_slice(id.as_bytes());
        item[16] = reason.code();
        self.push(ChunkKind::Rejects, &item)
    }

    /// Writes the buffered items, the sum of all shares, and the footer that `footer` creates from
    /// the list of chunks.
    ///
    /// # Errors
    /// The errors of `out`.
    pub fn finish(
        mut self,
        sum: &[u32],
        footer: impl FnOnce(Vec<ChunkEntry>) -> Footer,
    ) -> io::Result<W> {
        for element in sum {
            self.push(ChunkKind::Sum, &element.to_le_bytes())?;
        }
        for kind in ChunkKind::ALL {
            self.flush(kind)?;
        }
        let footer = footer(std::mem::take(&mut self.chunks));
        let footer = serde_json::to_vec(&footer).map_err(io::Error::other)?;
        let end = self.sealer.end(footer).map_err(io::Error::other)?;
        self.out.write_all(&end)?;
        Ok(self.out)
    }

    fn push(&mut self, kind: ChunkKind, item: &[u8]) -> io::Result<()> {
        let held = self.pending[kind as usize].bytes.len();
        if held > 0 && held + item.len() > CHUNK {
            self.flush(kind)?;
        }
        let pending = &mut self.pending[kind as usize];
        pending.make_room(item.len());
        pending.bytes.extend_from_slice(item);
        pending.count += 1;
        Ok(())
    }

    fn flush(&mut self, kind: ChunkKind) -> io::Result<()> {
        let pending = &mut self.pending[kind as usize];
        if pending.count == 0 {
            return Ok(());
        }
        let offset = self.sealer.chunk(&mut pending.bytes);
        let offset = offset.map_err(io::Error::other)?;
        self.out.write_all(&pending.bytes)?;
        self.chunks.push(ChunkEntry {
            kind: pending.kind,
            offset,
            length: pending.bytes.len() as u64,
            first: pending.first,
            count: pending.count,
        });
        pending.first += pending.count;
        pending.count = 0;
        pending.bytes.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A vector that grows by itself would leave copies of shares in freed memory.
    #[test]
    fn a_chunk_is_filled_and_sealed_without_a_reallocation_of_its_own() {
        let mut pending = Pending::new(ChunkKind::Shares);
        for item in [
            1,
            FIRST_CAPACITY_BYTES - TAG_LENGTH,
            100,
            CHUNK / 4,
            CHUNK / 4,
        ] {
            pending.make_room(item);
            let room = pending.bytes.capacity() - pending.bytes.len();
            assert!(room >= item + TAG_LENGTH, "{room} bytes for {item}");
            pending.bytes.extend(std::iter::repeat_n(7, item));
        }
        assert!(pending.bytes.iter().all(|byte| *byte == 7));
        // A full chunk needs no larger buffer.
        assert_eq!(pending.bytes.capacity(), CHUNK + TAG_LENGTH);
    }
}
