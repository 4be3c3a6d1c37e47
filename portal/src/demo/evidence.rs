//! The evidence of a row: both processors' sum parts are made, signed with keys of the demo, verified
//! and added, by the same code as real ones. So the digests, keys and batches on a page are those of
//! real files.

use rand::{Rng, RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha20Rng;
use tallybox_crypto::SigningKey;
use tallybox_crypto::prio2::MODULUS;
use tallybox_model::avro::{ContainerWriter, Record as _, encode_one};
use tallybox_model::digest::Digest;
use tallybox_model::header::{PRIME, SumPart};
use tallybox_model::id::{BatchId, PacketId};
use tallybox_model::packet::InvalidPacket;
use tallybox_model::path::SumPartName;
use tallybox_model::role::Role;
use tallybox_transport::batch::{TrustedKeys, signature_file};

use crate::keys::PortalKeys;
use crate::pair::{Part, PartFiles, PartKind, join};
use crate::store::WindowRow;
use crate::web::{Prove, Provenance};

/// The identifiers of the processors' keys.
const KEY_IDS: [&str; 2] = ["demo-first-key-1", "demo-second-key-1"];

/// Both processors' keys.
struct Processors {
    signing: [SigningKey; 2],
    trusted: PortalKeys,
}

/// Returns the function that proves a row.
pub(super) fn prover() -> Box<Prove> {
    let mut rng = ChaCha20Rng::seed_from_u64(2);
    let signing = [(); 2].map(|()| SigningKey::generate(&mut rng));
    let trusted = Role::ALL.map(|role| {
        let key = signing[role.index()].verifying_key();
        TrustedKeys::from([(KEY_IDS[role.index()].to_owned(), key)])
    });
    let processors = Processors {
        trusted: PortalKeys::new(trusted),
        signing,
    };
    Box::new(move |row| processors.prove(row))
}

/// What both parts of a window have in common, and the share of each.
struct Content {
    batches: Vec<BatchId>,
    rejected: Vec<PacketId>,
    sums: [Vec<i64>; 2],
}

impl Content {
    /// The content depends on nothing but the row, so that a page is the same each time.
    fn new(row: &WindowRow) -> Self {
        let mut rng = ChaCha20Rng::from_seed(Digest::sha256(row.evidence.as_bytes()).0);
        let first: Vec<u32> = row
            .sums
            .iter()
            .map(|_| rng.random_range(0..MODULUS))
            .collect();
        let prime = u64::from(MODULUS);
        let second = |(sum, part): (&u64, &u32)| (sum + prime - u64::from(*part)) % prime;
        let second = row.sums.iter().zip(&first).map(second);
        Self {
            sums: [
                first.iter().map(|part| i64::from(*part)).collect(),
                second.map(|part| part as i64).collect(),
            ],
            batches: (0..row.batches)
                .map(|_| BatchId::from_bytes(random_id(&mut rng)))
                .collect(),
            rejected: (0..row.rejected)
                .map(|_| PacketId::from_bytes(random_id(&mut rng)))
                .collect(),
        }
    }
}

/// Returns a version 4 UUID.
fn random_id(rng: &mut impl Rng) -> [u8; 16] {
    let mut bytes: [u8; 16] = rng.random();
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    bytes
}

impl Processors {
    fn prove(&self, row: &WindowRow) -> Option<Provenance> {
        let content = Content::new(row);
        let [first, second] = Role::ALL.map(|role| self.part(row, role, &content));
        let sum = join(&first?, &second?).ok()?;
        (sum.sums == row.sums).then_some(Provenance {
            batches: sum.batches,
            parts: sum.evidence,
        })
    }

    /// Makes, signs and verifies the sum part of a processor.
    fn part(&self, row: &WindowRow, writer: Role, content: &Content) -> Option<Part> {
        let kind = PartKind::of(SumPartName {
            instance: row.instance.clone(),
            aggregation: row.aggregation.clone(),
            window: row.window,
            writer,
        });
        let packets = rejected_file(&content.rejected)?;
        let header = SumPart {
            batch_uuids: content.batches.clone(),
            name: row.aggregation.to_string(),
            bins: i32::try_from(row.sums.len()).ok()?,
            epsilon: row.epsilon,
            prime: PRIME,
            number_of_servers: 2,
            hamming_weight: None,
            sum: content.sums[writer.index()].clone(),
            aggregation_start_time: row.window.start().millis(),
            aggregation_end_time: row.window.end().millis(),
            packet_file_digest: Digest::sha256(&packets),
            total_individual_clients: i64::try_from(row.reports).ok()?,
        };
        let header = encode_one(&header, [writer.index() as u8; 16]).ok()?;
        let key = (KEY_IDS[writer.index()], &self.signing[writer.index()]);
        let signature = signature_file(&kind.objects.signature, 1, &header, None, key).ok()?;
        let files = PartFiles {
            signature: signature.into(),
            header: header.into(),
            packets: packets.into(),
        };
        Part::verify(kind, &files, &self.trusted).ok()
    }
}

/// Returns the file of rejected packets; empty if there are none.
fn rejected_file(ids: &[PacketId]) -> Option<Vec<u8>> {
    if ids.is_empty() {
        return Some(Vec::new());
    }
    let mut writer = ContainerWriter::new(Vec::new(), InvalidPacket::KIND, [7; 16]);
    for id in ids {
        writer.append(&InvalidPacket { id: *id }).ok()?;
    }
    writer.finish().ok()
}
