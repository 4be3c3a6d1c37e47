//! Why a batch stands in a roster without being summable: a closed list.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Why a side cannot sum a batch.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OpenReason {
    /// The ingestion batch is not in this side's mailbox.
    NoIngestion,
    /// It is there, and has not been taken in yet.
    NotTakenIn,
    /// It is there, and nearly all of its packets fail as with a wrong key of this side: somebody has to look.
    WrongKey,
    /// The peer's validation of it is not there yet.
    NoValidation,
    /// The ingestion batch is damaged, badly signed, or asks for what cannot be done.
    BadIngestion,
    /// The peer's validation is damaged, badly signed, or of other parameters.
    BadValidation,
    /// It came when the last window that could hold it was over.
    TooLate,
    /// It is a copy of a batch under another date.
    Copied,
    /// No packet of it is good on both sides.
    NoAcceptedPacket,
    /// Objects of this side stand with other bytes than they should have: somebody has to look.
    Conflict,
    /// A reason that this program does not know: the writer is newer.
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

    /// The word in files.
    #[must_use]
    pub fn word(self) -> &'static str {
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

    /// The reason of a word; [`Self::Other`] for one that we do not know.
    #[must_use]
    pub fn read(word: &str) -> Self {
        let known = Self::ALL.into_iter().find(|reason| reason.word() == word);
        known.unwrap_or(Self::Other)
    }
}

impl fmt::Display for OpenReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
