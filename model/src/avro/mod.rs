//! Avro object container files in the form that ENPA writes, and the codec of the records in them.
//!
//! This crate implements the container format itself, because no library writes ENPA's form: the
//! metadata in one block of two entries, the file header only with the first record, blocks of at
//! least 16,000 bytes, and **an empty file if there are no records**. Readers are bounded by
//! [`FileLimits`] and refuse trailing bytes and unknown codecs. `serde_avro_fast` encodes and decodes
//! the record bodies.

mod codec;
mod limits;
mod reader;
mod record;
mod schema;
mod varint;
mod writer;

pub use codec::Codec;
pub use limits::FileLimits;
pub use reader::{Block, ContainerReader};
pub use record::{Record, RecordReader, decode_one, encode_one};
pub use schema::{RecordKind, WriterSchema};
pub use writer::ContainerWriter;

use std::io;

/// The reason why a container file cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AvroError {
    /// The underlying reader or writer failed. The error gives no information about the file.
    #[error("reading or writing the container failed")]
    Io(#[source] io::Error),
    /// The file does not begin with `Obj\x01`.
    #[error("not an Avro object container file")]
    Magic,
    /// The file is truncated.
    #[error("the container file is truncated")]
    Truncated,
    /// Bytes remain after the announced content.
    #[error("bytes are left over after the {0}")]
    TrailingBytes(&'static str),
    /// The metadata are malformed, or an entry is missing or repeated.
    #[error("the container's metadata are malformed: {0}")]
    Metadata(&'static str),
    /// The codec is not one of null, deflate, snappy.
    #[error("codec {0:?} is not supported: only null, deflate and snappy are")]
    UnknownCodec(String),
    /// A block cannot be decompressed.
    #[error("a block does not decompress: {0}")]
    Decompression(String),
    /// A block does not end with the file's sync marker.
    #[error("a block does not end with the sync marker")]
    SyncMarker,
    /// A number is not encoded as Avro requires, or is negative where that is not allowed.
    #[error("malformed {0}")]
    Number(&'static str),
    /// The schema of the file's writer is not supported.
    #[error("the writer's schema cannot be used: {0}")]
    Schema(String),
    /// A record cannot be decoded or encoded.
    #[error("a {kind} record is malformed: {reason}")]
    Record {
        /// The kind of record that was expected.
        kind: RecordKind,
        /// The reason given by the codec.
        reason: String,
    },
    /// A file that has to contain exactly one record contains none.
    #[error("no {0} record in the file")]
    NoRecord(RecordKind),
    /// A file that has to contain exactly one record contains more.
    #[error("more than one {0} record in the file")]
    ExtraRecord(RecordKind),
    /// The caller's memory budget is exhausted.
    #[error("no memory is left for a block")]
    NoMemory,
    /// A part of the file exceeds the configured limit.
    #[error("{what} exceeds the limit of {limit}")]
    Limit {
        /// The part that is too large.
        what: &'static str,
        /// The limit, in the unit of the part.
        limit: u64,
    },
}

impl From<io::Error> for AvroError {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            Self::Truncated
        } else {
            Self::Io(error)
        }
    }
}
