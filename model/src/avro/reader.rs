//! A reader of container files that processes one block at a time, within limits.

use super::varint::{read_long, read_size};
use super::{AvroError, Codec, FileLimits, WriterSchema};
use std::collections::BTreeMap;
use std::io::{BufReader, Read};
use std::sync::Arc;

/// The first four bytes of a container file.
pub(super) const MAGIC: [u8; 4] = *b"Obj\x01";

/// One decompressed block of a container file: a sequence of records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// The number of records that the block announces.
    pub records: u64,
    /// The encoded records.
    pub bytes: Vec<u8>,
}

/// A reader of a container file from a stream, one block at a time.
///
/// An empty file is not a container. Callers treat it as "no records" before they open a reader.
pub struct ContainerReader<R> {
    input: BufReader<CountingReader<R>>,
    limits: FileLimits,
    schema: Arc<WriterSchema>,
    codec: Codec,
    marker: [u8; 16],
    records: u64,
    /// The number of bytes that further blocks may have.
    bytes_left: u64,
}

impl<R: Read> ContainerReader<R> {
    /// Reads the file's header: magic bytes, metadata and sync marker.
    ///
    /// # Errors
    /// [`AvroError`] if the header is malformed or exceeds the limits.
    pub fn open(input: R, limits: &FileLimits) -> Result<Self, AvroError> {
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
        // Avro defines null for a file without this entry; ENPA's writers always write it.
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

    /// Returns the schema with which the file was written.
    #[must_use]
    pub fn schema(&self) -> &Arc<WriterSchema> {
        &self.schema
    }

    /// Returns the codec of the file's blocks.
    #[must_use]
    pub fn codec(&self) -> Codec {
        self.codec
    }

    /// Reads the next block; returns `None` at the end of the file.
    ///
    /// # Errors
    /// [`AvroError`] if the block is malformed, truncated, or exceeds the limits.
    pub fn next_block(&mut self) -> Result<Option<Block>, AvroError> {
        self.next_block_within(&mut |_| true)
    }

    /// Reads the next block like [`next_block`](Self::next_block), for a caller with a memory
    /// budget. The function calls `take` with the number of bytes of each piece of the decompressed
    /// block before it allocates the piece.
    ///
    /// # Errors
    /// Those of [`next_block`](Self::next_block), and [`AvroError::NoMemory`] if `take` returns
    /// false.
    pub fn next_block_within(
        &mut self,
        reserve: &mut dyn FnMut(u64) -> bool,
    ) -> Result<Option<Block>, AvroError> {
        let Some(records) = read_long(&mut self.input, "record count of a block")? else {
            return Ok(None);
        };
        let records =
            u64::try_from(records).map_err(|_| AvroError::Number("record count of a block"))?;
        // Saturating, so that announced counts cannot wrap around the limit.
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
        let bytes = self.codec.decompress(bytes, &self.limits, reserve)?;
        self.bytes_left =
            self.bytes_left
                .checked_sub(bytes.len() as u64)
                .ok_or(AvroError::Limit {
                    what: "all blocks together",
                    limit: self.limits.file_bytes,
                })?;
        // A record has at least one byte, so a block cannot have more records than bytes.
        if records > bytes.len() as u64 {
            return Err(AvroError::Number("record count of a block"));
        }
        Ok(Some(Block { records, bytes }))
    }

    /// Returns the inner reader, to read or hash the rest of the file after an error.
    pub fn into_inner(self) -> R {
        self.input.into_inner().inner
    }
}

/// Maximum number of bytes that are allocated before any byte has arrived.
const FIRST_ALLOCATION_BYTES: u64 = 1 << 20;

/// Reads `length` bytes. Allocates the first mebibyte, then the rest at once after the first
/// mebibyte has arrived: a vector that grows by doubling would use up to three times the memory.
fn read_bytes(input: &mut impl Read, length: u64) -> Result<Vec<u8>, AvroError> {
    let first = length.min(FIRST_ALLOCATION_BYTES);
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
fn read_metadata(
    input: &mut impl Read,
    limit: u64,
) -> Result<BTreeMap<String, Vec<u8>>, AvroError> {
    let mut entries = BTreeMap::new();
    let mut left = limit;
    loop {
        let count = read_long(input, "metadata")?.ok_or(AvroError::Truncated)?;
        if count == 0 {
            return Ok(entries);
        }
        if count < 0 {
            // A negative count is followed by the length of the block, which matters only for
            // readers that skip blocks.
            read_size(input, "metadata")?;
        }
        for _ in 0..count.unsigned_abs() {
            let key = read_entry(input, &mut left, limit)?;
            let key =
                String::from_utf8(key).map_err(|_| AvroError::Metadata("a key is not UTF-8"))?;
            let value = read_entry(input, &mut left, limit)?;
            if entries.insert(key, value).is_some() {
                return Err(AvroError::Metadata("a key is repeated"));
            }
        }
    }
}

fn read_entry(input: &mut impl Read, left: &mut u64, limit: u64) -> Result<Vec<u8>, AvroError> {
    let length = read_size(input, "metadata")?;
    // An entry costs its length and one byte, so that the limit also stops empty entries.
    let cost = length.saturating_add(1);
    *left = left.checked_sub(cost).ok_or(AvroError::Limit {
        what: "the metadata",
        limit,
    })?;
    read_bytes(input, length)
}

/// A reader that fails if the object exceeds the limit, instead of reporting its end.
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
                    "the object exceeds the limit of {} bytes",
                    self.limit
                )));
            }
        }
        Ok(read)
    }
}
