//! Joins both processors' messages about the same packets.
//!
//! Both processors write their messages in the order of the ingestion batch. So the two streams are
//! read in parallel, and only messages that are missing, repeated or out of order wait in a map.

use crate::error::Error;
use crate::prepared::{ChunkKind, PreparedMessage, PreparedReader};
use std::collections::HashMap;
use tallybox_crypto::prio2::Message;
use tallybox_model::avro::AvroError;
use tallybox_model::id::PacketId;
use tallybox_model::packet::ValidationPacket;
use tallybox_transport::batch::PacketStream;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

/// The number of messages by which a validation batch may exceed the number of packets.
pub(super) const MOST_EXTRA_MESSAGES: u64 = 1024;
/// The memory of a message that waits for the other processor's, in bytes: its entries in growing
/// maps, its part of a block, and its place in the result.
const WAITING_MESSAGE_BYTES: u64 = 256;

/// Returns the most memory of a join of this many messages, in bytes.
pub(super) fn memory(messages: u64) -> u64 {
    messages.saturating_mul(WAITING_MESSAGE_BYTES)
}

/// The result of the join: the packets of one batch, by the outcome of their check.
#[derive(Debug, Default)]
pub struct Joined {
    /// Packets with a valid proof: their positions among the messages of this processor, and their
    /// identifiers. Sorted by position.
    pub valid: Vec<(u64, PacketId)>,
    /// Packets whose proof is invalid.
    pub invalid_proof: Vec<(u64, PacketId)>,
    /// Packets for which the peer's message does not consist of field elements.
    pub bad_peer_message: Vec<(u64, PacketId)>,
    /// Packets for which the peer sent no message.
    pub no_peer_message: Vec<(u64, PacketId)>,
    /// The number of the peer's messages that match no message of this processor, or that repeat
    /// one.
    pub unmatched_peer_messages: u64,
}

impl Joined {
    /// Returns the number of packets for which both messages exist, valid or not.
    #[must_use]
    pub fn both_messages(&self) -> u64 {
        (self.valid.len() + self.invalid_proof.len() + self.bad_peer_message.len()) as u64
    }
}

/// A join in progress: the messages that wait for the other processor's.
#[derive(Debug, Default)]
pub struct Join {
    ours: HashMap<PacketId, (u64, Message)>,
    theirs: HashMap<PacketId, ValidationPacket>,
    next: u64,
    joined: Joined,
}

impl Join {
    /// Adds the next message of this processor, in the order of the prepared batch.
    pub fn ours(&mut self, item: PreparedMessage) {
        let index = self.next;
        self.next += 1;
        match self.theirs.remove(&item.id) {
            Some(theirs) => self.decide(index, item.id, item.message, &theirs),
            None => drop(self.ours.insert(item.id, (index, item.message))),
        }
    }

    /// Adds the peer's next message. Only the first message about a packet counts.
    pub fn theirs(&mut self, packet: ValidationPacket) {
        match self.ours.remove(&packet.id) {
            Some((index, message)) => self.decide(index, packet.id, message, &packet),
            None => drop(self.theirs.entry(packet.id).or_insert(packet)),
        }
    }

    /// Adds one message of each processor; faster if both are about the same packet.
    pub fn both(&mut self, ours: PreparedMessage, theirs: ValidationPacket) {
        // If an earlier message about this packet waits, that one counts.
        if ours.id == theirs.id && !self.theirs.contains_key(&ours.id) {
            let index = self.next;
            self.next += 1;
            self.decide(index, ours.id, ours.message, &theirs);
        } else {
            self.ours(ours);
            self.theirs(theirs);
        }
    }

    /// Returns the result after both streams have ended.
    #[must_use]
    pub fn finish(mut self) -> Joined {
        self.joined.unmatched_peer_messages = self.theirs.len() as u64;
        self.joined.no_peer_message = self
            .ours
            .into_iter()
            .map(|(id, (index, _))| (index, id))
            .collect();
        // Messages match in any order, and maps iterate in random order.
        for list in [&mut self.joined.valid, &mut self.joined.no_peer_message] {
            list.sort_unstable();
        }
        self.joined
    }

    fn decide(&mut self, index: u64, id: PacketId, ours: Message, theirs: &ValidationPacket) {
        let list = match Message::new(theirs.f_r, theirs.g_r, theirs.h_r) {
            Err(_) => &mut self.joined.bad_peer_message,
            Ok(theirs) if ours.is_valid_with(&theirs) => &mut self.joined.valid,
            Ok(_) => &mut self.joined.invalid_proof,
        };
        list.push((index, id));
    }
}

/// Runs a join until the digest of the peer's packet file is verified. The file may contain at most
/// `most` messages. Has to run on a blocking thread.
pub(super) fn join(
    prepared: &PreparedReader,
    mut packets: PacketStream,
    most: u64,
    runtime: &Handle,
    cancellation: &CancellationToken,
) -> Result<Joined, Error> {
    let mut ours = Ours {
        prepared,
        runtime,
        chunks: prepared.chunks(ChunkKind::Messages),
        chunk: 0,
        items: Vec::new().into_iter(),
    };
    let mut join = Join::default();
    let limits = packets.limits().clone();
    let mut messages = 0_u64;
    while let Some(block) = packets.next_block()? {
        messages = messages.saturating_add(block.block.records);
        if messages > most {
            let object = packets.object().to_owned();
            return Err(Error::TooManyMessages { object, most });
        }
        if cancellation.is_cancelled() {
            return Err(Error::Internal(
                "the join with the peer's messages was cancelled".to_owned(),
            ));
        }
        if let Err(error) = join_block(&mut join, &mut ours, block.records(&limits)) {
            return Err(match error {
                Failure::Record(error) => packets.blame_record(error).into(),
                Failure::Other(error) => error,
            });
        }
    }
    packets.finish()?;
    // The peer may have sent fewer messages.
    while let Some(item) = ours.next()? {
        join.ours(item);
    }
    Ok(join.finish())
}

/// The cause for which a block of the peer's messages cannot be joined.
enum Failure {
    /// A record is malformed.
    Record(AvroError),
    /// Reading the prepared batch failed.
    Other(Error),
}

fn join_block(
    join: &mut Join,
    ours: &mut Ours<'_>,
    records: impl Iterator<Item = Result<ValidationPacket, AvroError>>,
) -> Result<(), Failure> {
    for theirs in records {
        let theirs = theirs.map_err(Failure::Record)?;
        match ours.next().map_err(Failure::Other)? {
            Some(item) => join.both(item, theirs),
            None => join.theirs(theirs),
        }
    }
    Ok(())
}

/// The messages of this processor, read one chunk at a time.
struct Ours<'a> {
    prepared: &'a PreparedReader,
    runtime: &'a Handle,
    chunks: Vec<u32>,
    chunk: usize,
    items: std::vec::IntoIter<PreparedMessage>,
}

impl Ours<'_> {
    fn next(&mut self) -> Result<Option<PreparedMessage>, Error> {
        loop {
            if let Some(item) = self.items.next() {
                return Ok(Some(item));
            }
            let Some(chunk) = self.chunks.get(self.chunk) else {
                return Ok(None);
            };
            self.items = self
                .runtime
                .block_on(self.prepared.messages(*chunk))?
                .into_iter();
            self.chunk += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use rand::seq::SliceRandom as _;

    fn id(i: u8) -> PacketId {
        PacketId::from_bytes([i; 16])
    }

    /// The sums over both processors satisfy f * g = h: 2 * 3 = 6.
    fn ours(i: u8) -> PreparedMessage {
        PreparedMessage {
            id: id(i),
            message: Message { f: 1, g: 1, h: 1 },
        }
    }

    fn theirs(i: u8, h_r: i64) -> ValidationPacket {
        ValidationPacket {
            id: id(i),
            f_r: 1,
            g_r: 2,
            h_r,
        }
    }

    #[test]
    fn the_order_in_which_messages_come_does_not_matter() {
        let mut random = rand::rng();
        for _ in 0..50 {
            let mut peer: Vec<u8> = (0..20).filter(|i| i % 7 != 3).chain(30..33).collect();
            peer.shuffle(&mut random);
            let mut join = Join::default();
            let (mut mine, mut peer) = (
                0..20,
                peer.into_iter()
                    .map(|i| theirs(i, if i == 5 { 4 } else { 5 })),
            );
            loop {
                match (mine.next(), peer.next()) {
                    (Some(i), Some(packet)) => join.both(ours(i), packet),
                    (Some(i), None) => join.ours(ours(i)),
                    (None, Some(packet)) => join.theirs(packet),
                    (None, None) => break,
                }
            }
            let joined = join.finish();
            let indices =
                |list: &[(u64, PacketId)]| list.iter().map(|(index, _)| *index).collect::<Vec<_>>();
            assert_eq!(
                indices(&joined.valid),
                [0, 1, 2, 4, 6, 7, 8, 9, 11, 12, 13, 14, 15, 16, 18, 19]
            );
            assert_eq!(joined.invalid_proof, [(5, id(5))]);
            assert_eq!(indices(&joined.no_peer_message), [3, 10, 17]);
            assert_eq!(joined.unmatched_peer_messages, 3);
        }
    }

    #[test]
    fn the_first_of_a_peers_messages_counts_wherever_it_stands() {
        for ours_at in 0..3 {
            let mut join = Join::default();
            for (turn, packet) in [theirs(1, 5), theirs(1, 99), theirs(2, 5)]
                .into_iter()
                .enumerate()
            {
                if turn == ours_at {
                    join.both(ours(1), packet);
                } else {
                    join.theirs(packet);
                }
            }
            let joined = join.finish();
            assert_eq!(joined.valid, [(0, id(1))], "ours came at {ours_at}");
        }
    }

    #[test]
    fn a_message_that_is_no_field_element_costs_its_packet() {
        let mut join = Join::default();
        join.both(ours(1), theirs(1, -1));
        join.both(ours(2), theirs(2, 1 << 32));
        join.both(ours(3), theirs(3, 5));
        let joined = join.finish();
        assert_eq!((joined.bad_peer_message.len(), joined.valid.len()), (2, 1));
    }

    #[test]
    fn every_packet_with_two_messages_counts_for_the_predecessor() {
        let mut join = Join::default();
        for i in 0..8 {
            // Three valid proofs, two invalid ones, one bad message, two without a message.
            match i {
                0..3 => join.both(ours(i), theirs(i, 5)),
                3..5 => join.both(ours(i), theirs(i, 4)),
                5 => join.both(ours(i), theirs(i, -1)),
                _ => join.ours(ours(i)),
            }
        }
        assert_eq!(join.finish().both_messages(), 6);
    }
}
