//! Counts the packets of a file block by block, in bounded memory.

use super::name::Family;
use super::packets::{PacketDetails, PacketFacts, Scan, Scanner, ShareFacts};
use crate::ids::IdSet;
use std::collections::{BTreeMap, BTreeSet};
use tallybox_crypto::prio2::{Point, Prio2};
use tallybox_model::avro::{
    AvroError, Block, Codec, FileLimits, Record, RecordKind, RecordReader, WriterSchema,
};
use tallybox_model::digest::Digest;
use tallybox_model::header::PRIME;
use tallybox_model::packet::{DataSharePacket, InvalidPacket, ValidationPacket};

/// How many identifiers are stored to find repetitions. Further packets are counted, but not
/// compared.
const MOST_COMPARED_IDS: usize = 1 << 20;
/// How many evaluation points are distinguished.
const MOST_DISTINGUISHED_POINTS: usize = 1 << 16;
/// How many key identifiers and payload lengths are counted individually.
const MOST_COUNTED_NAMES: usize = 32;

/// Returns the kind of packets as which a file is read.
fn packets_of(kind: Option<RecordKind>, family: Option<Family>) -> Option<RecordKind> {
    let named = kind.filter(|kind| {
        Family::ALL
            .into_iter()
            .any(|family| family.packet() == *kind)
    });
    named.or_else(|| family.filter(|_| kind.is_none()).map(Family::packet))
}

/// Counts the packets of a file.
pub(super) struct Tally {
    family: Option<Family>,
    prio2: Option<Prio2>,
    kind: Option<RecordKind>,
    codec: Option<Codec>,
    pub(super) blocks: u64,
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
    pub(super) fn new(scanner: &Scanner) -> Self {
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

    pub(super) fn start(&mut self, kind: Option<RecordKind>, codec: Codec) {
        self.kind = packets_of(kind, self.family);
        self.codec = Some(codec);
    }

    /// Counts the packets of a block. An error names the place of the malformed packet.
    pub(super) fn block(
        &mut self,
        block: &Block,
        schema: &WriterSchema,
        limits: &FileLimits,
    ) -> Result<(), (String, AvroError)> {
        match self.kind {
            Some(RecordKind::DataSharePacket) => self.each(block, schema, limits, Self::share)?,
            Some(RecordKind::ValidationPacket) => {
                self.each(block, schema, limits, |tally, packet| {
                    tally.message(&packet)
                })?
            }
            Some(RecordKind::InvalidPacket) => self.each(block, schema, limits, Self::invalid)?,
            _ => {
                let reason = "the schema is not that of a packet".to_owned();
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
        limits: &FileLimits,
        mut count: impl FnMut(&mut Self, T),
    ) -> Result<(), (String, AvroError)> {
        for (place, record) in (1_u64..).zip(RecordReader::<T>::new(block, schema, limits)) {
            match record {
                Ok(record) => count(self, record),
                Err(error) => {
                    let (block_number, records) = (self.blocks + 1, block.records);
                    let place = place.min(records);
                    let packet = self.packets + 1;
                    let place = format!(
                        "block {block_number}, record {place} of {records} (packet {packet} of the file)"
                    );
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
        if self.packets < MOST_COMPARED_IDS as u64 && !self.ids.insert(id) {
            self.repeated += 1;
        }
    }

    fn share(&mut self, packet: DataSharePacket<'_>) {
        self.id(packet.packet_id().ok().map(|id| *id.as_bytes()));
        if self.points.len() < MOST_DISTINGUISHED_POINTS {
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
        let inside = [packet.f_r, packet.g_r, packet.h_r]
            .into_iter()
            .all(|value| (0..PRIME).contains(&value));
        self.out_of_field += u64::from(!inside);
    }

    fn invalid(&mut self, packet: InvalidPacket) {
        self.id(Some(*packet.id.as_bytes()));
        self.unsorted |= self.last.is_some_and(|last| last > packet);
        self.last = Some(packet);
    }

    pub(super) fn finish(
        mut self,
        sha256: Option<Digest>,
        bytes: u64,
        kind: Option<RecordKind>,
        malformed: Option<String>,
    ) -> Scan {
        self.shares.evaluation_points.distinct = self.points.len() as u64;
        let details = match self.kind {
            Some(RecordKind::DataSharePacket) => PacketDetails::Shares(self.shares),
            Some(RecordKind::ValidationPacket) => PacketDetails::Messages {
                out_of_field: self.out_of_field,
            },
            Some(RecordKind::InvalidPacket) => PacketDetails::Invalid {
                sorted: !self.unsorted,
            },
            _ => PacketDetails::None {},
        };
        let facts = PacketFacts {
            record: kind.map(RecordKind::name),
            bytes,
            sha256,
            codec: self.codec.map(codec_name),
            blocks: self.blocks,
            packets: self.packets,
            repeated: (self.packets <= MOST_COMPARED_IDS as u64).then_some(self.repeated),
            bad_uuids: self.bad_uuids,
            details,
        };
        Scan {
            facts,
            malformed,
            kind,
        }
    }
}

/// Increments the count of a name; returns `false` if there are too many names already.
fn count<K, Q>(counts: &mut BTreeMap<K, u64>, name: &Q, own: impl Fn(&Q) -> K) -> bool
where
    K: Ord + std::borrow::Borrow<Q>,
    Q: Ord + ?Sized,
{
    if let Some(count) = counts.get_mut(name) {
        *count += 1;
        return true;
    }
    let room = counts.len() < MOST_COUNTED_NAMES;
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
