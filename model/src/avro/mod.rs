//! Avro object container files as ENPA writes them, and the codec of the records inside.
//!
//! The framing is ours, since no library writes ENPA's: the metadata in one block of two entries, the file header
//! only with the first record, blocks of at least 16,000 bytes, and **no bytes at all for no records**. Readers are
//! bounded by [`Limits`] and refuse trailing bytes and unknown codecs. Record bodies are `serde_avro_fast`'s.

mod codec;
mod limits;
mod reader;
mod record;
mod schema;
mod varint;
mod writer;

pub use codec::Codec;
pub use limits::Limits;
pub use reader::{Block, ContainerReader};
pub use record::{Record, Records, decode_one, encode_one};
pub use schema::{RecordKind, WriterSchema};
pub use writer::ContainerWriter;

use std::io;

/// Why a container file cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AvroError {
    /// The reader or writer underneath failed; nothing is said about the file.
    #[error("reading or writing the container failed")]
    Io(#[source] io::Error),
    /// The file does not begin with `Obj\x01`.
    #[error("not an Avro object container file")]
    Magic,
    /// The file ends in the middle of something.
    #[error("the container file is cut off")]
    Truncated,
    /// Bytes are left after what the file announces.
    #[error("bytes are left over after the {0}")]
    TrailingBytes(&'static str),
    /// The metadata lack an entry, repeat one, or are not well formed.
    #[error("the container's metadata are malformed: {0}")]
    Metadata(&'static str),
    /// The codec is none of null, deflate, snappy.
    #[error("codec {0:?} is unknown: null, deflate and snappy are")]
    UnknownCodec(String),
    /// The block does not decompress.
    #[error("a block does not decompress: {0}")]
    Decompression(String),
    /// A block does not end with the file's sync marker.
    #[error("a block does not end with the sync marker")]
    SyncMarker,
    /// A number is not encoded as Avro has it, or negative where it must not be.
    #[error("malformed {0}")]
    Number(&'static str),
    /// The writer's schema cannot be used.
    #[error("the writer's schema cannot be used: {0}")]
    Schema(String),
    /// A record does not decode or encode.
    #[error("a {kind} record is malformed: {reason}")]
    Record {
        /// Which record was expected.
        kind: RecordKind,
        /// What the codec says.
        reason: String,
    },
    /// A file that holds exactly one record holds none.
    #[error("no {0} record in the file")]
    NoRecord(RecordKind),
    /// A file that holds exactly one record holds more.
    #[error("more than one {0} record in the file")]
    ExtraRecord(RecordKind),
    /// The caller has no memory for a block.
    #[error("no memory is left for a block")]
    NoMemory,
    /// Something is larger than the configured limit.
    #[error("{what} is over the limit of {limit}")]
    Limit {
        /// What is too large.
        what: &'static str,
        /// The limit, in the unit of the thing.
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
