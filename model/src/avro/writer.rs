//! A deterministic writer of container files in the predecessor's form.

use super::reader::MAGIC;
use super::varint::write_long;
use super::{AvroError, Record, RecordKind};
use serde::Serialize;
use serde_avro_fast::ser::{SerializerConfig, SerializerState};
use std::io::Write;

/// A block is written as soon as it has at least this many bytes.
const BLOCK_BYTES: usize = 16_000;

/// A writer of records of one kind into a container file: codec null, two metadata entries (codec,
/// schema) in one block, and the given sync marker. The file header is written with the first
/// record, so a file without records is empty.
pub struct ContainerWriter<W> {
    out: W,
    kind: RecordKind,
    marker: [u8; 16],
    config: SerializerConfig<'static>,
    block: Vec<u8>,
    records: i64,
    started: bool,
}

impl<W: Write> ContainerWriter<W> {
    /// Creates a writer of `kind` records with this sync marker.
    pub fn new(out: W, kind: RecordKind, marker: [u8; 16]) -> Self {
        let config = SerializerConfig::new(kind.schema());
        Self {
            out,
            kind,
            marker,
            config,
            block: Vec::new(),
            records: 0,
            started: false,
        }
    }

    /// Appends a record.
    ///
    /// # Errors
    /// [`AvroError::Record`] if the value does not fit the schema, [`AvroError::Io`] if the writer
    /// fails.
    pub fn append<T: Record + Serialize>(&mut self, record: &T) -> Result<(), AvroError> {
        debug_assert_eq!(T::KIND, self.kind);
        let mut state =
            SerializerState::from_writer(std::mem::take(&mut self.block), &mut self.config);
        let written = record.serialize(state.serializer());
        self.block = state.into_writer();
        written.map_err(|error| AvroError::Record {
            kind: self.kind,
            reason: error.to_string(),
        })?;
        self.records += 1;
        if self.block.len() >= BLOCK_BYTES {
            self.write_block()
        } else {
            Ok(())
        }
    }

    /// Returns the inner writer, to take the bytes written so far.
    pub fn get_mut(&mut self) -> &mut W {
        &mut self.out
    }

    /// Writes the last block and returns the inner writer.
    ///
    /// # Errors
    /// [`AvroError::Io`] if the writer fails.
    pub fn finish(mut self) -> Result<W, AvroError> {
        if self.records > 0 {
            self.write_block()?;
        }
        Ok(self.out)
    }

    fn write_block(&mut self) -> Result<(), AvroError> {
        let mut head = Vec::new();
        if !self.started {
            self.started = true;
            self.file_header(&mut head);
        }
        write_long(&mut head, self.records);
        write_long(&mut head, self.block.len() as i64);
        self.out.write_all(&head)?;
        self.out.write_all(&self.block)?;
        self.out.write_all(&self.marker)?;
        self.block.clear();
        self.records = 0;
        Ok(())
    }

    fn file_header(&self, out: &mut Vec<u8>) {
        out.extend(MAGIC);
        write_long(out, 2);
        for (key, value) in [
            ("avro.codec", "null"),
            ("avro.schema", self.kind.schema_json()),
        ] {
            for text in [key, value] {
                write_long(out, text.len() as i64);
                out.extend(text.as_bytes());
            }
        }
        write_long(out, 0);
        out.extend(self.marker);
    }
}
