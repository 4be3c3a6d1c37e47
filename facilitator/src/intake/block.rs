//! Opens the packets of one block and evaluates their proofs, without side effects, on any core.

use super::points::BatchPoints;
use crate::processor::Processor;
use crate::reason::PacketReason;
use sha2::{Digest as _, Sha256};
use std::sync::Arc;
use tallybox_crypto::PointError;
use tallybox_crypto::ecies::PacketSecret;
use tallybox_crypto::prio2::{Evaluator, Message, Point, Prio2, Sum};
use tallybox_model::avro::AvroError;
use tallybox_model::id::PacketId;
use tallybox_model::packet::DataSharePacket;
use tallybox_transport::batch::PacketBlock;
use zeroize::Zeroizing;

/// The outcome of opening a packet. Contains shares, and so has no `Debug`.
pub enum PacketOutcome {
    /// The packet is opened and evaluated. Its share is in the block's `shares`.
    Message(Message),
    /// The packet is opened, but its key has no point yet. The whole share, to be evaluated in the
    /// order of the file.
    Unpinned {
        /// The index of the key that opens the packet.
        key: usize,
        /// The point in the packet.
        point: Point,
        /// The decrypted share.
        plaintext: Zeroizing<Vec<u8>>,
    },
    /// The packet does not count.
    Rejected(PacketReason),
}

/// A packet after the attempt to open it.
pub struct OpenedPacket {
    /// The identifier, if it is a UUID.
    pub id: Option<PacketId>,
    /// The fingerprint of the ciphertext; only in batches with a point for each packet.
    pub ciphertext: Option<[u8; 16]>,
    /// The outcome.
    pub outcome: PacketOutcome,
}

/// A block of packets after the attempt to open them.
pub struct OpenedBlock {
    /// The packets in the order of the file.
    pub packets: Vec<OpenedPacket>,
    /// The shares of the packets with a message, one after another.
    pub shares: Zeroizing<Vec<u8>>,
    /// The sum of those shares.
    pub sum: Sum,
    /// The number of packets that a key of this processor opened.
    pub opened: u64,
    /// True if a packet names a key of this processor.
    pub names_our_key: bool,
    /// The size of the records.
    pub bytes: u64,
}

/// Opens the blocks of one batch.
#[derive(Clone, Debug)]
pub struct BlockOpener {
    /// The processor, for its keys and role.
    pub processor: Arc<Processor>,
    /// Prio2 at the batch's dimension.
    pub prio2: Prio2,
    /// The evaluation points known so far.
    pub points: Arc<BatchPoints>,
}

/// Buffers that the packets of a block reuse.
struct Scratch {
    plaintext: Zeroizing<Vec<u8>>,
    elements: Zeroizing<Vec<u32>>,
    last_key: usize,
}

/// The key agreement of a packet with one of our keys, made together with others.
struct KeyAgreement {
    /// The index of the key.
    key: usize,
    /// The result; missing if this processor has no key.
    secret: Option<PacketSecret>,
}

impl BlockOpener {
    /// Opens all packets of a block.
    ///
    /// # Errors
    /// [`AvroError`] if a record is malformed. Then the whole batch is malformed.
    pub fn open(
        &self,
        block: &PacketBlock,
        limits: &tallybox_model::avro::FileLimits,
    ) -> Result<OpenedBlock, AvroError> {
        let mut opened = OpenedBlock {
            packets: Vec::with_capacity(block.block.records.min(4096) as usize),
            shares: Zeroizing::new(Vec::new()),
            sum: Sum::new(self.prio2.bins()),
            opened: 0,
            names_our_key: false,
            bytes: block.block.bytes.len() as u64,
        };
        // A share is shorter than its ciphertext, so the size of the block bounds the buffer,
        // whatever number of records the block announces.
        let room = (block.block.records as usize).saturating_mul(self.share_bytes());
        opened
            .shares
            .reserve_exact(room.min(block.block.bytes.len()));
        let mut scratch = Scratch {
            plaintext: Zeroizing::new(Vec::new()),
            elements: Zeroizing::new(Vec::new()),
            last_key: 0,
        };
        let packets = block
            .records::<DataSharePacket<'_>>(limits)
            .collect::<Result<Vec<_>, _>>()?;
        let agreements = self.agree(&packets);
        for (packet, agreement) in packets.iter().zip(&agreements) {
            let id = packet.packet_id().ok();
            let opened_packet = match id {
                Some(_) => self.packet(packet, agreement, &mut scratch, &mut opened),
                None => Err(PacketReason::BadUuid),
            };
            let outcome = opened_packet.unwrap_or_else(PacketOutcome::Rejected);
            let ciphertext = self
                .points
                .per_packet()
                .then(|| fingerprint(packet.encrypted_payload));
            opened.packets.push(OpenedPacket {
                id,
                ciphertext,
                outcome,
            });
        }
        Ok(opened)
    }

    /// Performs the key agreement of each packet with the key that most likely opens it: the one
    /// that it names, or the first. Many agreements at once take a fraction of the time of as many
    /// single ones.
    fn agree(&self, packets: &[DataSharePacket<'_>]) -> Vec<KeyAgreement> {
        let named: Vec<usize> = packets
            .iter()
            .map(|packet| self.hinted_key(packet).unwrap_or(0))
            .collect();
        let mut agreements: Vec<KeyAgreement> = named
            .iter()
            .map(|key| KeyAgreement {
                key: *key,
                secret: None,
            })
            .collect();
        for (index, key) in self.processor.keys.packet.iter().enumerate() {
            let places: Vec<usize> = (0..packets.len())
                .filter(|place| named[*place] == index)
                .collect();
            let ciphertexts: Vec<&[u8]> = places
                .iter()
                .map(|place| packets[*place].encrypted_payload)
                .collect();
            for (place, secret) in places.into_iter().zip(key.key.agree_with(&ciphertexts)) {
                agreements[place].secret = Some(secret);
            }
        }
        agreements
    }

    /// Returns the size of a share in a prepared batch.
    #[must_use]
    pub fn share_bytes(&self) -> usize {
        if self.processor.buckets.role.index() == 0 {
            4 * self.prio2.bins()
        } else {
            32
        }
    }

    /// Evaluates an opened share at a point, and adds the share to `sum`.
    ///
    /// # Errors
    /// [`PacketReason::BadShare`] if the plaintext is not a share of this dimension.
    pub fn evaluate(
        &self,
        plaintext: &[u8],
        evaluator: &Evaluator,
        sum: &mut Sum,
    ) -> Result<Message, PacketReason> {
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
        let role = self.processor.buckets.role.index();
        self.prio2
            .decode_share(role, plaintext, elements)
            .map_err(|_| PacketReason::BadShare)?;
        sum.add(&elements[..self.prio2.bins()]);
        Ok(evaluator.message(role, elements))
    }

    fn packet(
        &self,
        packet: &DataSharePacket<'_>,
        agreement: &KeyAgreement,
        scratch: &mut Scratch,
        opened: &mut OpenedBlock,
    ) -> Result<PacketOutcome, PacketReason> {
        let hinted = self.hinted_key(packet);
        opened.names_our_key |= hinted.is_some();
        let point = Point::new(packet.r_pit, &self.prio2).map_err(|error| match error {
            PointError::RootOfUnity => PacketReason::PointRootOfUnity,
            _ => PacketReason::PointOutOfRange,
        })?;
        let key = self.open_packet(packet, agreement, hinted, scratch)?;
        opened.opened += 1;
        let Some(evaluator) = self.points.evaluator(key, point, &self.prio2)? else {
            let plaintext = Zeroizing::new(scratch.plaintext.to_vec());
            return Ok(PacketOutcome::Unpinned {
                key,
                point,
                plaintext,
            });
        };
        let Scratch {
            plaintext,
            elements,
            ..
        } = scratch;
        let message = self.evaluate_into(plaintext, &evaluator, &mut opened.sum, elements)?;
        opened
            .shares
            .extend_from_slice(&plaintext[..self.share_bytes()]);
        Ok(PacketOutcome::Message(message))
    }

    /// Returns the index of the key that the packet names, if this processor has the key.
    fn hinted_key(&self, packet: &DataSharePacket<'_>) -> Option<usize> {
        let id = packet.encryption_key_id?;
        self.processor
            .keys
            .packet
            .iter()
            .position(|key| key.id == id)
    }

    /// Opens the packet into the scratch buffer: with the key that the packet names, then with the
    /// key that opened the last packet, then with the others in order.
    fn open_packet(
        &self,
        packet: &DataSharePacket<'_>,
        agreement: &KeyAgreement,
        hinted: Option<usize>,
        scratch: &mut Scratch,
    ) -> Result<usize, PacketReason> {
        let keys = &self.processor.keys.packet;
        let first = hinted.unwrap_or(scratch.last_key);
        // With pinned points the ingestor chose the point by the key that the packet names, so no
        // other key is tried. Otherwise a client that seals to a new key and names the old one
        // would pin the new key to the old point, and every honest packet under the new key would
        // fail.
        let named_alone = hinted.is_some() && !self.points.per_packet();
        let (second, others) = if named_alone {
            (first, 0..0)
        } else {
            (scratch.last_key, 0..keys.len())
        };
        let order = [first, second].into_iter().chain(others);
        let mut tried = [usize::MAX; 2];
        for (attempt, index) in order.enumerate() {
            if tried.contains(&index) {
                continue;
            }
            if let Some(slot) = tried.get_mut(attempt) {
                *slot = index;
            }
            let ciphertext = packet.encrypted_payload;
            let result = match &agreement.secret {
                Some(secret) if agreement.key == index => {
                    secret.open(ciphertext, &mut scratch.plaintext)
                }
                _ => keys[index].key.open(ciphertext, &mut scratch.plaintext),
            };
            match result {
                Ok(_) => {
                    scratch.last_key = index;
                    return Ok(index);
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
