//! The codec of single records, and of files that contain exactly one.

use super::schema::shown;
use super::{
    AvroError, Block, ContainerReader, ContainerWriter, FileLimits, RecordKind, WriterSchema,
};
use serde::{Deserialize, Serialize};
use serde_avro_fast::de::{DeserializerConfig, DeserializerState, read::SliceRead};
use std::io::Read as _;
use std::marker::PhantomData;

/// A Rust type that represents one kind of record.
pub trait Record {
    /// The kind of record.
    const KIND: RecordKind;

    /// Returns the total length of its strings, byte strings and arrays, which the limit on the
    /// size of records applies to.
    fn variable_bytes(&self) -> u64;
}

/// An iterator that decodes the records of one block. Records may borrow from the block.
///
/// After the last record, the iterator checks that no bytes of the block are left.
pub struct RecordReader<'b, T> {
    state: DeserializerState<'b, SliceRead<'b>>,
    left: u64,
    done: bool,
    record_bytes: u64,
    record: PhantomData<T>,
}

impl<'b, T: Record + Deserialize<'b>> RecordReader<'b, T> {
    /// Creates the iterator for a block of a file with this schema.
    #[must_use]
    pub fn new(block: &'b Block, schema: &'b WriterSchema, limits: &FileLimits) -> Self {
        let mut config = DeserializerConfig::new(&schema.schema);
        // No sequence has more elements than the block has bytes, except for elements without
        // bytes, which the schema check excludes.
        config.max_seq_size = block.bytes.len();
        // The schemas that `WriterSchema::parse` accepts are flat, so this is only a second limit.
        config.allowed_depth = 8;
        Self {
            state: DeserializerState::with_config(SliceRead::new(&block.bytes), config),
            left: block.records,
            done: false,
            record_bytes: limits.record_bytes,
            record: PhantomData,
        }
    }

    fn decode(&mut self) -> Result<T, AvroError> {
        let bad = |error: serde_avro_fast::de::DeError| AvroError::Record {
            kind: T::KIND,
            reason: shown(&error.to_string()),
        };
        let record = T::deserialize(self.state.deserializer()).map_err(bad)?;
        if record.variable_bytes() > self.record_bytes {
            return Err(AvroError::Limit {
                what: "a record",
                limit: self.record_bytes,
            });
        }
        Ok(record)
    }

    fn check_end(&mut self) -> Result<(), AvroError> {
        match self.state.read(&mut [0]) {
            Ok(0) => Ok(()),
            Ok(_) => Err(AvroError::TrailingBytes("records of a block")),
            Err(error) => Err(error.into()),
        }
    }
}

impl<'b, T: Record + Deserialize<'b>> Iterator for RecordReader<'b, T> {
    type Item = Result<T, AvroError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        if self.left == 0 {
            self.done = true;
            return self.check_end().err().map(Err);
        }
        self.left -= 1;
        let record = self.decode();
        self.done = record.is_err();
        Some(record)
    }
}

/// Decodes a file that contains exactly one record: a header or a signature.
///
/// # Errors
/// [`AvroError`] if the file is malformed, or contains no record or more than one.
pub fn decode_one<T>(file: &[u8], limits: &FileLimits) -> Result<T, AvroError>
where
    T: Record + for<'a> Deserialize<'a>,
{
    if file.is_empty() {
        return Err(AvroError::NoRecord(T::KIND));
    }
    let mut reader = ContainerReader::open(file, limits)?;
    let mut found = None;
    while let Some(block) = reader.next_block()? {
        for record in RecordReader::<T>::new(&block, reader.schema(), limits) {
            if found.replace(record?).is_some() {
                return Err(AvroError::ExtraRecord(T::KIND));
            }
        }
    }
    found.ok_or(AvroError::NoRecord(T::KIND))
}

/// Encodes a file that contains exactly one record.
///
/// # Errors
/// [`AvroError::Record`] if the value does not fit the schema, which is a bug in the caller.
pub fn encode_one<T: Record + Serialize>(
    record: &T,
    marker: [u8; 16],
) -> Result<Vec<u8>, AvroError> {
    let mut writer = ContainerWriter::new(Vec::new(), T::KIND, marker);
    writer.append(record)?;
    writer.finish()
}
