//! The reasons for which single packets do not count. Each affects one packet and nothing else.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The fraction above which a window is reported in the log.
const ALARM_SHARE: f64 = 0.05;

/// The reason for which a packet does not count at this processor.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PacketReason {
    /// The identifier is not a UUID. The list of invalid packets cannot contain it.
    BadUuid,
    /// An earlier packet of the batch has the same identifier.
    DuplicateUuid,
    /// An earlier packet of the batch has the same ciphertext (only with a point for each packet).
    DuplicateCiphertext,
    /// The ciphertext is shorter than any sealed packet, or does not begin with a point of the
    /// curve.
    BadCiphertext,
    /// No key of this processor opens the packet.
    Undecryptable,
    /// The packet opens, but does not contain a share of this batch's dimension.
    BadShare,
    /// The evaluation point is not below the modulus.
    PointOutOfRange,
    /// The evaluation point is a root of unity, at which a message would reveal a client's answer.
    PointRootOfUnity,
    /// The evaluation point differs from the one of this ingestor's packets under this key.
    PointChanged,
    /// The peer sent no message for the packet.
    NoPeerMessage,
    /// The peer's message does not consist of field elements.
    BadPeerMessage,
    /// The proof is invalid according to both messages.
    InvalidProof,
    /// The packet counts in an earlier batch of the window.
    DuplicateInWindow,
    /// The packet is not in the validation batch that this processor published before its own
    /// record of the batch was lost.
    NotPublished,
    /// The key that opens the packet belongs to another number of bins than the batch.
    BinsChanged,
    /// Too many proofs have failed under the key that opens the packet.
    KeyWornOut,
}

impl PacketReason {
    /// All reasons, in the order of their codes in a prepared batch.
    pub const ALL: [Self; 16] = [
        Self::BadUuid,
        Self::DuplicateUuid,
        Self::DuplicateCiphertext,
        Self::BadCiphertext,
        Self::Undecryptable,
        Self::BadShare,
        Self::PointOutOfRange,
        Self::PointRootOfUnity,
        Self::PointChanged,
        Self::NoPeerMessage,
        Self::BadPeerMessage,
        Self::InvalidProof,
        Self::DuplicateInWindow,
        Self::NotPublished,
        Self::BinsChanged,
        Self::KeyWornOut,
    ];

    /// Returns the reason's code in a prepared batch.
    #[must_use]
    pub fn code(self) -> u8 {
        self as u8
    }

    /// Returns the reason with this code.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).copied()
    }

    /// Returns the reason's name in summaries and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::BadUuid => "bad-uuid",
            Self::DuplicateUuid => "duplicate-uuid",
            Self::DuplicateCiphertext => "duplicate-ciphertext",
            Self::BadCiphertext => "bad-ciphertext",
            Self::Undecryptable => "undecryptable",
            Self::BadShare => "bad-share",
            Self::PointOutOfRange => "point-out-of-range",
            Self::PointRootOfUnity => "point-root-of-unity",
            Self::PointChanged => "point-changed",
            Self::NoPeerMessage => "no-peer-message",
            Self::BadPeerMessage => "bad-peer-message",
            Self::InvalidProof => "invalid-proof",
            Self::DuplicateInWindow => "duplicate-in-window",
            Self::NotPublished => "not-published",
            Self::BinsChanged => "bins-changed",
            Self::KeyWornOut => "key-worn-out",
        }
    }

    /// Returns whether the packet repeats another one. Repetitions are not listed as invalid,
    /// because the list would then name the first packet, too.
    #[must_use]
    pub fn is_duplicate(self) -> bool {
        matches!(self, Self::DuplicateUuid | Self::DuplicateInWindow)
    }
}

impl PacketReason {
    /// Returns whether a wrong packet key, role or point of this processor makes every packet fail
    /// for this reason.
    #[must_use]
    pub fn may_be_a_wrong_key(self) -> bool {
        matches!(
            self,
            Self::Undecryptable | Self::BadShare | Self::PointChanged | Self::BinsChanged
        )
    }
}

/// The numbers of packets that do not count, by reason.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Rejections(BTreeMap<PacketReason, u64>);

impl Rejections {
    /// Adds one packet with this reason.
    pub fn add(&mut self, reason: PacketReason) {
        *self.0.entry(reason).or_default() += 1;
    }

    /// Adds the counts of another set.
    pub fn merge(&mut self, other: &Self) {
        for (reason, count) in &other.0 {
            *self.0.entry(*reason).or_default() += count;
        }
    }

    /// Returns the number of packets with this reason.
    #[must_use]
    pub fn count(&self, reason: PacketReason) -> u64 {
        self.0.get(&reason).copied().unwrap_or_default()
    }

    /// Returns the number of repetitions of other packets.
    #[must_use]
    pub fn duplicates(&self) -> u64 {
        self.0
            .iter()
            .filter(|(reason, _)| reason.is_duplicate())
            .map(|(_, count)| count)
            .sum()
    }

    /// Returns the number of packets that are not repetitions.
    #[must_use]
    pub fn rejected(&self) -> u64 {
        self.total() - self.duplicates()
    }

    /// Returns the number of all packets.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }

    /// Returns the reasons with their counts.
    pub fn iter(&self) -> impl Iterator<Item = (PacketReason, u64)> + '_ {
        self.0.iter().map(|(reason, count)| (*reason, *count))
    }
}

/// The number of packets for which this processor has a message, and how many of them do not count
/// because of the peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct PeerRejections {
    /// Packets for which we have a message.
    pub messages: u64,
    /// Packets for which the peer sent no message, or only messages with which the proof is not
    /// valid.
    pub rejected: u64,
}

impl PeerRejections {
    /// Adds the counts of a batch with this many packets that count.
    pub fn add(&mut self, accepted: u64, reasons: &Rejections) {
        let lost = [
            PacketReason::NoPeerMessage,
            PacketReason::BadPeerMessage,
            PacketReason::InvalidProof,
        ];
        let rejected: u64 = lost.into_iter().map(|reason| reasons.count(reason)).sum();
        self.messages += accepted + reasons.count(PacketReason::DuplicateInWindow) + rejected;
        self.rejected += rejected;
    }

    /// Adds a batch of which the peer rejects every packet.
    pub fn all_of(&mut self, messages: u64) {
        self.messages += messages;
        self.rejected += messages;
    }

    /// Returns the fraction of the packets with a message that do not count; 0 without messages.
    #[must_use]
    pub fn share(&self) -> f64 {
        match self.messages {
            0 => 0.0,
            messages => self.rejected as f64 / messages as f64,
        }
    }

    /// Returns whether the fraction is high enough for a report in the log.
    #[must_use]
    pub fn is_alarming(&self) -> bool {
        self.share() > ALARM_SHARE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_the_places_in_the_list() {
        for (index, reason) in PacketReason::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(reason.code()), index);
            assert_eq!(PacketReason::from_code(reason.code()), Some(reason));
            assert_eq!(
                serde_json::to_value(reason).ok(),
                Some(reason.name().into())
            );
        }
        assert_eq!(PacketReason::from_code(16), None);
    }

    #[test]
    fn the_share_is_of_packets_with_a_message() {
        let mut rejections = PeerRejections::default();
        assert!((rejections.share() - 0.0).abs() < f64::EPSILON && !rejections.is_alarming());
        rejections.all_of(5);
        rejections.messages += 95;
        assert!(!rejections.is_alarming(), "exactly at the limit");
        rejections.all_of(1);
        assert!(rejections.is_alarming());
        assert_eq!((rejections.messages, rejections.rejected), (101, 6));
    }

    #[test]
    fn a_packet_with_a_message_counts_once_whatever_becomes_of_it() {
        let mut reasons = Rejections::default();
        // The last two reasons arise before a message exists.
        for (reason, count) in [
            (PacketReason::DuplicateInWindow, 1),
            (PacketReason::NoPeerMessage, 2),
            (PacketReason::BadPeerMessage, 3),
            (PacketReason::InvalidProof, 4),
            (PacketReason::KeyWornOut, 5),
            (PacketReason::PointChanged, 6),
        ] {
            (0..count).for_each(|_| reasons.add(reason));
        }
        let mut rejections = PeerRejections::default();
        for _ in 0..2 {
            rejections.add(10, &reasons);
        }
        assert_eq!((rejections.messages, rejections.rejected), (2 * 20, 2 * 9));
    }
}
