//! What can be wrong with a report, element by element.

use std::fmt::{self, Display};

use tallybox_crypto::Prio2Error;
use tallybox_model::report::json::JsonReportError;
use thiserror::Error;

/// Whose share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The first processor's.
    First,
    /// The second processor's.
    Second,
}

impl Which {
    /// Both, in order.
    pub const BOTH: [Self; 2] = [Self::First, Self::Second];

    /// The place of the share in a report.
    #[must_use]
    pub fn index(self) -> usize {
        match self {
            Self::First => 0,
            Self::Second => 1,
        }
    }
}

impl Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::First => "First",
            Self::Second => "Second",
        })
    }
}

/// The first wrong element of a report. Section numbers are those of `docs/clients.md`, unless another page is named.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Fault {
    /// No report as section 4 has it.
    #[error("the report cannot be read (section 4)")]
    NotAReport(#[source] serde_json::Error),
    /// A member that is not what it should be.
    #[error("the report cannot be read (section 4)")]
    Member(#[source] JsonReportError),
    /// A metric that neither the vectors nor the configuration has.
    #[error("metricName is {found:?}: there is no such metric; known are {known}")]
    Metric {
        /// The name.
        found: String,
        /// The names that are known.
        known: String,
    },
    /// A number of bins that Prio2 does not have.
    #[error("the metric's number of bins is not one that can be split")]
    Bins(#[source] Prio2Error),
    /// No random UUID.
    #[error("payload.uuid is {found:?}: it has to be a UUID of version 4, in lower case with hyphens")]
    Id {
        /// The id.
        found: String,
    },
    /// A parameter is not the metric's.
    #[error("payload.{member} is {found}, not {expected}: copy it from the configuration")]
    Parameter {
        /// The member below `payload`.
        member: &'static str,
        /// What it is.
        found: String,
        /// What it should be.
        expected: String,
    },
    /// The ids are in the wrong order.
    #[error("encryptionKeyId: the key ids are exchanged; First's share and key id come first")]
    KeyIdsExchanged,
    /// Another key id than the metric's.
    #[error("encryptionKeyId of the share for {which} is {found:?}, not {expected:?}")]
    KeyId {
        /// Whose.
        which: Which,
        /// The id.
        found: String,
        /// The right one.
        expected: String,
    },
    /// The shares are in the wrong order.
    #[error("payload: the sealed shares are exchanged; First's, the longer one unless there are few bins, comes first")]
    SharesExchanged,
    /// A sealed share of another length.
    #[error(
        "the sealed share for {which} has {found} bytes, not {expected}: 65 of the ephemeral point, {plaintext} of the \
         ciphertext, 16 of the tag (section 3, Seal)"
    )]
    SealedLength {
        /// Whose.
        which: Which,
        /// Its bytes.
        found: usize,
        /// The right number.
        expected: usize,
        /// Bytes of the share before it is sealed.
        plaintext: usize,
    },
    /// No uncompressed point at the front.
    #[error(
        "the sealed share for {which} does not begin with an uncompressed point of P-256: 65 bytes, the first is 04 \
         (formats.md, section 6)"
    )]
    NotAPoint {
        /// Whose.
        which: Which,
    },
    /// One ephemeral key for both shares.
    #[error("both sealed shares have the same ephemeral key: make a fresh one for each (section 3, Seal)")]
    SameEphemeral,
    /// Sealed to the peer's key.
    #[error("the sealed share for {which} is sealed to the key of the other processor")]
    OtherKey {
        /// Whose.
        which: Which,
    },
    /// The tag does not fit.
    #[error(
        "the sealed share for {which} does not open: the point and the lengths are right, so look at the recipient's \
         key, at the key derivation (SHA-256 of z, 00000001 and the ephemeral point) and at the nonce of 16 bytes \
         (formats.md, section 6)"
    )]
    Tag {
        /// Whose.
        which: Which,
    },
    /// An element that is no field element.
    #[error(
        "the share for First: element {index} ({name}) is {value}, which is not below p: four little-endian bytes an \
         element, taken modulo p (section 3, Split)"
    )]
    Element {
        /// Its place, from 0.
        index: usize,
        /// What it is.
        name: String,
        /// Its value.
        value: u32,
    },
    /// A bin that is neither 0 nor 1.
    #[error(
        "the shares add to {value} in bin {bin}, which is neither 0 nor 1: look at the generator (a word from p on is \
         discarded) and at the difference modulo p (section 3, Split)"
    )]
    NotABit {
        /// The bin, from 0.
        bin: usize,
        /// What both shares add to.
        value: u32,
    },
    /// The proof does not hold.
    #[error("the proof does not hold: element {index} ({name}) is {found}, not {expected} (formats.md, section 7)")]
    Proof {
        /// The first element that is wrong, from 0.
        index: usize,
        /// What it is.
        name: String,
        /// What both shares add to.
        found: u32,
        /// What follows from the bins, f0 and g0.
        expected: u32,
    },
    /// Right in itself, and not the vector's.
    #[error("{element} is not that of the vector: {found}, not {expected}")]
    Vector {
        /// What differs.
        element: String,
        /// What it is.
        found: String,
        /// What the vector has.
        expected: String,
    },
}

impl Fault {
    pub(super) fn parameter(member: &'static str, found: impl Display, expected: impl Display) -> Self {
        Self::Parameter {
            member,
            found: found.to_string(),
            expected: expected.to_string(),
        }
    }

    /// A word for machines.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NotAReport(_) | Self::Member(_) => "not-a-report",
            Self::Metric { .. } => "metric",
            Self::Bins(_) => "bins",
            Self::Id { .. } => "uuid",
            Self::Parameter { .. } => "parameter",
            Self::KeyIdsExchanged => "key-ids-exchanged",
            Self::KeyId { .. } => "key-id",
            Self::SharesExchanged => "shares-exchanged",
            Self::SealedLength { .. } => "sealed-length",
            Self::NotAPoint { .. } => "not-a-point",
            Self::SameEphemeral => "same-ephemeral",
            Self::OtherKey { .. } => "other-key",
            Self::Tag { .. } => "tag",
            Self::Element { .. } => "element",
            Self::NotABit { .. } => "not-a-bit",
            Self::Proof { .. } => "proof",
            Self::Vector { .. } => "vector",
        }
    }
}
