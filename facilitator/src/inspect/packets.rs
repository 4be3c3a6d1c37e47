//! A packet file of any kind, read through once in bounded memory: counts, digest, and what is odd in it.

use super::name::Family;
use crate::error::Error;
use crate::ids::IdSet;
use crate::intake::Progress;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Read};
use tallybox_crypto::prio2::{Point, Prio2};
use tallybox_model::avro::{AvroError, Block, Codec, ContainerReader, Limits, Record, RecordKind, Records, WriterSchema};
use tallybox_model::digest::{Digest, HashingReader};
use tallybox_model::header::PRIME;
use tallybox_model::packet::{DataSharePacket, InvalidPacket, ValidationPacket};
use tallybox_transport::BucketError;

/// Identifiers that are remembered to find repetitions: more packets are counted, but not compared.
const REMEMBERED_IDS: usize = 1 << 20;
/// Evaluation points that are told apart.
const REMEMBERED_POINTS: usize = 1 << 16;
/// Key identifiers and payload lengths that are counted one by one.
const REMEMBERED_NAMES: usize = 32;

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

/// The kind of packets a file is read as.
fn packets_of(kind: Option<RecordKind>, family: Option<Family>) -> Option<RecordKind> {
    let named = kind.filter(|kind| Family::ALL.into_iter().any(|family| family.packet() == *kind));
    named.or_else(|| family.filter(|_| kind.is_none()).map(Family::packet))
}

/// Counts as blocks come.
struct Tally {
    family: Option<Family>,
    prio2: Option<Prio2>,
    kind: Option<RecordKind>,
    codec: Option<Codec>,
    blocks: u64,
    packets: u64,
    ids: IdSet,
    repeated: u64,
    bad_uuids: u64,
    shares: ShareFacts,
    points: BTreeSet<i64>,
    out_of_field: u64,
    last: Option<InvalidPacket>,
    unsorted: bool,
}

impl Tally {
    fn new(scanner: &Scanner) -> Self {
        let bins = scanner.bins.and_then(|bins| usize::try_from(bins).ok());
        Self {
            family: scanner.family,
            prio2: bins.and_then(|bins| Prio2::new(bins).ok()),
            kind: scanner.family.map(Family::packet),
            codec: None,
            blocks: 0,
            packets: 0,
            ids: IdSet::default(),
            repeated: 0,
            bad_uuids: 0,
            shares: ShareFacts::default(),
            points: BTreeSet::new(),
            out_of_field: 0,
            last: None,
            unsorted: false,
        }
    }

    fn start(&mut self, kind: Option<RecordKind>, codec: Codec) {
        self.kind = packets_of(kind, self.family);
        self.codec = Some(codec);
    }

    /// Counts a block, or says at which of its packets it is malformed.
    fn block(&mut self, block: &Block, schema: &WriterSchema, limits: &Limits) -> Result<(), (String, AvroError)> {
        match self.kind {
            Some(RecordKind::DataSharePacket) => self.each(block, schema, limits, Self::share)?,
            Some(RecordKind::ValidationPacket) => self.each(block, schema, limits, |tally, packet| tally.message(&packet))?,
            Some(RecordKind::InvalidPacket) => self.each(block, schema, limits, Self::invalid)?,
            _ => {
                let reason = "the schema is none of a packet".to_owned();
                return Err(("its beginning".to_owned(), AvroError::Schema(reason)));
            }
        }
        self.blocks += 1;
        Ok(())
    }

    fn each<'b, T: Record + serde::Deserialize<'b>>(
        &mut self,
        block: &'b Block,
        schema: &'b WriterSchema,
        limits: &Limits,
        mut count: impl FnMut(&mut Self, T),
    ) -> Result<(), (String, AvroError)> {
        for (place, record) in (1_u64..).zip(Records::<T>::new(block, schema, limits)) {
            match record {
                Ok(record) => count(self, record),
                Err(error) => {
                    let (block_number, records) = (self.blocks + 1, block.records);
                    let place = place.min(records);
                    let packet = self.packets + 1;
                    let place = format!("block {block_number}, record {place} of {records} (packet {packet} of the file)");
                    return Err((place, error));
                }
            }
            self.packets += 1;
        }
        Ok(())
    }

    fn id(&mut self, id: Option<[u8; 16]>) {
        let Some(id) = id else {
            self.bad_uuids += 1;
            return;
        };
        if self.packets < REMEMBERED_IDS as u64 && !self.ids.insert(id) {
            self.repeated += 1;
        }
    }

    fn share(&mut self, packet: DataSharePacket<'_>) {
        self.id(packet.packet_id().ok().map(|id| *id.as_bytes()));
        if self.points.len() < REMEMBERED_POINTS {
            self.points.insert(packet.r_pit);
        } else if !self.points.contains(&packet.r_pit) {
            self.shares.evaluation_points.or_more = true;
        }
        if let Some(prio2) = &self.prio2 {
            let unusable = u64::from(Point::new(packet.r_pit, prio2).is_err());
            *self.shares.unusable_points.get_or_insert(0) += unusable;
        }
        let key = packet.encryption_key_id.unwrap_or_default();
        let length = packet.encrypted_payload.len() as u64;
        let unlisted = !count(&mut self.shares.keys, key, str::to_owned);
        let unlisted = !count(&mut self.shares.payload_bytes, &length, u64::clone) || unlisted;
        self.shares.unlisted += u64::from(unlisted);
    }

    fn message(&mut self, packet: &ValidationPacket) {
        self.id(Some(*packet.id.as_bytes()));
        let inside = [packet.f_r, packet.g_r, packet.h_r].into_iter().all(|value| (0..PRIME).contains(&value));
        self.out_of_field += u64::from(!inside);
    }

    fn invalid(&mut self, packet: InvalidPacket) {
        self.id(Some(*packet.id.as_bytes()));
        self.unsorted |= self.last.is_some_and(|last| last > packet);
        self.last = Some(packet);
    }

    fn finish(mut self, sha256: Option<Digest>, bytes: u64, kind: Option<RecordKind>, malformed: Option<String>) -> Scan {
        self.shares.evaluation_points.distinct = self.points.len() as u64;
        let details = match self.kind {
            Some(RecordKind::DataSharePacket) => PacketDetails::Shares(self.shares),
            Some(RecordKind::ValidationPacket) => PacketDetails::Messages { out_of_field: self.out_of_field },
            Some(RecordKind::InvalidPacket) => PacketDetails::Invalid { sorted: !self.unsorted },
            _ => PacketDetails::None {},
        };
        let facts = PacketFacts {
            record: kind.map(RecordKind::name),
            bytes,
            sha256,
            codec: self.codec.map(codec_name),
            blocks: self.blocks,
            packets: self.packets,
            repeated: (self.packets <= REMEMBERED_IDS as u64).then_some(self.repeated),
            bad_uuids: self.bad_uuids,
            details,
        };
        Scan { facts, malformed, kind }
    }
}

/// Counts one more of this name; `false` if there are too many names already.
fn count<K: Ord, Q: Ord + ?Sized>(counts: &mut BTreeMap<K, u64>, name: &Q, own: impl Fn(&Q) -> K) -> bool
where
    K: std::borrow::Borrow<Q>,
{
    if let Some(count) = counts.get_mut(name) {
        *count += 1;
        return true;
    }
    let room = counts.len() < REMEMBERED_NAMES;
    if room {
        counts.insert(own(name), 1);
    }
    room
}

fn codec_name(codec: Codec) -> &'static str {
    match codec {
        Codec::Null => "null",
        Codec::Deflate => "deflate",
        Codec::Snappy => "snappy",
    }
}
