//! Hostile packets in the mix: what a lying client or ingestor may try, and what has to become of it.

use std::fmt;

use serde::{Serialize, Serializer};
use tallybox_client::ClientError;
use tallybox_client::traffic::{Generated, Hostility, Traffic, Verdict};
use tallybox_crypto::prio2::MODULUS;
use tallybox_facilitator::reason::PacketReason;
use tallybox_model::id::PacketId;
use tallybox_model::path::BatchName;
use tallybox_model::role::Role;

/// A kind of hostile packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attack {
    /// A client's doing.
    Client(Hostility),
    /// An ingestor's: a good packet under another point than all the others.
    OtherPoint,
    /// An ingestor's: a good packet with a point that is not below the modulus.
    PointOutOfRange,
    /// An ingestor's: a good packet at a root of unity, where a processor would read off a client's bit.
    RootOfUnity,
    /// An ingestor's: packet `of` of an earlier batch of the window once more.
    Replay {
        /// Traffic index of the packet.
        of: u64,
    },
}

/// What a processor does with a packet at intake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It sends its peer a message about it.
    Message,
    /// It does not.
    Rejected(PacketReason),
}

/// What becomes of a packet in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// It is in the sum.
    Counted,
    /// It is not.
    NotCounted,
    /// It is not, but the packet that had its id first is.
    FirstOneCounted,
}

/// What became of a packet, or has to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fate {
    /// What each processor did, in order of their index.
    pub intake: [Answer; 2],
    /// What came of it.
    pub ending: Ending,
}

/// A hostile packet that was sent.
#[derive(Debug, Clone)]
pub struct Sent {
    /// What is wrong with it.
    pub attack: Attack,
    /// Its identifier.
    pub id: PacketId,
    /// The batch it is in.
    pub batch: BatchName,
}

impl Attack {
    /// Every kind, with `of` as the packet of the same batch whose id is taken, and `replayed` of an earlier batch.
    #[must_use]
    pub fn every(of: u64, replayed: u64) -> Vec<Self> {
        let clients = Hostility::every(of).into_iter().map(Self::Client);
        let ingestors = [
            Self::OtherPoint,
            Self::PointOutOfRange,
            Self::RootOfUnity,
            Self::Replay { of: replayed },
        ];
        clients.chain(ingestors).collect()
    }

    /// Who would do this.
    #[must_use]
    pub fn by(self) -> &'static str {
        match self {
            Self::Client(_) => "client",
            _ => "ingestor",
        }
    }

    /// Makes the packet from the honest one of this traffic index.
    ///
    /// # Errors
    /// As [`Traffic::packet`] and [`Traffic::hostile`].
    pub fn make(self, traffic: &Traffic, index: u64) -> Result<Generated, ClientError> {
        match self {
            Self::Client(hostility) => traffic.hostile(index, hostility),
            Self::Replay { of } => traffic.packet(of),
            Self::OtherPoint | Self::PointOutOfRange | Self::RootOfUnity => traffic.packet(index),
        }
    }

    /// The evaluation point it comes with, where it should be `point`.
    #[must_use]
    pub fn point(self, point: i64) -> i64 {
        match self {
            Self::Client(_) | Self::Replay { .. } => point,
            // Safe at any number of bins, and hardly ever the right one.
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

    /// Whether it is counted after all, because nothing is really wrong with it.
    #[must_use]
    pub fn is_counted(self) -> bool {
        matches!(self, Self::Client(hostility) if hostility.verdict() == Verdict::Counted)
    }

    /// Whether it repeats an identifier of its own batch.
    #[must_use]
    pub fn repeats_in_batch(self) -> bool {
        matches!(self, Self::Client(Hostility::DuplicateId { .. }))
    }

    /// Whether what became of it is what has to. Which of several good reasons a processor names does not matter
    /// here; that it rejects does.
    #[must_use]
    pub fn deserves(self, fate: &Fate) -> bool {
        let rejecting = |role: &Role| matches!(fate.intake[role.index()], Answer::Rejected(_));
        let rejecting: Vec<Role> = Role::ALL.into_iter().filter(rejecting).collect();
        let (roles, ending): (&[Role], Ending) = match self {
            Self::Replay { .. } => (&[], Ending::FirstOneCounted),
            Self::OtherPoint | Self::PointOutOfRange | Self::RootOfUnity => (&Role::ALL, Ending::NotCounted),
            Self::Client(hostility) => match hostility.verdict() {
                Verdict::Counted => (&[], Ending::Counted),
                Verdict::RejectedTogether => (&[], Ending::NotCounted),
                Verdict::RejectedAtIntake(roles) => (roles, Ending::NotCounted),
                Verdict::Duplicate => (&Role::ALL, Ending::FirstOneCounted),
                // A verdict that this version does not know is never deserved.
                _ => return false,
            },
        };
        rejecting == roles && fate.ending == ending
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

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Message => f.write_str("message"),
            Self::Rejected(reason) => {
                let name = serde_json::to_value(reason).ok();
                f.write_str(name.as_ref().and_then(serde_json::Value::as_str).unwrap_or("rejected"))
            }
        }
    }
}

impl Serialize for Answer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for Fate {
    /// The verdict in a few words.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.ending, self.intake) {
            (Ending::Counted, _) => "counted",
            (Ending::FirstOneCounted, _) => "counted once",
            (Ending::NotCounted, [Answer::Message, Answer::Message]) => "proof fails",
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
        let out = Answer::Rejected(PacketReason::PointChanged);
        let rejected = Fate {
            intake: [out, out],
            ending: Ending::NotCounted,
        };
        let counted = Fate {
            intake: [Answer::Message; 2],
            ending: Ending::Counted,
        };
        let unknown_key = Attack::Client(Hostility::UnknownKeyId(Role::First));
        assert!(Attack::OtherPoint.deserves(&rejected) && !Attack::OtherPoint.deserves(&counted));
        assert!(unknown_key.deserves(&counted) && !unknown_key.deserves(&rejected));
        let half = Fate {
            intake: [out, Answer::Message],
            ending: Ending::NotCounted,
        };
        assert!(!Attack::RootOfUnity.deserves(&half));
        assert!(Attack::Client(Hostility::NotInField).deserves(&half));
    }

    #[test]
    fn every_kind_has_a_name_of_its_own() {
        let mut names: Vec<String> = Attack::every(0, 0).iter().map(ToString::to_string).collect();
        let all = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), all);
        assert_eq!(Answer::Rejected(PacketReason::BadShare).to_string(), "bad-share");
    }

    #[test]
    fn points_of_attacks_are_bad_in_their_way() {
        for point in [5, 12_345] {
            assert_ne!(Attack::OtherPoint.point(point), point);
            assert_eq!(Attack::Replay { of: 0 }.point(point), point);
        }
        assert_eq!(Attack::PointOutOfRange.point(5), i64::from(MODULUS));
    }
}
