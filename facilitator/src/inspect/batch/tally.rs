//! Counts the packets of a file, in bounded memory.

use super::packets::{Packet, PacketFile};
use crate::ids::IdSet;
use crate::inspect::facts::{Fact, Facts};
use crate::inspect::family::Family;
use std::collections::{BTreeMap, BTreeSet};
use tallybox_crypto::ecies;
use tallybox_crypto::prio2::{Point, Prio2};
use tallybox_model::avro::{Codec, RecordKind};
use tallybox_model::header::PRIME;
use tallybox_model::packet::{DataSharePacket, InvalidPacket};
use tallybox_model::role::Role;

/// How many identifiers are stored to find repetitions. Further packets are counted, but not
/// compared.
const MOST_COMPARED_IDS: u64 = 1 << 20;
/// How many evaluation points are distinguished.
const MOST_DISTINGUISHED_POINTS: usize = 1 << 16;
/// How many key identifiers and payload lengths are counted individually.
const MOST_COUNTED_NAMES: usize = 32;

/// The counts of the packets of a file.
#[derive(Default)]
pub(super) struct Tally {
    /// The parameters of the aggregation, if there is a header.
    prio2: Option<Prio2>,
    packets: u64,
    ids: IdSet,
    repeated: u64,
    bad_uuids: u64,
    messages_out_of_field: u64,
    last: Option<InvalidPacket>,
    unsorted: bool,
    /// The evaluation points. They are secret; only their number is shown.
    points: BTreeSet<i64>,
    more_points: bool,
    unusable_points: u64,
    /// Packets by the key that they name.
    keys: BTreeMap<String, u64>,
    /// Packets by the length of the payload in bytes.
    lengths: BTreeMap<String, u64>,
    /// Packets by the processor whose sealed shares have the length of the payload.
    receivers: BTreeMap<String, u64>,
    /// Packets whose payload has the length of no sealed share.
    unusable_lengths: u64,
    /// Packets with a key or a length that is not counted individually.
    unlisted: u64,
}

impl Tally {
    pub(super) fn new(bins: Option<usize>) -> Self {
        Self {
            prio2: bins.and_then(|bins| Prio2::new(bins).ok()),
            ..Self::default()
        }
    }

    pub(super) fn add(&mut self, packet: Packet<'_>) {
        match packet {
            Packet::Share(packet) => {
                match packet.packet_id() {
                    Ok(id) => self.add_id(*id.as_bytes()),
                    Err(_) => self.bad_uuids += 1,
                }
                self.add_share(packet);
            }
            Packet::Message(packet) => {
                self.add_id(*packet.id.as_bytes());
                let values = [packet.f_r, packet.g_r, packet.h_r];
                let is_inside = values.iter().all(|value| (0..PRIME).contains(value));
                self.messages_out_of_field += u64::from(!is_inside);
            }
            Packet::Invalid(packet) => {
                self.add_id(*packet.id.as_bytes());
                self.unsorted |= self.last.is_some_and(|last| last > *packet);
                self.last = Some(*packet);
            }
        }
        self.packets += 1;
    }

    fn add_id(&mut self, id: [u8; 16]) {
        if self.packets < MOST_COMPARED_IDS && !self.ids.insert(id) {
            self.repeated += 1;
        }
    }

    fn add_share(&mut self, packet: &DataSharePacket<'_>) {
        if self.points.len() < MOST_DISTINGUISHED_POINTS {
            self.points.insert(packet.r_pit);
        } else if !self.points.contains(&packet.r_pit) {
            self.more_points = true;
        }
        let length = packet.encrypted_payload.len();
        if let Some(prio2) = &self.prio2 {
            self.unusable_points += u64::from(Point::new(packet.r_pit, prio2).is_err());
            match receiver(length, prio2) {
                Some(role) => *self.receivers.entry(role.to_string()).or_default() += 1,
                None => self.unusable_lengths += 1,
            }
        }
        let key = packet.encryption_key_id.unwrap_or_default();
        let key_is_listed = count(&mut self.keys, key);
        let length_is_listed = count(&mut self.lengths, &length.to_string());
        self.unlisted += u64::from(!key_is_listed || !length_is_listed);
    }

    /// Returns the facts about a file that was counted.
    pub(super) fn facts(self, bytes: u64, file: &PacketFile, expected: Option<Family>) -> Facts {
        let kind = file.kind(expected);
        let unit = match kind {
            Some(RecordKind::ValidationPacket) => "messages",
            Some(RecordKind::InvalidPacket) => "packets that do not count",
            _ => "packets",
        };
        let mut facts = Facts::default();
        facts.row(
            "",
            [
                Fact::new("packets", self.packets).unit(unit),
                Fact::new("record", file.record.map(RecordKind::name)).hidden(),
            ],
        );
        facts.row("", Fact::file(bytes, file.sha256));
        let codec = Fact::new("codec", file.codec.map(codec_name));
        facts.row(
            "blocks",
            [Fact::new("blocks", file.blocks).unnamed(), codec],
        );
        let repeated = (self.packets <= MOST_COMPARED_IDS).then_some(self.repeated);
        facts.add(match repeated {
            Some(count) => Fact::defects("repeated", count, "packets have an earlier identifier"),
            None => Fact::new("repeated", repeated),
        });
        facts.add(Fact::defects(
            "bad-uuids",
            self.bad_uuids,
            "packets without a valid UUID",
        ));
        match kind {
            Some(RecordKind::DataSharePacket) => self.add_share_facts(&mut facts),
            Some(RecordKind::ValidationPacket) => facts.add(Fact::defects(
                "messages-out-of-field",
                self.messages_out_of_field,
                "messages are outside the field",
            )),
            Some(RecordKind::InvalidPacket) => facts.add(Fact::new("sorted", !self.unsorted)),
            _ => {}
        }
        facts
    }

    fn add_share_facts(self, facts: &mut Facts) {
        let mut points = Facts::default();
        points.row(
            "",
            [
                Fact::new("distinct", self.points.len()).unit("distinct"),
                Fact::flag("or-more", self.more_points, ["or more", ""]),
            ],
        );
        facts.add(Fact::group("evaluation-points", points).row("points"));
        facts.add(match self.prio2 {
            Some(_) => Fact::defects(
                "unusable-points",
                self.unusable_points,
                "packets have a point outside the field or at a root of unity",
            ),
            None => Fact::new("unusable-points", None::<u64>),
        });
        facts.add(Fact::counts("keys", self.keys));
        facts.add(Fact::counts("payload-bytes", self.lengths));
        facts.add(Fact::counts("receivers", self.receivers).row("for processor"));
        facts.add(Fact::defects(
            "unusable-lengths",
            self.unusable_lengths,
            "packets are not as long as a share",
        ));
        let unit = "packets with other keys or lengths";
        facts.add(Fact::defects("unlisted", self.unlisted, unit));
    }
}

/// Returns the processor to which a payload of this length belongs.
fn receiver(length: usize, prio2: &Prio2) -> Option<Role> {
    Role::ALL.into_iter().find(|role| {
        let share = prio2.share_length(role.index());
        share.is_ok_and(|share| share + ecies::OVERHEAD == length)
    })
}

/// Increments the count of a name; returns `false` if there are too many names already.
fn count(counts: &mut BTreeMap<String, u64>, name: &str) -> bool {
    if let Some(count) = counts.get_mut(name) {
        *count += 1;
        return true;
    }
    let has_room = counts.len() < MOST_COUNTED_NAMES;
    if has_room {
        counts.insert(name.to_owned(), 1);
    }
    has_room
}

fn codec_name(codec: Codec) -> &'static str {
    match codec {
        Codec::Null => "null",
        Codec::Deflate => "deflate",
        Codec::Snappy => "snappy",
    }
}
