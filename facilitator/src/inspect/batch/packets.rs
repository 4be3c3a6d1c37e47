//! Reads a packet file of any kind once, block by block.

use crate::error::Error;
use crate::inspect::family::Family;
use crate::progress::ProgressCallback;
use serde::Deserialize;
use std::io::{BufRead as _, BufReader, Read};
use tallybox_model::avro::{
    AvroError, Block, Codec, ContainerReader, FileLimits, Record, RecordKind, RecordReader,
};
use tallybox_model::digest::{Digest, HashingReader};
use tallybox_model::packet::{DataSharePacket, InvalidPacket, ValidationPacket};
use tallybox_model::path::BatchPart;
use tallybox_transport::BucketError;

/// A packet of any kind.
pub(crate) enum Packet<'p> {
    Share(&'p DataSharePacket<'p>),
    Message(&'p ValidationPacket),
    Invalid(&'p InvalidPacket),
}

/// The parameters for reading a packet file.
pub(crate) struct PacketReader {
    /// The kind of packets to expect, if the schema does not name one.
    pub(crate) family: Option<Family>,
    pub(crate) limits: FileLimits,
    pub(crate) progress: ProgressCallback,
}

/// A packet file that was read to its end or its first malformed part.
#[derive(Debug, Default)]
pub(crate) struct PacketFile {
    /// The record's kind in the file's schema, if it is a known one.
    pub(super) record: Option<RecordKind>,
    /// The codec of the blocks; `None` for an empty file.
    pub(super) codec: Option<Codec>,
    /// The numbers of blocks and packets read.
    pub(super) blocks: u64,
    pub(super) packets: u64,
    /// The SHA-256 of the file; unknown if a malformed file was not read to its end.
    pub(super) sha256: Option<Digest>,
    /// The malformed part, and the error.
    pub(crate) malformed: Option<String>,
}

type Malformed = (String, AvroError);

impl PacketReader {
    /// Passes each packet to `visit`. Blocks the thread.
    ///
    /// # Errors
    /// The bucket's errors. Problems of the file are part of the result.
    pub(crate) fn read(
        &self,
        input: Box<dyn Read + Send>,
        mut visit: impl FnMut(Packet<'_>),
    ) -> Result<PacketFile, Error> {
        let mut file = PacketFile::default();
        let mut input = HashingReader::new(BufReader::with_capacity(64 << 10, input));
        if input.inner_mut().fill_buf().map_err(bucket)?.is_empty() {
            file.sha256 = Some(Digest::empty());
            return Ok(file);
        }
        let mut reader = match ContainerReader::open(input, &self.limits) {
            Ok(reader) => reader,
            // The reader consumed the input, so the digest of the file is unknown.
            Err(error) => {
                file.malformed = Some(describe("its beginning", error)?);
                return Ok(file);
            }
        };
        file.record = RecordKind::of_schema(reader.schema().json());
        file.codec = Some(reader.codec());
        while file.malformed.is_none() {
            let read = match reader.next_block() {
                Ok(None) => break,
                Ok(Some(block)) => self.block(&mut file, &reader, &block, &mut visit),
                Err(error) => Err((format!("block {}", file.blocks + 1), error)),
            };
            if let Err((location, error)) = read {
                file.malformed = Some(describe(&location, error)?);
            }
        }
        file.sha256 = Some(reader.into_inner().finish().map_err(bucket)?.0);
        Ok(file)
    }

    fn block<R: Read>(
        &self,
        file: &mut PacketFile,
        reader: &ContainerReader<R>,
        block: &Block,
        visit: &mut impl FnMut(Packet<'_>),
    ) -> Result<(), Malformed> {
        let records = Records {
            reader,
            block,
            limits: &self.limits,
        };
        match file.kind(self.family) {
            Some(RecordKind::DataSharePacket) => {
                records.each(file, |packet| visit(Packet::Share(&packet)))?;
            }
            Some(RecordKind::ValidationPacket) => {
                records.each(file, |packet| visit(Packet::Message(&packet)))?;
            }
            Some(RecordKind::InvalidPacket) => {
                records.each(file, |packet| visit(Packet::Invalid(&packet)))?;
            }
            _ => {
                let reason = "the schema is not that of a packet".to_owned();
                return Err(("its beginning".to_owned(), AvroError::Schema(reason)));
            }
        }
        file.blocks += 1;
        (self.progress)(block.records, block.bytes.len() as u64);
        Ok(())
    }
}

impl PacketFile {
    /// Returns the kind of packets as which the file is read: what its schema names, or else what
    /// it is expected to contain.
    pub(super) fn kind(&self, expected: Option<Family>) -> Option<RecordKind> {
        match self.record {
            None => expected?.record(BatchPart::Packets),
            record => record,
        }
    }
}

/// The records of a block.
struct Records<'b, R> {
    reader: &'b ContainerReader<R>,
    block: &'b Block,
    limits: &'b FileLimits,
}

impl<'b, R: Read> Records<'b, R> {
    fn each<T: Record + Deserialize<'b>>(
        &self,
        file: &mut PacketFile,
        mut visit: impl FnMut(T),
    ) -> Result<(), Malformed> {
        let total = self.block.records;
        let records = RecordReader::new(self.block, self.reader.schema(), self.limits);
        for (index, record) in (1..).zip(records) {
            let place = |error| {
                let location = format!(
                    "block {}, record {} of {total} (packet {} of the file)",
                    file.blocks + 1,
                    total.min(index),
                    file.packets + 1
                );
                (location, error)
            };
            visit(record.map_err(place)?);
            file.packets += 1;
        }
        Ok(())
    }
}

/// Describes a malformed part; returns an error if the bucket failed instead.
fn describe(location: &str, error: AvroError) -> Result<String, Error> {
    match error {
        AvroError::Io(error) => match BucketError::recover(error) {
            Ok(error) => Err(error.into()),
            Err(error) => Ok(format!("{location}: {error}")),
        },
        other => Ok(format!("{location}: {other}")),
    }
}

fn bucket(error: std::io::Error) -> Error {
    BucketError::recover(error).map_or_else(|error| Error::Internal(error.to_string()), Error::from)
}
