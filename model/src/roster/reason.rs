//! The reasons for which a roster lists a batch as not summable: a closed list.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The reason why a processor cannot sum a batch.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OpenReason {
    /// The ingestion batch is not in this processor's mailbox.
    NoIngestion,
    /// The ingestion batch is present, but its intake has not run yet.
    NotTakenIn,
    /// The ingestion batch is present, but nearly all of its packets fail as they would with a
    /// wrong key. An operator has to investigate.
    WrongKey,
    /// The peer's validation of the batch is not present yet.
    NoValidation,
    /// The ingestion batch is damaged, its signature does not verify, or its parameters are
    /// unsupported.
    BadIngestion,
    /// The peer's validation is damaged, its signature does not verify, or its parameters differ.
    BadValidation,
    /// The batch arrived after the end of the last window that could contain it.
    TooLate,
    /// The batch is a copy of a batch under another date.
    Copied,
    /// No packet of the batch was accepted by both processors.
    NoAcceptedPacket,
    /// Objects of this processor have other bytes than expected. An operator has to investigate.
    Conflict,
    /// A reason that this version does not know: the writer runs a newer version.
    Other,
}

impl OpenReason {
    /// All reasons.
    pub const ALL: [Self; 11] = [
        Self::NoIngestion,
        Self::NotTakenIn,
        Self::WrongKey,
        Self::NoValidation,
        Self::BadIngestion,
        Self::BadValidation,
        Self::TooLate,
        Self::Copied,
        Self::NoAcceptedPacket,
        Self::Conflict,
        Self::Other,
    ];

    /// Returns the text of the reason in files.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoIngestion => "no-ingestion",
            Self::NotTakenIn => "not-taken-in",
            Self::WrongKey => "wrong-key",
            Self::NoValidation => "no-validation",
            Self::BadIngestion => "bad-ingestion",
            Self::BadValidation => "bad-validation",
            Self::TooLate => "too-late",
            Self::Copied => "copied",
            Self::NoAcceptedPacket => "no-accepted-packet",
            Self::Conflict => "conflict",
            Self::Other => "other",
        }
    }

    /// Parses the text of a reason; returns [`Self::Other`] for an unknown text.
    #[must_use]
    pub fn read(text: &str) -> Self {
        let reason = Self::ALL.into_iter().find(|reason| reason.as_str() == text);
        reason.unwrap_or(Self::Other)
    }
}

impl fmt::Display for OpenReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
