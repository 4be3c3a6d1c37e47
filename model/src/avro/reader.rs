//! Reads container files block by block, within limits.

use super::varint::{read_long, read_size};
use super::{AvroError, Codec, Limits, WriterSchema};
use std::collections::BTreeMap;
use std::io::{BufReader, Read};
use std::sync::Arc;

/// The first four bytes of a container file.
pub(super) const MAGIC: [u8; 4] = *b"Obj\x01";

/// One block of a container file, decompressed: some number of records, one after another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// How many records the block says it holds.
    pub records: u64,
    /// Their encodings.
    pub bytes: Vec<u8>,
}

/// Reads a container file from a stream, a block at a time.
///
/// A zero-byte file is no container: callers treat it as "no records" before they come here.
pub struct ContainerReader<R> {
    input: BufReader<CountingReader<R>>,
    limits: Limits,
    schema: Arc<WriterSchema>,
    codec: Codec,
    marker: [u8; 16],
    records: u64,
    /// Bytes of blocks that may still come.
    bytes_left: u64,
}

impl<R: Read> ContainerReader<R> {
    /// Reads the file's header: magic, metadata and sync marker.
    ///
    /// # Errors
    /// [`AvroError`] if the header is malformed or over the limits.
    pub fn open(input: R, limits: &Limits) -> Result<Self, AvroError> {
        let counted = CountingReader {
            inner: input,
            left: limits.object_bytes,
            limit: limits.object_bytes,
        };
        let mut input = BufReader::with_capacity(64 << 10, counted);
        let mut magic = [0; 4];
        input.read_exact(&mut magic)?;
        if magic != MAGIC {
            return Err(AvroError::Magic);
        }
        let mut metadata = read_metadata(&mut input, limits.metadata_bytes)?;
        let schema = metadata
            .remove("avro.schema")
            .ok_or(AvroError::Metadata("no avro.schema"))?;
        // Avro has null for a file without the entry; ENPA's writers always write it.
        let codec = metadata
            .remove("avro.codec")
            .map_or(Ok(Codec::Null), |name| Codec::from_name(&name))?;
        let mut marker = [0; 16];
        input.read_exact(&mut marker)?;
        let schema = Arc::new(WriterSchema::parse(&schema)?);
        Ok(Self {
            input,
            limits: limits.clone(),
            schema,
            codec,
            marker,
            records: 0,
            bytes_left: limits.file_bytes,
        })
    }

    /// The schema of the file's writer.
    #[must_use]
    pub fn schema(&self) -> &Arc<WriterSchema> {
        &self.schema
    }

    /// The codec of the file's blocks.
    #[must_use]
    pub fn codec(&self) -> Codec {
        self.codec
    }

    /// The next block; `None` at the end of the file.
    ///
    /// # Errors
    /// [`AvroError`] if the block is malformed, cut off, or over the limits.
    pub fn next_block(&mut self) -> Result<Option<Block>, AvroError> {
        self.next_block_within(&mut |_| true)
    }

    /// The next block, as [`next_block`](Self::next_block), for a caller that has only so much memory: `take` is asked for
    /// the bytes of the decompressed block before they are there, piece by piece.
    ///
    /// # Errors
    /// Also [`AvroError::NoMemory`] if `take` refuses.
    pub fn next_block_within(&mut self, take: &mut dyn FnMut(u64) -> bool) -> Result<Option<Block>, AvroError> {
        let Some(records) = read_long(&mut self.input, "record count of a block")? else {
            return Ok(None);
        };
        let records = u64::try_from(records).map_err(|_| AvroError::Number("record count of a block"))?;
        self.records = self.records.saturating_add(records);
        if self.records > self.limits.records {
            return Err(AvroError::Limit {
                what: "the number of records",
                limit: self.limits.records,
            });
        }
        let length = read_size(&mut self.input, "length of a block")?;
        if length > self.limits.block_bytes {
            return Err(AvroError::Limit {
                what: "a block",
                limit: self.limits.block_bytes,
            });
        }
        let bytes = read_bytes(&mut self.input, length)?;
        let mut marker = [0; 16];
        self.input.read_exact(&mut marker)?;
        if marker != self.marker {
            return Err(AvroError::SyncMarker);
        }
        let bytes = self.codec.decompress(bytes, &self.limits, take)?;
        self.bytes_left = self
            .bytes_left
            .checked_sub(bytes.len() as u64)
            .ok_or(AvroError::Limit {
                what: "all blocks together",
                limit: self.limits.file_bytes,
            })?;
        // A record has a byte at least, so a block cannot announce more of them than it has bytes.
        if records > bytes.len() as u64 {
            return Err(AvroError::Number("record count of a block"));
        }
        Ok(Some(Block { records, bytes }))
    }

    /// Gives the reader back, to read or hash what is left of the file after an error.
    pub fn into_inner(self) -> R {
        self.input.into_inner().inner
    }
}

/// Most bytes that are reserved before any has come.
const RESERVED: u64 = 1 << 20;

/// Reads `length` bytes. Memory for them is reserved when the first mebibyte has come, and then at once: a vector that
/// grows by doubling would hold up to three times what it reads.
fn read_bytes(input: &mut impl Read, length: u64) -> Result<Vec<u8>, AvroError> {
    let first = length.min(RESERVED);
    let mut bytes = Vec::with_capacity(first as usize);
    input.take(first).read_to_end(&mut bytes)?;
    if bytes.len() as u64 == first && first < length {
        let rest = length - first;
        bytes.reserve_exact(usize::try_from(rest).map_err(|_| AvroError::Truncated)?);
        input.take(rest).read_to_end(&mut bytes)?;
    }
    if (bytes.len() as u64) < length {
        return Err(AvroError::Truncated);
    }
    Ok(bytes)
}

/// Reads the metadata map, in any number of blocks and any order.
fn read_metadata(input: &mut impl Read, limit: u64) -> Result<BTreeMap<String, Vec<u8>>, AvroError> {
    let mut entries = BTreeMap::new();
    let mut left = limit;
    loop {
        let count = read_long(input, "metadata")?.ok_or(AvroError::Truncated)?;
        if count == 0 {
            return Ok(entries);
        }
        if count < 0 {
            // A negative count is followed by the length of the block, which a reader that skips nothing ignores.
            read_size(input, "metadata")?;
        }
        for _ in 0..count.unsigned_abs() {
            let key = read_entry(input, &mut left, limit)?;
            let key = String::from_utf8(key).map_err(|_| AvroError::Metadata("a key is not UTF-8"))?;
            let value = read_entry(input, &mut left, limit)?;
            if entries.insert(key, value).is_some() {
                return Err(AvroError::Metadata("a key stands twice"));
            }
        }
    }
}

fn read_entry(input: &mut impl Read, left: &mut u64, limit: u64) -> Result<Vec<u8>, AvroError> {
    let length = read_size(input, "metadata")?;
    // An entry costs its length and a byte, so that even empty entries end.
    let cost = length.saturating_add(1);
    *left = left.checked_sub(cost).ok_or(AvroError::Limit {
        what: "the metadata",
        limit,
    })?;
    read_bytes(input, length)
}

/// Ends with an error, not silently, where the object is longer than the limit.
struct CountingReader<R> {
    inner: R,
    left: u64,
    limit: u64,
}

impl<R: Read> Read for CountingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.inner.read(buffer)?;
        match self.left.checked_sub(read as u64) {
            Some(left) => self.left = left,
            None => {
                return Err(std::io::Error::other(format!(
                    "the object is over the limit of {} bytes",
                    self.limit
                )));
            }
        }
        Ok(read)
    }
}
