//! Opens and verifies the packets of one block: pure, on whichever core is free.

use super::points::PointBook;
use crate::processor::Processor;
use crate::reason::PacketReason;
use sha2::{Digest as _, Sha256};
use std::sync::Arc;
use tallybox_crypto::PointError;
use tallybox_crypto::prio2::{Evaluator, Message, Point, Prio2, Sum};
use tallybox_model::avro::AvroError;
use tallybox_model::id::PacketId;
use tallybox_model::packet::DataSharePacket;
use tallybox_transport::batch::PacketBlock;
use zeroize::Zeroizing;

/// The outcome of opening a packet. It holds shares, so it has no `Debug`.
pub enum Verdict {
    /// Opened and evaluated. Its share is in the block's `shares`.
    Message(Message),
    /// Opened, but no point is known yet for its key: the share in full, to be evaluated in the order of the file.
    Unpinned {
        /// The place of the key that opens it.
        key: usize,
        /// The point that the packet names.
        point: Point,
        /// The share as sealed.
        plaintext: Zeroizing<Vec<u8>>,
    },
    /// Not counted.
    Rejected(PacketReason),
}

/// A packet that was opened, or could not be.
pub struct OpenedPacket {
    /// Its identifier, if it has one.
    pub id: Option<PacketId>,
    /// Fingerprint of the ciphertext, where one is asked for.
    pub ciphertext: Option<[u8; 16]>,
    /// What became of it.
    pub verdict: Verdict,
}

/// A block of packets that were opened, or could not be.
pub struct OpenedBlock {
    /// Its packets, in order.
    pub packets: Vec<OpenedPacket>,
    /// The shares of those with a message, one after another.
    pub shares: Zeroizing<Vec<u8>>,
    /// The sum of those shares.
    pub sum: Sum,
    /// How many packets a key of ours opened.
    pub opened: u64,
    /// Whether a packet names a key of ours.
    pub names_our_key: bool,
    /// Bytes of the records.
    pub bytes: u64,
}

/// Opens blocks of one batch.
#[derive(Clone, Debug)]
pub struct BlockOpener {
    /// Keys and role.
    pub processor: Arc<Processor>,
    /// The scheme at the batch's dimension.
    pub prio2: Prio2,
    /// The points that stand so far.
    pub points: Arc<PointBook>,
}

/// Buffers that packets of a block take turns with.
struct Scratch {
    plaintext: Zeroizing<Vec<u8>>,
    elements: Zeroizing<Vec<u32>>,
    last_key: usize,
}

impl BlockOpener {
    /// Opens all packets of a block.
    ///
    /// # Errors
    /// [`AvroError`] if a record is malformed, which is the batch's fault and no packet's.
    pub fn open(&self, block: &PacketBlock, limits: &tallybox_model::avro::Limits) -> Result<OpenedBlock, AvroError> {
        let mut opened = OpenedBlock {
            packets: Vec::with_capacity(block.block.records.min(4096) as usize),
            shares: Zeroizing::new(Vec::new()),
            sum: Sum::new(self.prio2.bins()),
            opened: 0,
            names_our_key: false,
            bytes: block.block.bytes.len() as u64,
        };
        // A share is shorter than its ciphertext, so however many records a block announces, they need no more room.
        let room = (block.block.records as usize).saturating_mul(self.share_bytes());
        opened.shares.reserve_exact(room.min(block.block.bytes.len()));
        let mut scratch = Scratch {
            plaintext: Zeroizing::new(Vec::new()),
            elements: Zeroizing::new(Vec::new()),
            last_key: 0,
        };
        for packet in block.records::<DataSharePacket<'_>>(limits) {
            let packet = packet?;
            let id = packet.packet_id().ok();
            let verdict = match id {
                Some(_) => self.packet(&packet, &mut scratch, &mut opened),
                None => Err(PacketReason::BadUuid),
            };
            let verdict = verdict.unwrap_or_else(Verdict::Rejected);
            let ciphertext = self.points.per_packet().then(|| fingerprint(packet.encrypted_payload));
            opened.packets.push(OpenedPacket {
                id,
                ciphertext,
                verdict,
            });
        }
        Ok(opened)
    }

    /// The bytes that a prepared batch keeps of a share.
    #[must_use]
    pub fn share_bytes(&self) -> usize {
        if self.processor.role.index() == 0 {
            4 * self.prio2.bins()
        } else {
            32
        }
    }

    /// Evaluates an opened share at a point, and adds it.
    ///
    /// # Errors
    /// [`PacketReason::BadShare`] if it is no share of this dimension.
    pub fn evaluate(&self, plaintext: &[u8], evaluator: &Evaluator, sum: &mut Sum) -> Result<Message, PacketReason> {
        let mut elements = Zeroizing::new(Vec::new());
        self.evaluate_into(plaintext, evaluator, sum, &mut elements)
    }

    fn evaluate_into(
        &self,
        plaintext: &[u8],
        evaluator: &Evaluator,
        sum: &mut Sum,
        elements: &mut Vec<u32>,
    ) -> Result<Message, PacketReason> {
        let role = self.processor.role.index();
        self.prio2
            .decode_share(role, plaintext, elements)
            .map_err(|_| PacketReason::BadShare)?;
        sum.add(&elements[..self.prio2.bins()]);
        Ok(evaluator.message(role, elements))
    }

    fn packet(
        &self,
        packet: &DataSharePacket<'_>,
        scratch: &mut Scratch,
        opened: &mut OpenedBlock,
    ) -> Result<Verdict, PacketReason> {
        let hinted = self.hinted_key(packet);
        opened.names_our_key |= hinted.is_some();
        let point = Point::new(packet.r_pit, &self.prio2).map_err(|error| match error {
            PointError::RootOfUnity => PacketReason::PointRootOfUnity,
            _ => PacketReason::PointOutOfRange,
        })?;
        let key = self.open_packet(packet, hinted, scratch)?;
        opened.opened += 1;
        let Some(evaluator) = self.points.evaluator(key, point, &self.prio2)? else {
            let plaintext = Zeroizing::new(scratch.plaintext.to_vec());
            return Ok(Verdict::Unpinned { key, point, plaintext });
        };
        let Scratch {
            plaintext, elements, ..
        } = scratch;
        let message = self.evaluate_into(plaintext, &evaluator, &mut opened.sum, elements)?;
        opened.shares.extend_from_slice(&plaintext[..self.share_bytes()]);
        Ok(Verdict::Message(message))
    }

    /// The place of the key that the packet names, if we hold it.
    fn hinted_key(&self, packet: &DataSharePacket<'_>) -> Option<usize> {
        let id = packet.encryption_key_id?;
        self.processor.packet_keys.iter().position(|key| key.id == id)
    }

    /// Opens the packet into the scratch buffer: by the key it names, else the one that opened the last packet, else
    /// the others in order.
    fn open_packet(
        &self,
        packet: &DataSharePacket<'_>,
        hinted: Option<usize>,
        scratch: &mut Scratch,
    ) -> Result<usize, PacketReason> {
        let keys = &self.processor.packet_keys;
        let first = hinted.unwrap_or(scratch.last_key);
        // With pinned points the ingestor chose the point by the key that the packet names. A client that seals to a new key
        // and names the old one would otherwise pin the new key to the old point, and every honest packet would fail.
        let named_alone = hinted.is_some() && !self.points.per_packet();
        let (second, others) = if named_alone {
            (first, 0..0)
        } else {
            (scratch.last_key, 0..keys.len())
        };
        let order = [first, second].into_iter().chain(others);
        let mut tried = [usize::MAX; 2];
        for (turn, place) in order.enumerate() {
            if tried.contains(&place) {
                continue;
            }
            if let Some(slot) = tried.get_mut(turn) {
                *slot = place;
            }
            match keys[place].key.open(packet.encrypted_payload, &mut scratch.plaintext) {
                Ok(_) => {
                    scratch.last_key = place;
                    return Ok(place);
                }
                Err(error) if error.may_be_another_key() => {}
                Err(_) => return Err(PacketReason::BadCiphertext),
            }
        }
        Err(PacketReason::Undecryptable)
    }
}

fn fingerprint(ciphertext: &[u8]) -> [u8; 16] {
    let digest: [u8; 32] = Sha256::digest(ciphertext).into();
    let mut short = [0; 16];
    short.copy_from_slice(&digest[..16]);
    short
}
