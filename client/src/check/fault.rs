//! The errors that a report can contain, element by element.

use std::fmt::{self, Display};

use tallybox_crypto::Prio2Error;
use tallybox_model::report::json::JsonReportError;
use thiserror::Error;

/// The processor of a share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The first processor's.
    First,
    /// The second processor's.
    Second,
}

impl Which {
    /// Both processors, in order.
    pub const BOTH: [Self; 2] = [Self::First, Self::Second];

    /// Returns the index of the share in a report.
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

/// The first wrong element of a report. Section numbers refer to `docs/clients.md`, unless another
/// document is named.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReportFault {
    /// The text is not a report as described in section 4.
    #[error("the report cannot be read (section 4)")]
    NotAReport(#[source] serde_json::Error),
    /// A member of the JSON object has the wrong form.
    #[error("the report cannot be read (section 4)")]
    Member(#[source] JsonReportError),
    /// Neither the vectors nor the configuration contain the metric.
    #[error("metricName is {found:?}, an unknown metric; known metrics are {available}")]
    Metric {
        /// The name.
        found: String,
        /// The known names.
        available: String,
    },
    /// Prio2 does not support the number of bins.
    #[error("the metric's number of bins is not supported by prio2")]
    Bins(#[source] Prio2Error),
    /// The id is not a random UUID.
    #[error("payload.uuid is {found:?}: must be a UUID of version 4, in lower case with hyphens")]
    Id {
        /// The id.
        found: String,
    },
    /// A parameter differs from the metric's.
    #[error("payload.{member} is {found}, not {expected}: copy it from the configuration")]
    Parameter {
        /// The member below `payload`.
        member: &'static str,
        /// The value found.
        found: String,
        /// The expected value.
        expected: String,
    },
    /// The key ids are in the wrong order.
    #[error("encryptionKeyId: the key ids are swapped; First's share and key id come first")]
    KeyIdsExchanged,
    /// A key id differs from the metric's.
    #[error("encryptionKeyId of the share for {which} is {found:?}, not {expected:?}")]
    KeyId {
        /// The processor of the share.
        which: Which,
        /// The id found.
        found: String,
        /// The expected id.
        expected: String,
    },
    /// The sealed shares are in the wrong order.
    #[error(
        "payload: the sealed shares are swapped; First's, the longer one unless there are few bins, comes first"
    )]
    SharesExchanged,
    /// A sealed share has the wrong length.
    #[error(
        "the sealed share for {which} has {found} bytes, not {expected}: 65 of the ephemeral point, {plaintext} of the \
         ciphertext, 16 of the tag (section 3, Seal)"
    )]
    SealedLength {
        /// The processor of the share.
        which: Which,
        /// The number of bytes found.
        found: usize,
        /// The expected number of bytes.
        expected: usize,
        /// The length of the share before sealing, in bytes.
        plaintext: usize,
    },
    /// The sealed share does not begin with an uncompressed point.
    #[error(
        "the sealed share for {which} does not begin with an uncompressed point of P-256: 65 bytes, the first is 04 \
         (formats.md, section 6)"
    )]
    NotAPoint {
        /// The processor of the share.
        which: Which,
    },
    /// Both shares use the same ephemeral key.
    #[error(
        "both sealed shares have the same ephemeral key: make a fresh one for each (section 3, Seal)"
    )]
    SameEphemeral,
    /// The share is sealed to the other processor's key.
    #[error("the sealed share for {which} is sealed to the key of the other processor")]
    OtherKey {
        /// The processor of the share.
        which: Which,
    },
    /// The authentication tag does not verify.
    #[error(
        "the sealed share for {which} does not open: the point and the lengths are correct, so check the recipient's \
         key, the key derivation (SHA-256 of z, 00000001 and the ephemeral point) and the nonce of 16 bytes \
         (formats.md, section 6)"
    )]
    Tag {
        /// The processor of the share.
        which: Which,
    },
    /// A value of the first share is not a field element.
    #[error(
        "the share for First: element {index} ({name}) is {value}, which is not below p: write each element as four \
         little-endian bytes, modulo p (section 3, Split)"
    )]
    Element {
        /// The index of the element, from 0.
        index: usize,
        /// The name of the element.
        name: String,
        /// The value.
        value: u32,
    },
    /// A bin is neither 0 nor 1.
    #[error(
        "the shares add to {value} in bin {bin}, which is neither 0 nor 1: check the generator (words of p or more are \
         discarded) and the difference modulo p (section 3, Split)"
    )]
    NotABit {
        /// The index of the bin, from 0.
        bin: usize,
        /// The sum of both shares.
        value: u32,
    },
    /// The proof is not valid.
    #[error(
        "the proof is not valid: element {index} ({name}) is {found}, not {expected} (formats.md, section 7)"
    )]
    Proof {
        /// The index of the first wrong element, from 0.
        index: usize,
        /// The name of the element.
        name: String,
        /// The sum of both shares.
        found: u32,
        /// The value that follows from the bins, f0 and g0.
        expected: u32,
    },
    /// The element is valid, but differs from the vector's.
    #[error("{element} differs from the vector: {found}, not {expected}")]
    Vector {
        /// The element that differs.
        element: String,
        /// The value found.
        found: String,
        /// The value in the vector.
        expected: String,
    },
}

impl ReportFault {
    pub(super) fn parameter(
        member: &'static str,
        found: impl Display,
        expected: impl Display,
    ) -> Self {
        Self::Parameter {
            member,
            found: found.to_string(),
            expected: expected.to_string(),
        }
    }

    /// Returns the machine-readable reason.
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
