//! Compares two packet files packet by packet, joined by identifier.

use crate::inspect::Family;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{BuildHasher, Hash, RandomState};
use std::io::{BufRead as _, BufReader, Read};
use tallybox_model::avro::{AvroError, ContainerReader, FileLimits, Record, RecordReader};
use tallybox_model::id::PacketId;
use tallybox_model::packet::{DataSharePacket, InvalidPacket, ValidationPacket};

/// How many packets are joined. Further packets are not compared.
const MOST_JOINED_PACKETS: usize = 1 << 21;
/// How many packets are named.
const MOST_NAMED_PACKETS: usize = 5;
/// The number of fields of a packet without its identifier. Kinds with fewer fields leave the last
/// ones empty.
const FIELDS: usize = 5;

/// The differences between the packets of two files.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct PacketDifferences {
    /// The number of packets that are equal in both.
    pub same: u64,
    /// The number of packets that only the first has.
    pub only_a: u64,
    /// The number of packets that only the second has.
    pub only_b: u64,
    /// The number of packets in both that differ.
    pub changed: u64,
    /// The different fields, with the number of packets for each.
    pub changed_fields: BTreeMap<&'static str, u64>,
    /// True if the packets of both are in the same order.
    pub same_order: bool,
    /// Some identifiers of packets that only the first has.
    pub some_only_a: Vec<PacketId>,
    /// Some identifiers of packets that only the second has.
    pub some_only_b: Vec<PacketId>,
    /// Some identifiers of packets that differ.
    pub some_changed: Vec<PacketId>,
    /// The reasons for which the comparison is incomplete.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub incomplete: Vec<String>,
}

/// A packet: its identifier, and short hashes of its fields with a random key.
struct Item {
    id: [u8; 16],
    fields: [u32; FIELDS],
}

type Input = Box<dyn Read + Send>;

/// Compares both files. Blocks the thread. The memory grows with the first file, up to a bound.
pub(super) fn join(
    family: Family,
    (a, b): (Input, Input),
    limits: &FileLimits,
) -> PacketDifferences {
    let hasher = RandomState::new();
    let mut found = PacketDifferences::default();
    let mut left: HashMap<[u8; 16], [u32; FIELDS]> = HashMap::new();
    let mut order = [Sha256::new(), Sha256::new()];
    let read = each(family, a, limits, &hasher, |item| {
        order[0].update(item.id);
        if left.len() < MOST_JOINED_PACKETS {
            left.entry(item.id).or_insert(item.fields);
            return true;
        }
        false
    });
    found
        .incomplete
        .extend(read.err().map(|problem| format!("A: {problem}")));
    let names = field_names(family);
    let mut only_b = BTreeSet::new();
    let mut changed = BTreeSet::new();
    let mut joined = 0;
    let read = each(family, b, limits, &hasher, |item| {
        order[1].update(item.id);
        joined += 1;
        match left.remove(&item.id) {
            None => {
                found.only_b += 1;
                insert_smallest(&mut only_b, item.id);
            }
            Some(fields) if fields == item.fields => found.same += 1,
            Some(fields) => {
                found.changed += 1;
                insert_smallest(&mut changed, item.id);
                for (name, _) in names
                    .iter()
                    .zip(fields.iter().zip(item.fields))
                    .filter(|(_, (a, b))| **a != *b)
                {
                    *found.changed_fields.entry(name).or_default() += 1;
                }
            }
        }
        joined < MOST_JOINED_PACKETS
    });
    found
        .incomplete
        .extend(read.err().map(|problem| format!("B: {problem}")));
    let mut only_a = BTreeSet::new();
    left.keys().for_each(|id| insert_smallest(&mut only_a, *id));
    found.only_a = left.len() as u64;
    let [a, b] = order.map(Sha256::finalize);
    found.same_order = a == b;
    let ids = |ids: BTreeSet<[u8; 16]>| ids.into_iter().map(PacketId::from_bytes).collect();
    (found.some_only_a, found.some_only_b, found.some_changed) =
        (ids(only_a), ids(only_b), ids(changed));
    found
}

/// Adds an identifier, and retains only the smallest ones.
fn insert_smallest(ids: &mut BTreeSet<[u8; 16]>, id: [u8; 16]) {
    ids.insert(id);
    if ids.len() > MOST_NAMED_PACKETS {
        ids.pop_last();
    }
}

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

/// Passes the packets of a file to `take` until it returns `false`.
fn each(
    family: Family,
    input: Input,
    limits: &FileLimits,
    hasher: &RandomState,
    mut process: impl FnMut(Item) -> bool,
) -> Result<(), String> {
    let mut input = BufReader::with_capacity(64 << 10, input);
    if input
        .fill_buf()
        .map_err(|error| error.to_string())?
        .is_empty()
    {
        return Ok(());
    }
    let mut reader = ContainerReader::open(input, limits).map_err(|error| error.to_string())?;
    while let Some(block) = reader.next_block().map_err(|error| error.to_string())? {
        let schema = reader.schema();
        let more = match family {
            Family::IngestionBatch => {
                let item = |packet: DataSharePacket<'_>| share(&packet, hasher);
                deliver(
                    RecordReader::<DataSharePacket<'_>>::new(&block, schema, limits),
                    item,
                    &mut process,
                )
            }
            Family::ValidationBatch => {
                let item = |packet: ValidationPacket| message(&packet, hasher);
                deliver(
                    RecordReader::<ValidationPacket>::new(&block, schema, limits),
                    item,
                    &mut process,
                )
            }
            Family::SumPart => {
                let item = |packet: InvalidPacket| Item {
                    id: *packet.id.as_bytes(),
                    fields: [0; FIELDS],
                };
                deliver(
                    RecordReader::<InvalidPacket>::new(&block, schema, limits),
                    item,
                    &mut process,
                )
            }
        };
        if !more.map_err(|error| error.to_string())? {
            return Err(format!(
                "only the first {MOST_JOINED_PACKETS} packets were compared"
            ));
        }
    }
    Ok(())
}

fn deliver<'b, T: Record + serde::Deserialize<'b>>(
    records: RecordReader<'b, T>,
    item: impl Fn(T) -> Item,
    process: &mut impl FnMut(Item) -> bool,
) -> Result<bool, AvroError> {
    for record in records {
        if !process(item(record?)) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn share(packet: &DataSharePacket<'_>, hasher: &RandomState) -> Item {
    let hash = |value: &dyn DynHash| value.short(hasher);
    let id = packet
        .packet_id()
        .map_or_else(|_| id_from_text(packet.id), |id| *id.as_bytes());
    let fields = [
        hash(&packet.encrypted_payload),
        hash(&packet.encryption_key_id),
        hash(&packet.r_pit),
        hash(&packet.version_configuration),
        hash(&packet.device_nonce),
    ];
    Item { id, fields }
}

fn message(packet: &ValidationPacket, hasher: &RandomState) -> Item {
    let hash = |value: i64| value.short(hasher);
    let fields = [hash(packet.f_r), hash(packet.g_r), hash(packet.h_r), 0, 0];
    Item {
        id: *packet.id.as_bytes(),
        fields,
    }
}

/// Derives an identifier from a text that is not a UUID.
fn id_from_text(text: &str) -> [u8; 16] {
    let digest: [u8; 32] = Sha256::digest(text).into();
    let mut id = [0; 16];
    id.copy_from_slice(&digest[..16]);
    id
}

/// A value that can be hashed to 32 bits.
trait DynHash {
    fn short(&self, hasher: &RandomState) -> u32;
}

impl<T: Hash> DynHash for T {
    fn short(&self, hasher: &RandomState) -> u32 {
        (hasher.hash_one(self) >> 32) as u32
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::io::Cursor;
    use tallybox_model::avro::{ContainerWriter, RecordKind};

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

    #[test]
    fn packets_are_joined_by_their_identifiers() {
        let sides = (
            file(&[(1, 5), (2, 5), (3, 5), (4, 5)]),
            file(&[(3, 5), (2, 6), (1, 5), (9, 5)]),
        );
        let found = join(Family::ValidationBatch, sides, &FileLimits::default());
        assert_eq!(
            (found.same, found.changed, found.only_a, found.only_b),
            (2, 1, 1, 1)
        );
        assert_eq!(found.changed_fields, BTreeMap::from([("f_r", 1)]));
        assert_eq!(found.some_only_a, [PacketId::from_bytes([4; 16])]);
        assert!(!found.same_order && found.incomplete.is_empty());
    }

    #[test]
    fn order_alone_is_told_and_damage_as_well() {
        let found = join(
            Family::ValidationBatch,
            (file(&[(1, 5), (2, 5)]), file(&[(2, 5), (1, 5)])),
            &FileLimits::default(),
        );
        assert_eq!((found.same, found.same_order), (2, false));
        let sides: (Input, Input) = (file(&[(1, 5)]), Box::new(Cursor::new(b"Obj\x01".to_vec())));
        let found = join(Family::ValidationBatch, sides, &FileLimits::default());
        assert_eq!((found.only_a, found.incomplete.len()), (1, 1));
        let sides: (Input, Input) = (file(&[]), file(&[(1, 5)]));
        assert_eq!(
            join(Family::ValidationBatch, sides, &FileLimits::default()).only_b,
            1
        );
    }
}
