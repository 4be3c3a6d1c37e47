//! What prevents the addition of two sum parts: the figures of both sides, the likely cause, and the
//! next step.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;
use serde::ser::SerializeStruct as _;
use tallybox_model::id::BatchId;
use tallybox_model::role::Role;
use tallybox_transport::Disposition;
use tallybox_transport::batch::BatchError;

/// How many identifiers a message lists before it only counts the rest.
const LISTED: usize = 3;

/// The values of both sides that should be equal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Values {
    /// What differs, such as `epsilon`.
    pub field: &'static str,
    /// The first processor's value.
    pub first: String,
    /// The second processor's value.
    pub second: String,
}

/// A reason why two sum parts cannot be added.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Finding {
    /// A sum part does not exist, or is incomplete, or does not verify.
    #[error("the {writer} processor's sum part: {source}")]
    Unverified {
        /// The processor that should have written it.
        writer: Role,
        /// The reason.
        source: BatchError,
    },
    /// The file is named like one processor's sum part, but the other processor has signed it.
    #[error("{object} is named as a sum part of the {writer} processor, but the {} processor has signed it", writer.peer())]
    WrongSide {
        /// The signature object.
        object: String,
        /// The processor in the name.
        writer: Role,
        /// Why it does not verify with the keys of that processor.
        source: BatchError,
    },
    /// Both files are named as sum parts of one processor.
    #[error("both files are sum parts of the {0} processor")]
    OneSide(Role),
    /// The files are given in the wrong order.
    #[error("the files are in the wrong order: the first one is the second processor's sum part")]
    Swapped,
    /// One key has signed both parts, so one organisation alone could have made them up.
    #[error("both sum parts are signed with the same key ({fingerprint})")]
    OneKey {
        /// The fingerprint of the public key.
        fingerprint: String,
    },
    /// A header that its processor has signed is impossible.
    #[error("{object}: {problem}")]
    Malformed {
        /// The header object.
        object: String,
        /// The processor that wrote it.
        writer: Role,
        /// The problem.
        problem: String,
    },
    /// A sum part lies under the name of another window or aggregation.
    #[error("{object}: the signed header is that of {stated}")]
    Renamed {
        /// The header object.
        object: String,
        /// The processor that wrote it.
        writer: Role,
        /// Aggregation and window in the header.
        stated: String,
    },
    /// The parts are of different windows, aggregations or instances.
    #[error("the sum parts are of different {}s: {} and {}", .0.field, .0.first, .0.second)]
    OtherWindow(Values),
    /// The parts have different parameters.
    #[error("the sum parts differ in their {}: {} and {}", .0.field, .0.first, .0.second)]
    Parameters(Values),
    /// The parts contain different batches.
    #[error("the sum parts contain different batches: the first processor summed {}, the second {}{}{}",
        .counts[0], .counts[1], Listing("only the first", .only_first), Listing("only the second", .only_second))]
    Batches {
        /// Number of batches of each side.
        counts: [usize; 2],
        /// Batches that only the first processor summed.
        only_first: Vec<BatchId>,
        /// Batches that only the second processor summed.
        only_second: Vec<BatchId>,
    },
    /// The parts contain the same batches, but another number of packets.
    #[error("the sum parts count different numbers of packets: {first} and {second}")]
    Counts {
        /// The first processor's number.
        first: i64,
        /// The second processor's number.
        second: i64,
    },
    /// The parts reject different packets.
    #[error("the processors rejected different packets: {} only by the first, {} only by the second", .only[0], .only[1])]
    Rejected {
        /// Number of packets that only the first, and only the second, rejected.
        only: [usize; 2],
    },
    /// A sum is larger than the number of packets.
    #[error(
        "the sum of bin {bin} is {sum}, but only {count} packets were counted ({bins} bins are impossible)"
    )]
    OutOfRange {
        /// The first impossible bin.
        bin: usize,
        /// Its sum.
        sum: u64,
        /// Number of packets.
        count: u64,
        /// Number of impossible bins.
        bins: usize,
    },
}

impl Finding {
    /// Returns the machine-readable kind of finding.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Unverified { source, .. } => source.reason(),
            Self::WrongSide { .. } | Self::OneSide(_) | Self::Swapped => "wrong-side",
            Self::OneKey { .. } => "one-key",
            Self::Malformed { .. } => "malformed",
            Self::Renamed { .. } => "renamed",
            Self::OtherWindow(_) => "other-window",
            Self::Parameters(_) => "parameters-differ",
            Self::Batches { .. } => "batches-differ",
            Self::Counts { .. } => "counts-differ",
            Self::Rejected { .. } => "rejected-differ",
            Self::OutOfRange { .. } => "out-of-range",
        }
    }

    /// Returns whether the same parts can be added later without a change by a person.
    #[must_use]
    pub fn disposition(&self) -> Disposition {
        match self {
            Self::Unverified { source, .. } => source.disposition(),
            _ => Disposition::Reject,
        }
    }

    /// Returns the likely cause and what the reader should do next.
    #[must_use]
    pub fn next_step(&self) -> String {
        match self {
            Self::Unverified { writer, source } => unverified(*writer, source),
            Self::WrongSide { writer, .. } => format!(
                "a part was copied under the other processor's name, or the keys are swapped; get the {writer} processor's own part, and check --key"
            ),
            Self::OneSide(role) => {
                format!("name one part of each processor; this one of the {} is missing", role.peer())
            }
            Self::Swapped => "swap the two files".to_owned(),
            Self::OneKey { .. } => {
                "one organisation must never sign both parts; ask both processors for the fingerprints of their signing keys".to_owned()
            }
            Self::Malformed { writer, .. } => format!(
                "the program of the {writer} processor is faulty or dishonest; send its operator this message and the file"
            ),
            Self::Renamed { writer, .. } => format!(
                "the file was moved, or an old part was replayed; fetch the part again from the mailbox of the {writer} processor"
            ),
            Self::OtherWindow(_) => {
                "name the two parts of one window; the window is in the file name".to_owned()
            }
            Self::Parameters(values) => format!(
                "the processors did not sum the same reports; ask both operators for the {} in the headers of the window's batches",
                values.field
            ),
            Self::Batches { .. } => {
                "one processor summed the window before a batch had arrived; ask both operators to compare the batches of the window, and for a corrected part".to_owned()
            }
            Self::Counts { .. } | Self::Rejected { .. } => {
                "the processors decided differently about some packets; ask both operators to compare the rejected packets of the window".to_owned()
            }
            Self::OutOfRange { .. } => {
                "at least one part is wrong, although both are signed; do not publish, and ask both operators to compute the window again from their prepared batches".to_owned()
            }
        }
    }
}

/// Returns the likely cause and the next step for a part that does not verify.
fn unverified(writer: Role, error: &BatchError) -> String {
    match error {
        BatchError::NotThere { .. } => format!(
            "the {writer} processor has not published the window yet; wait, or ask its operator"
        ),
        BatchError::Incomplete { .. } => {
            format!(
                "a file is missing; fetch all files of the part again from the mailbox of the {writer} processor"
            )
        }
        BatchError::UnknownKey { key, .. } => format!(
            "take key {key:?} from the {writer} processor's manifest only if the manifest still lists it; a key that the manifest no longer lists is revoked"
        ),
        BatchError::BadSignature { .. } | BatchError::BadDigest { .. } => format!(
            "the file was changed after it was signed; fetch it again from the mailbox of the {writer} processor, and compare the digests with its operator"
        ),
        _ => format!("fetch the part again from the mailbox of the {writer} processor"),
    }
}

impl Serialize for Finding {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Finding", 3)?;
        fields.serialize_field("kind", self.kind())?;
        fields.serialize_field("message", &self.to_string())?;
        fields.serialize_field("next-step", &self.next_step())?;
        fields.end()
    }
}

/// All reasons why two sum parts cannot be added; at least one.
#[derive(Debug)]
pub struct Findings(pub Vec<Finding>);

impl Findings {
    /// Returns the kind of the first finding.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        self.0.first().map_or("none", Finding::kind)
    }

    /// Returns whether waiting can help: only if nothing else is wrong.
    #[must_use]
    pub fn disposition(&self) -> Disposition {
        let rejects = |finding: &Finding| finding.disposition() == Disposition::Reject;
        if self.0.iter().any(rejects) {
            Disposition::Reject
        } else {
            Disposition::Retry
        }
    }
}

impl std::error::Error for Findings {}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, finding) in self.0.iter().enumerate() {
            let separator = if number == 0 { "" } else { "; " };
            write!(f, "{separator}{finding}: {}", finding.next_step())?;
        }
        Ok(())
    }
}

impl From<Finding> for Findings {
    fn from(finding: Finding) -> Self {
        Self(vec![finding])
    }
}

/// Identifiers that only one side has, for a message.
struct Listing<'a>(&'static str, &'a [BatchId]);

impl fmt::Display for Listing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(who, batches) = self;
        for (number, batch) in batches.iter().take(LISTED).enumerate() {
            let separator = if number == 0 { "; " } else { ", " };
            let who = if number == 0 {
                format!("{who}: ")
            } else {
                String::new()
            };
            write!(f, "{separator}{who}{batch}")?;
        }
        match batches.len().saturating_sub(LISTED) {
            0 => Ok(()),
            rest => write!(f, " and {rest} more"),
        }
    }
}

/// Returns the batches that only the first, and only the second, list contains.
pub(super) fn difference(first: &[BatchId], second: &[BatchId]) -> (Vec<BatchId>, Vec<BatchId>) {
    let sets = [first, second].map(|list| list.iter().copied().collect::<BTreeSet<_>>());
    let only = |one: &BTreeSet<_>, other: &BTreeSet<_>| one.difference(other).copied().collect();
    (only(&sets[0], &sets[1]), only(&sets[1], &sets[0]))
}
