//! Hostile packets of a dishonest client or ingestor, and their expected outcomes.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;
use tallybox_client::ClientError;
use tallybox_client::traffic::{ExpectedOutcome, Generated, Hostility, Traffic};
use tallybox_crypto::prio2::MODULUS;
use tallybox_facilitator::reason::PacketReason;
use tallybox_model::id::PacketId;
use tallybox_model::path::BatchName;
use tallybox_model::role::Role;

use crate::serve::{IntakeRecord, ProcessorStatus};

/// The reason for a packet with the id of an earlier packet of its batch.
const REPEATED: PacketReason = PacketReason::DuplicateUuid;

/// A kind of hostile packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attack {
    /// Made by a client.
    Client(Hostility),
    /// Made by an ingestor: a valid packet with another evaluation point than the others.
    OtherPoint,
    /// Made by an ingestor: a valid packet with a point that is not below the modulus.
    PointOutOfRange,
    /// Made by an ingestor: a valid packet at a root of unity, where a processor could read a
    /// client's bit.
    RootOfUnity,
    /// Made by an ingestor: packet `original` of an earlier batch of the window, repeated.
    Replay {
        /// Traffic index of the packet.
        original: u64,
    },
}

/// The final outcome of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// The packet is in the sum.
    Counted,
    /// The packet is not in the sum.
    NotCounted,
    /// The packet is not in the sum, but the packet that used its id first is.
    FirstOneCounted,
}

/// The actual or expected outcome of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PacketStatus {
    /// The results of intake at both processors, in order of their index.
    pub intake: [ProcessorStatus; 2],
    /// The final outcome.
    pub ending: Ending,
}

/// A hostile packet that was sent.
#[derive(Debug, Clone)]
pub struct Sent {
    /// The kind of attack.
    pub attack: Attack,
    /// Its identifier.
    pub id: PacketId,
    /// The batch that contains it.
    pub batch: BatchName,
}

impl Attack {
    /// Returns every kind. `original` is the packet of the same batch whose id is copied, and
    /// `replayed` a packet of an earlier batch.
    #[must_use]
    pub fn every(original: u64, replayed: u64) -> Vec<Self> {
        let clients = Hostility::every(original).into_iter().map(Self::Client);
        let ingestors = [
            Self::OtherPoint,
            Self::PointOutOfRange,
            Self::RootOfUnity,
            Self::Replay { original: replayed },
        ];
        clients.chain(ingestors).collect()
    }

    /// Returns the party that would send such a packet.
    #[must_use]
    pub fn by(self) -> &'static str {
        match self {
            Self::Client(_) => "client",
            _ => "ingestor",
        }
    }

    /// Makes the packet from the honest packet with this traffic index.
    ///
    /// # Errors
    /// As [`Traffic::packet`] and [`Traffic::hostile`].
    pub fn make(self, traffic: &Traffic, index: u64) -> Result<Generated, ClientError> {
        match self {
            Self::Client(hostility) => traffic.hostile(index, hostility),
            Self::Replay { original } => traffic.packet(original),
            Self::OtherPoint | Self::PointOutOfRange | Self::RootOfUnity => traffic.packet(index),
        }
    }

    /// Returns the evaluation point of the packet, where `point` is the correct one.
    #[must_use]
    pub fn point(self, point: i64) -> i64 {
        match self {
            Self::Client(_) | Self::Replay { .. } => point,
            // Valid for any number of bins, and almost never the correct point.
            Self::OtherPoint => {
                if point == 12_345 {
                    12_346
                } else {
                    12_345
                }
            }
            Self::PointOutOfRange => i64::from(MODULUS),
            Self::RootOfUnity => 1,
        }
    }

    /// Returns whether the packet is counted, because it is in fact valid.
    #[must_use]
    pub fn is_counted(self) -> bool {
        matches!(self, Self::Client(hostility) if hostility.expected_outcome() == ExpectedOutcome::Counted)
    }

    /// Returns whether the packet repeats an id of its own batch.
    #[must_use]
    pub fn repeats_in_batch(self) -> bool {
        matches!(self, Self::Client(Hostility::DuplicateId { .. }))
    }

    /// Returns whether the packet has the id of a packet that was sent before.
    #[must_use]
    pub fn repeats_an_id(self) -> bool {
        self.repeats_in_batch() || matches!(self, Self::Replay { .. })
    }

    /// Returns whether this outcome is the expected one. If several reasons apply to a packet, a
    /// processor may name any of them; the check covers only that it rejects.
    #[must_use]
    pub fn expects(self, status: &PacketStatus) -> bool {
        let rejecting = |role: &Role| status.intake[role.index()].reason.is_some();
        let rejecting: Vec<Role> = Role::ALL.into_iter().filter(rejecting).collect();
        let (roles, ending): (&[Role], Ending) = match self {
            Self::Replay { .. } => (&[], Ending::FirstOneCounted),
            Self::OtherPoint | Self::PointOutOfRange | Self::RootOfUnity => {
                (&Role::ALL, Ending::NotCounted)
            }
            Self::Client(hostility) => match hostility.expected_outcome() {
                ExpectedOutcome::Counted => (&[], Ending::Counted),
                ExpectedOutcome::RejectedTogether => (&[], Ending::NotCounted),
                ExpectedOutcome::RejectedAtIntake(roles) => (roles, Ending::NotCounted),
                ExpectedOutcome::Duplicate => (&Role::ALL, Ending::FirstOneCounted),
                // An outcome that a later version of the client library adds is unknown here, so
                // the check fails.
                _ => return false,
            },
        };
        rejecting == roles && status.ending == ending
    }
}

impl PacketStatus {
    /// Determines the actual outcome of a packet from both processors' records of the intake of its
    /// batch, and from the packets that the sum does not count. `repeating` is the number of
    /// packets in the batch that repeat an id of the batch.
    pub(crate) fn observe(
        sent: &Sent,
        repeating: u64,
        records: [&IntakeRecord; 2],
        invalid: &BTreeSet<PacketId>,
    ) -> Self {
        let intake = records.map(|record| {
            // Repeated ids are counted but not listed in the records. If the count is as expected,
            // each of them was detected.
            let is_detected = sent.attack.repeats_in_batch() && record.repeated == repeating;
            let listed = record.rejected.get(&sent.id).copied();
            ProcessorStatus::from(if is_detected { Some(REPEATED) } else { listed })
        });
        // The audit has found that each sum counts every id once.
        let is_repeated = match sent.attack {
            Attack::Replay { .. } => true,
            _ => intake.iter().all(|status| status.reason == Some(REPEATED)),
        };
        let ending = match (invalid.contains(&sent.id), is_repeated) {
            (true, _) => Ending::NotCounted,
            (false, true) => Ending::FirstOneCounted,
            (false, false) => Ending::Counted,
        };
        Self { intake, ending }
    }
}

impl fmt::Display for Attack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(hostility) => hostility.fmt(f),
            Self::OtherPoint => f.write_str("other-point"),
            Self::PointOutOfRange => f.write_str("point-out-of-range"),
            Self::RootOfUnity => f.write_str("root-of-unity"),
            Self::Replay { .. } => f.write_str("replay"),
        }
    }
}

impl fmt::Display for PacketStatus {
    /// Writes the outcome in a few words.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.ending, self.intake) {
            (Ending::Counted, _) => "counted",
            (Ending::FirstOneCounted, _) => "counted once",
            (Ending::NotCounted, [first, second]) if first.reason.or(second.reason).is_none() => {
                "proof fails"
            }
            (Ending::NotCounted, _) => "out",
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn a_fate_has_to_be_the_right_one() {
        let out = ProcessorStatus::from(Some(PacketReason::PointChanged));
        let message = ProcessorStatus::from(None);
        let rejected = PacketStatus {
            intake: [out, out],
            ending: Ending::NotCounted,
        };
        let counted = PacketStatus {
            intake: [message; 2],
            ending: Ending::Counted,
        };
        let unknown_key = Attack::Client(Hostility::UnknownKeyId(Role::First));
        assert!(Attack::OtherPoint.expects(&rejected) && !Attack::OtherPoint.expects(&counted));
        assert!(unknown_key.expects(&counted) && !unknown_key.expects(&rejected));
        let half = PacketStatus {
            intake: [out, message],
            ending: Ending::NotCounted,
        };
        assert!(!Attack::RootOfUnity.expects(&half));
        assert!(Attack::Client(Hostility::NotInField).expects(&half));
    }

    #[test]
    fn every_kind_has_a_name_of_its_own() {
        let mut names: Vec<String> = Attack::every(0, 0)
            .iter()
            .map(ToString::to_string)
            .collect();
        let all = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), all);
        assert_eq!(
            ProcessorStatus::from(Some(PacketReason::BadShare)).to_string(),
            "bad-share"
        );
    }

    #[test]
    fn points_of_attacks_are_bad_in_their_way() {
        for point in [5, 12_345] {
            assert_ne!(Attack::OtherPoint.point(point), point);
            assert_eq!(Attack::Replay { original: 0 }.point(point), point);
        }
        assert_eq!(Attack::PointOutOfRange.point(5), i64::from(MODULUS));
    }
}
