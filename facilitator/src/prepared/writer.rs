//! Writes a prepared batch as the packets come, in bounded memory.

use super::{ChunkEntry, ChunkKind, Footer, HEAD_BYTES, MAGIC, MESSAGE_BYTES, Owner, REJECT_BYTES};
use crate::reason::PacketReason;
use std::io::{self, Write};
use tallybox_crypto::SealingKey;
use tallybox_crypto::prepared::{CHUNK, FileKey, TAG_LENGTH};
use tallybox_crypto::prio2::Message;
use tallybox_model::digest::Digest;
use tallybox_model::id::PacketId;
use tallybox_model::path::BatchName;
use zeroize::Zeroizing;

/// The room that a chunk begins with.
const LITTLE: usize = 4 << 10;

/// Items of one kind that wait to be sealed together.
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

    /// Makes room for another item and the seal. Growing leaves no copy of a share behind: the old bytes are wiped. A
    /// small batch needs little, and wiping a whole chunk of each kind would cost more than all the rest of its intake.
    fn make_room(&mut self, item: usize) {
        let needed = self.bytes.len() + item + TAG_LENGTH;
        if self.bytes.capacity() < needed {
            let room = self
                .bytes
                .capacity()
                .saturating_mul(8)
                .clamp(LITTLE, CHUNK + TAG_LENGTH);
            let mut grown = Zeroizing::new(Vec::with_capacity(room.max(needed)));
            grown.extend_from_slice(&self.bytes);
            self.bytes = grown;
        }
    }
}

/// Writes a prepared batch: packets in order, then the footer.
pub struct PreparedWriter<W> {
    out: W,
    key: FileKey,
    /// One for each kind, in the order in which what is left of them is written.
    pending: [Pending; 4],
    chunks: Vec<ChunkEntry>,
    offset: u64,
}

impl<W: Write> PreparedWriter<W> {
    /// Starts the file.
    ///
    /// # Errors
    /// Those of the writer underneath.
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
            key: owner.file_key(sealing, batch, header),
            pending: ChunkKind::ALL.map(Pending::new),
            chunks: Vec::new(),
            offset: HEAD_BYTES,
        })
    }

    /// Appends a packet with its message and its share: d elements, or the seed.
    ///
    /// # Errors
    /// Those of the writer underneath.
    pub fn message(&mut self, id: PacketId, message: Message, share: &[u8]) -> io::Result<()> {
        let mut item = [0; MESSAGE_BYTES];
        item[..16].copy_from_slice(id.as_bytes());
        for (place, value) in [message.f, message.g, message.h].into_iter().enumerate() {
            item[16 + 4 * place..20 + 4 * place].copy_from_slice(&value.to_le_bytes());
        }
        self.push(ChunkKind::Messages, &item)?;
        self.push(ChunkKind::Shares, share)
    }

    /// Appends a packet without a message.
    ///
    /// # Errors
    /// Those of the writer underneath.
    pub fn reject(&mut self, id: PacketId, reason: PacketReason) -> io::Result<()> {
        let mut item = [0; REJECT_BYTES];
        item[..16].copy_from_slice(id.as_bytes());
        item[16] = reason.code();
        self.push(ChunkKind::Rejects, &item)
    }

    /// Writes what is left, the sum of all shares, and the footer that `footer` makes of the list of chunks.
    ///
    /// # Errors
    /// Those of the writer underneath.
    pub fn finish(mut self, sum: &[u32], footer: impl FnOnce(Vec<ChunkEntry>) -> Footer) -> io::Result<W> {
        for element in sum {
            self.push(ChunkKind::Sum, &element.to_le_bytes())?;
        }
        for kind in ChunkKind::ALL {
            self.flush(kind)?;
        }
        let number = self.next_number()?;
        let footer = footer(std::mem::take(&mut self.chunks));
        let mut bytes = Zeroizing::new(serde_json::to_vec(&footer).map_err(io::Error::other)?);
        self.key
            .seal_chunk(number, true, &mut bytes)
            .map_err(io::Error::other)?;
        self.out.write_all(&bytes)?;
        self.out.write_all(&self.offset.to_le_bytes())?;
        self.out.write_all(&number.to_le_bytes())?;
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
        let number = self.next_number()?;
        let offset = self.offset;
        let pending = &mut self.pending[kind as usize];
        if pending.count == 0 {
            return Ok(());
        }
        self.key
            .seal_chunk(number, false, &mut pending.bytes)
            .map_err(io::Error::other)?;
        self.out.write_all(&pending.bytes)?;
        let length = pending.bytes.len() as u64;
        self.chunks.push(ChunkEntry {
            kind: pending.kind,
            offset,
            length,
            first: pending.first,
            count: pending.count,
        });
        pending.first += pending.count;
        pending.count = 0;
        pending.bytes.clear();
        self.offset += length;
        Ok(())
    }

    fn next_number(&self) -> io::Result<u32> {
        u32::try_from(self.chunks.len()).map_err(io::Error::other)
    }
}
