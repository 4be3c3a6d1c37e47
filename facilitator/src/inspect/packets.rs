//! A packet file of any kind, read through once in bounded memory: counts, digest, and what is odd in it.

use super::name::Family;
use super::tally::Tally;
use crate::error::Error;
use crate::intake::Progress;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read};
use tallybox_model::avro::{AvroError, ContainerReader, Limits, RecordKind};
use tallybox_model::digest::{Digest, HashingReader};
use tallybox_transport::BucketError;

/// What reading a packet file says.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct PacketFacts {
    /// The record's name in the file's schema, if it is one of ours.
    pub record: Option<&'static str>,
    /// Length of the file in bytes.
    pub bytes: u64,
    /// SHA-256 of the file; unknown if it is so malformed that it was not read to its end.
    pub sha256: Option<Digest>,
    /// Codec of the blocks; none in a file of no bytes.
    pub codec: Option<&'static str>,
    /// Blocks read.
    pub blocks: u64,
    /// Packets read.
    pub packets: u64,
    /// Packets whose identifier stands earlier in the file; unknown in very large files.
    pub repeated: Option<u64>,
    /// Packets whose identifier is no UUID.
    pub bad_uuids: u64,
    /// What only this kind of packet has.
    #[serde(flatten)]
    pub details: PacketDetails,
}

/// What only one kind of packet has.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(untagged)]
pub enum PacketDetails {
    /// Encrypted shares.
    Shares(ShareFacts),
    /// Verification messages.
    Messages {
        /// Messages with a number that is no field element.
        #[serde(rename = "messages-out-of-field")]
        out_of_field: u64,
    },
    /// Packets that were not counted.
    Invalid {
        /// Whether the identifiers are in ascending order.
        sorted: bool,
    },
    /// Nothing was read.
    None {},
}

/// What only encrypted shares have.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ShareFacts {
    /// Different evaluation points. The points themselves are not shown.
    pub evaluation_points: Distinct,
    /// Packets with a point that a processor refuses; known only beside a header.
    pub unusable_points: Option<u64>,
    /// Packets by the key that they name; the empty name is none.
    pub keys: BTreeMap<String, u64>,
    /// Packets by the length of the payload in bytes.
    pub payload_bytes: BTreeMap<u64, u64>,
    /// Packets whose key or payload length is not listed, since there are too many different ones.
    pub unlisted: u64,
}

/// A number of different values.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Distinct {
    /// How many.
    pub distinct: u64,
    /// Whether there are more than that.
    pub or_more: bool,
}

/// A packet file that has been read as far as it can be.
#[derive(Debug)]
pub(super) struct Scan {
    pub(super) facts: PacketFacts,
    /// Which part is malformed, and how.
    pub(super) malformed: Option<String>,
    /// The kind of packets that the schema names.
    pub(super) kind: Option<RecordKind>,
}

/// How to read a packet file.
pub(super) struct Scanner {
    /// The kind of packets to expect, if the schema does not say.
    pub(super) family: Option<Family>,
    /// Bins that the header names, to tell points that are no good.
    pub(super) bins: Option<i32>,
    pub(super) limits: Limits,
    pub(super) progress: Progress,
}

type Input = HashingReader<BufReader<Box<dyn Read + Send>>>;

impl Scanner {
    /// Reads the file through. Blocking.
    ///
    /// # Errors
    /// The bucket's; whatever is wrong with the file itself is in the answer.
    pub(super) fn scan(&self, input: Box<dyn Read + Send>, bytes: u64) -> Result<Scan, Error> {
        let mut input: Input = HashingReader::new(BufReader::with_capacity(64 << 10, input));
        let mut tally = Tally::new(self);
        if input.inner_mut().fill_buf().map_err(bucket)?.is_empty() {
            return Ok(tally.finish(Some(Digest::empty()), bytes, None, None));
        }
        let mut reader = match ContainerReader::open(input, &self.limits) {
            Ok(reader) => reader,
            // The reader took the input with it, so the file's digest is not known.
            Err(error) => return Ok(tally.finish(None, bytes, None, Some(malformed("its beginning", error)?))),
        };
        let kind = RecordKind::of_schema(reader.schema().json());
        tally.start(kind, reader.codec());
        let mut problem = None;
        loop {
            let place = || format!("block {}", tally.blocks + 1);
            match reader.next_block() {
                Ok(None) => break,
                Ok(Some(block)) => match tally.block(&block, reader.schema(), &self.limits) {
                    Ok(()) => (self.progress)(block.records, block.bytes.len() as u64),
                    Err((place, error)) => problem = Some(malformed(&place, error)?),
                },
                Err(error) => problem = Some(malformed(&place(), error)?),
            }
            if problem.is_some() {
                break;
            }
        }
        let (digest, _) = reader.into_inner().finish().map_err(bucket)?;
        Ok(tally.finish(Some(digest), bytes, kind, problem))
    }
}

/// What is malformed, in words; a bucket that fails is an error instead.
fn malformed(place: &str, error: AvroError) -> Result<String, Error> {
    let error = match error {
        AvroError::Io(error) => match BucketError::recover(error) {
            Ok(error) => return Err(error.into()),
            Err(error) => return Ok(format!("{place}: {error}")),
        },
        other => other,
    };
    Ok(format!("{place}: {error}"))
}

fn bucket(error: std::io::Error) -> Error {
    BucketError::recover(error).map_or_else(|error| Error::Internal(error.to_string()), Error::from)
}
