//! Reads a packet file of any kind once in bounded memory: counts, digest, and irregularities.

use super::name::Family;
use super::tally::Tally;
use crate::error::Error;
use crate::progress::ProgressCallback;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read};
use tallybox_model::avro::{AvroError, ContainerReader, FileLimits, RecordKind};
use tallybox_model::digest::{Digest, HashingReader};
use tallybox_transport::BucketError;

/// The result of reading a packet file.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct PacketFacts {
    /// The record's name in the file's schema, if it is a known one.
    pub record: Option<&'static str>,
    /// The length of the file in bytes.
    pub bytes: u64,
    /// The SHA-256 of the file; unknown if a malformed file was not read to its end.
    pub sha256: Option<Digest>,
    /// The codec of the blocks; `None` for an empty file.
    pub codec: Option<&'static str>,
    /// The number of blocks read.
    pub blocks: u64,
    /// The number of packets read.
    pub packets: u64,
    /// The number of packets whose identifier occurs earlier in the file; unknown for very large
    /// files.
    pub repeated: Option<u64>,
    /// The number of packets whose identifier is not a UUID.
    pub bad_uuids: u64,
    /// The facts that only this kind of packet has.
    #[serde(flatten)]
    pub details: PacketDetails,
}

/// The facts that only one kind of packet has.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(untagged)]
pub enum PacketDetails {
    /// Encrypted shares.
    Shares(ShareFacts),
    /// Verification messages.
    Messages {
        /// The number of messages with a value that is not a field element.
        #[serde(rename = "messages-out-of-field")]
        out_of_field: u64,
    },
    /// Packets that do not count.
    Invalid {
        /// True if the identifiers are in ascending order.
        sorted: bool,
    },
    /// Nothing was read.
    None {},
}

/// The facts that only encrypted shares have.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ShareFacts {
    /// The number of distinct evaluation points. The points themselves are not shown.
    pub evaluation_points: Distinct,
    /// The number of packets with a point that a processor rejects; known only if there is a
    /// header.
    pub unusable_points: Option<u64>,
    /// Packets by the key that they name; the empty name means that no key is named.
    pub keys: BTreeMap<String, u64>,
    /// Packets by the length of the payload in bytes.
    pub payload_bytes: BTreeMap<u64, u64>,
    /// The number of packets whose key or payload length is not listed, since there are too many
    /// distinct values.
    pub unlisted: u64,
}

/// The number of distinct values.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Distinct {
    /// The number found.
    pub distinct: u64,
    /// True if there are more.
    pub or_more: bool,
}

/// A packet file that was read to its end or its first malformed part.
#[derive(Debug)]
pub(super) struct Scan {
    pub(super) facts: PacketFacts,
    /// The malformed part, and the error.
    pub(super) malformed: Option<String>,
    /// The kind of packets that the schema names.
    pub(super) kind: Option<RecordKind>,
}

/// The parameters for reading a packet file.
pub(super) struct Scanner {
    /// The kind of packets to expect, if the schema does not name one.
    pub(super) family: Option<Family>,
    /// The number of bins in the header, to recognise unusable points.
    pub(super) bins: Option<i32>,
    pub(super) limits: FileLimits,
    pub(super) progress: ProgressCallback,
}

type Input = HashingReader<BufReader<Box<dyn Read + Send>>>;

impl Scanner {
    /// Reads the file to its end. Blocks the thread.
    ///
    /// # Errors
    /// The bucket's errors. Problems of the file are part of the result.
    pub(super) fn scan(&self, input: Box<dyn Read + Send>, bytes: u64) -> Result<Scan, Error> {
        let mut input: Input = HashingReader::new(BufReader::with_capacity(64 << 10, input));
        let mut tally = Tally::new(self);
        if input.inner_mut().fill_buf().map_err(bucket)?.is_empty() {
            return Ok(tally.finish(Some(Digest::empty()), bytes, None, None));
        }
        let mut reader = match ContainerReader::open(input, &self.limits) {
            Ok(reader) => reader,
            // The reader consumed the input, so the digest of the file is unknown.
            Err(error) => {
                return Ok(tally.finish(
                    None,
                    bytes,
                    None,
                    Some(malformed("its beginning", error)?),
                ));
            }
        };
        let kind = RecordKind::of_schema(reader.schema().json());
        tally.start(kind, reader.codec());
        let mut problem = None;
        loop {
            let location = || format!("block {}", tally.blocks + 1);
            match reader.next_block() {
                Ok(None) => break,
                Ok(Some(block)) => match tally.block(&block, reader.schema(), &self.limits) {
                    Ok(()) => (self.progress)(block.records, block.bytes.len() as u64),
                    Err((location, error)) => problem = Some(malformed(&location, error)?),
                },
                Err(error) => problem = Some(malformed(&location(), error)?),
            }
            if problem.is_some() {
                break;
            }
        }
        let (digest, _) = reader.into_inner().finish().map_err(bucket)?;
        Ok(tally.finish(Some(digest), bytes, kind, problem))
    }
}

/// Describes a malformed part; returns an error if the bucket failed instead.
fn malformed(location: &str, error: AvroError) -> Result<String, Error> {
    let error = match error {
        AvroError::Io(error) => match BucketError::recover(error) {
            Ok(error) => return Err(error.into()),
            Err(error) => return Ok(format!("{location}: {error}")),
        },
        other => other,
    };
    Ok(format!("{location}: {error}"))
}

fn bucket(error: std::io::Error) -> Error {
    BucketError::recover(error).map_or_else(|error| Error::Internal(error.to_string()), Error::from)
}
