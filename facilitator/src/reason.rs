//! Why one packet is not counted. Each costs that packet and nothing else.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Why a packet is not counted by this processor.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PacketReason {
    /// Its identifier is not a UUID. It cannot be named in the list of invalid packets.
    BadUuid,
    /// Its identifier stands earlier in the batch.
    DuplicateUuid,
    /// The same ciphertext stands earlier in the batch (only with a point a packet).
    DuplicateCiphertext,
    /// It is shorter than any sealed packet, or does not begin with a point of the curve.
    BadCiphertext,
    /// None of our keys opens it.
    Undecryptable,
    /// It opens, but is not a share of this batch's dimension.
    BadShare,
    /// Its evaluation point is not below the modulus.
    PointOutOfRange,
    /// Its evaluation point is a root of unity, where a message would be a client's answer.
    PointRootOfUnity,
    /// Its evaluation point is not the one that this ingestor's packets have under this key.
    PointChanged,
    /// The peer sent no message for it.
    NoPeerMessage,
    /// The peer's message is not one of field elements.
    BadPeerMessage,
    /// Both messages together say that the proof is wrong.
    InvalidProof,
    /// It is counted in an earlier batch of the window.
    DuplicateInWindow,
    /// It is not in the validation that we published before our own record of the batch was lost.
    NotPublished,
    /// The key that opens it belongs to another number of bins than the batch has.
    BinsChanged,
    /// Too many proofs have failed under the key that opens it.
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

    /// The reason's code in a prepared batch.
    #[must_use]
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The reason of this code.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).copied()
    }

    /// Its name in summaries and metrics.
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

    /// Whether the packet is a repetition of one that is dealt with elsewhere, and so is not listed as invalid.
    #[must_use]
    pub fn is_duplicate(self) -> bool {
        matches!(self, Self::DuplicateUuid | Self::DuplicateInWindow)
    }
}

impl PacketReason {
    /// Whether a wrong packet key, role or point of ours makes every packet fail for this reason.
    #[must_use]
    pub fn may_be_a_wrong_key(self) -> bool {
        matches!(
            self,
            Self::Undecryptable | Self::BadShare | Self::PointChanged | Self::BinsChanged
        )
    }
}

/// How many packets were not counted, by reason.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Rejections(BTreeMap<PacketReason, u64>);

impl Rejections {
    /// One more packet for this reason.
    pub fn add(&mut self, reason: PacketReason) {
        *self.0.entry(reason).or_default() += 1;
    }

    /// Takes over the counts of another part.
    pub fn merge(&mut self, other: &Self) {
        for (reason, count) in &other.0 {
            *self.0.entry(*reason).or_default() += count;
        }
    }

    /// How many for this reason.
    #[must_use]
    pub fn count(&self, reason: PacketReason) -> u64 {
        self.0.get(&reason).copied().unwrap_or_default()
    }

    /// Repetitions: packets that are dealt with elsewhere.
    #[must_use]
    pub fn duplicates(&self) -> u64 {
        self.0
            .iter()
            .filter(|(reason, _)| reason.is_duplicate())
            .map(|(_, count)| count)
            .sum()
    }

    /// All but repetitions.
    #[must_use]
    pub fn rejected(&self) -> u64 {
        self.total() - self.duplicates()
    }

    /// All.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }

    /// The reasons with their counts.
    pub fn iter(&self) -> impl Iterator<Item = (PacketReason, u64)> + '_ {
        self.0.iter().map(|(reason, count)| (*reason, *count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_the_places_in_the_list() {
        for (place, reason) in PacketReason::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(reason.code()), place);
            assert_eq!(PacketReason::from_code(reason.code()), Some(reason));
            assert_eq!(serde_json::to_value(reason).ok(), Some(reason.name().into()));
        }
        assert_eq!(PacketReason::from_code(16), None);
    }
}
