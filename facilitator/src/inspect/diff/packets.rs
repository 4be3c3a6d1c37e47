//! Compares two packet files packet by packet, joined by identifier.

use crate::error::Error;
use crate::inspect::batch::{Packet, PacketReader};
use crate::inspect::facts::{Fact, Facts};
use crate::inspect::family::Family;
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::io::Read;
use tallybox_model::id::PacketId;

/// How many packets are joined. Further packets are not compared.
const MOST_JOINED_PACKETS: usize = 1 << 21;
/// How many packets are named.
const MOST_NAMED_PACKETS: usize = 5;

type Id = [u8; 16];
/// Short hashes of a packet's fields, with a random key. Kinds with fewer fields leave the last ones
/// empty.
type Hashes = [u32; 5];
type Input = Box<dyn Read + Send>;

/// The differences between the packets of two files.
#[derive(Debug, Default)]
pub(super) struct PacketDifferences {
    /// The packets that are equal in both.
    same: u64,
    only_a: u64,
    only_b: u64,
    /// The packets in both that differ.
    changed: u64,
    /// The different fields, with the number of packets for each.
    changed_fields: BTreeMap<String, u64>,
    /// True if the packets of both are in the same order.
    same_order: bool,
    /// The smallest identifiers of packets that only the first has.
    some_only_a: BTreeSet<Id>,
    some_only_b: BTreeSet<Id>,
    some_changed: BTreeSet<Id>,
    /// True if the first file has more packets than are joined.
    is_partial: bool,
    /// The reasons for which the comparison is incomplete.
    incomplete: Vec<String>,
}

/// Compares both files. Blocks the thread. The memory grows with the first file, up to a bound.
///
/// # Errors
/// The buckets' errors. Problems of the files are part of the result.
pub(super) fn join(
    reader: &PacketReader,
    family: Family,
    a: Input,
    b: Input,
) -> Result<PacketDifferences, Error> {
    let hasher = RandomState::new();
    let mut found = PacketDifferences::default();
    let mut left: HashMap<Id, Hashes> = HashMap::new();
    let mut left_order = Sha256::new();
    let left_file = reader.read(a, |packet| {
        let (id, hashes) = hashed(&packet, &hasher);
        left_order.update(id);
        if left.len() < MOST_JOINED_PACKETS {
            left.entry(id).or_insert(hashes);
        } else {
            found.is_partial = true;
        }
    })?;
    let mut right_order = Sha256::new();
    let right_file = reader.read(b, |packet| {
        let (id, hashes) = hashed(&packet, &hasher);
        right_order.update(id);
        found.compare(family, id, left.remove(&id), hashes);
    })?;
    found.only_a = left.len() as u64;
    for id in left.into_keys() {
        insert_smallest(&mut found.some_only_a, id);
    }
    found.same_order = left_order.finalize() == right_order.finalize();
    for (side, file) in [("A", left_file), ("B", right_file)] {
        let problem = file.malformed.map(|problem| format!("{side}: {problem}"));
        found.incomplete.extend(problem);
    }
    if found.is_partial {
        let problem = format!("A: only the first {MOST_JOINED_PACKETS} packets are known");
        found.incomplete.push(problem);
    }
    Ok(found)
}

impl PacketDifferences {
    /// Compares a packet of the second file with the one of the same identifier in the first.
    fn compare(&mut self, family: Family, id: Id, left: Option<Hashes>, right: Hashes) {
        let Some(left) = left else {
            self.only_b += 1;
            insert_smallest(&mut self.some_only_b, id);
            return;
        };
        if left == right {
            self.same += 1;
            return;
        }
        self.changed += 1;
        insert_smallest(&mut self.some_changed, id);
        let pairs = left.iter().zip(&right);
        for (name, _) in field_names(family)
            .iter()
            .zip(pairs)
            .filter(|(_, (a, b))| a != b)
        {
            *self.changed_fields.entry((*name).to_owned()).or_default() += 1;
        }
    }

    pub(super) fn facts(self) -> Facts {
        let ids = |ids: BTreeSet<Id>| -> Vec<String> {
            let text = |id| PacketId::from_bytes(id).to_string();
            ids.into_iter().map(text).collect()
        };
        let are_equal = self.changed + self.only_a + self.only_b == 0;
        let order = match are_equal {
            true => [
                "equal packets; only the encoding (marker, schema, blocks) differs",
                "equal packets in another order, or with repetitions",
            ],
            false => ["", ""],
        };
        let mut facts = Facts::default();
        facts.row(
            "",
            [
                Fact::new("same", self.same).unit("packets are equal"),
                Fact::defects("changed", self.changed, "packets differ"),
                Fact::defects("only-a", self.only_a, "packets only in A"),
                Fact::defects("only-b", self.only_b, "packets only in B"),
            ],
        );
        facts.add(Fact::counts("changed-fields", self.changed_fields).row("in fields"));
        facts.add(Fact::flag("same-order", self.same_order, order).row("order"));
        facts.add(Fact::new("some-changed", ids(self.some_changed)).row("different"));
        facts.add(Fact::new("some-only-a", ids(self.some_only_a)).row("only in A"));
        facts.add(Fact::new("some-only-b", ids(self.some_only_b)).row("only in B"));
        if !self.incomplete.is_empty() {
            facts.add(Fact::new("incomplete", self.incomplete));
        }
        facts
    }
}

/// Adds an identifier, and retains only the smallest ones.
fn insert_smallest(ids: &mut BTreeSet<Id>, id: Id) {
    ids.insert(id);
    if ids.len() > MOST_NAMED_PACKETS {
        ids.pop_last();
    }
}

/// Returns the names of the fields, in the order in which [`Reader`] hashes them.
fn field_names(family: Family) -> &'static [&'static str] {
    match family {
        Family::IngestionBatch => &[
            "encrypted_payload",
            "encryption_key_id",
            "r_pit",
            "version_configuration",
            "device_nonce",
        ],
        Family::ValidationBatch => &["f_r", "g_r", "h_r"],
        Family::SumPart => &[],
    }
}

/// Returns the identifier of a packet and the hashes of its fields.
fn hashed(packet: &Packet<'_>, hasher: &RandomState) -> (Id, Hashes) {
    match packet {
        Packet::Share(packet) => {
            let id = match packet.packet_id() {
                Ok(id) => *id.as_bytes(),
                Err(_) => id_from_text(packet.id),
            };
            let hashes = [
                hash(packet.encrypted_payload, hasher),
                hash(packet.encryption_key_id, hasher),
                hash(packet.r_pit, hasher),
                hash(packet.version_configuration, hasher),
                hash(packet.device_nonce, hasher),
            ];
            (id, hashes)
        }
        Packet::Message(packet) => {
            let values = [packet.f_r, packet.g_r, packet.h_r];
            let [f, g, h] = values.map(|value| hash(value, hasher));
            (*packet.id.as_bytes(), [f, g, h, 0, 0])
        }
        Packet::Invalid(packet) => (*packet.id.as_bytes(), Hashes::default()),
    }
}

fn hash(value: impl Hash, hasher: &RandomState) -> u32 {
    (hasher.hash_one(value) >> 32) as u32
}

/// Derives an identifier from a text that is not a UUID.
fn id_from_text(text: &str) -> Id {
    let digest: [u8; 32] = Sha256::digest(text).into();
    let mut id = [0; 16];
    id.copy_from_slice(&digest[..16]);
    id
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::progress::no_progress;
    use std::io::Cursor;
    use tallybox_model::avro::{ContainerWriter, FileLimits, RecordKind};
    use tallybox_model::packet::ValidationPacket;

    fn file(packets: &[(u8, i64)]) -> Input {
        let mut writer = ContainerWriter::new(Vec::new(), RecordKind::ValidationPacket, [7; 16]);
        for (id, f_r) in packets {
            let packet = ValidationPacket {
                id: PacketId::from_bytes([*id; 16]),
                f_r: *f_r,
                g_r: 1,
                h_r: 2,
            };
            writer.append(&packet).unwrap();
        }
        Box::new(Cursor::new(writer.finish().unwrap()))
    }

    fn compare(a: Input, b: Input) -> PacketDifferences {
        let reader = PacketReader {
            family: Some(Family::ValidationBatch),
            limits: FileLimits::default(),
            progress: no_progress(),
        };
        join(&reader, Family::ValidationBatch, a, b).unwrap()
    }

    #[test]
    fn packets_are_joined_by_their_identifiers() {
        let a = file(&[(1, 5), (2, 5), (3, 5), (4, 5)]);
        let b = file(&[(3, 5), (2, 6), (1, 5), (9, 5)]);
        let found = compare(a, b);
        assert_eq!(
            (found.same, found.changed, found.only_a, found.only_b),
            (2, 1, 1, 1)
        );
        assert_eq!(
            found.changed_fields,
            BTreeMap::from([("f_r".to_owned(), 1)])
        );
        assert_eq!(found.some_only_a, BTreeSet::from([[4; 16]]));
        assert!(!found.same_order && found.incomplete.is_empty());
    }

    #[test]
    fn order_alone_is_told_and_damage_as_well() {
        let found = compare(file(&[(1, 5), (2, 5)]), file(&[(2, 5), (1, 5)]));
        assert_eq!((found.same, found.same_order), (2, false));
        let damaged = Box::new(Cursor::new(b"Obj\x01".to_vec()));
        let found = compare(file(&[(1, 5)]), damaged);
        assert_eq!((found.only_a, found.incomplete.len()), (1, 1));
        assert_eq!(compare(file(&[]), file(&[(1, 5)])).only_b, 1);
    }
}
