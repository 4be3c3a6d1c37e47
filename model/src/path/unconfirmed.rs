//! The names of notes on objects that a mailbox only reports as existing.

use super::{BatchName, BatchPart};
use crate::id::AggregationId;
use crate::roster::WindowName;

/// An object in a peer's mailbox of which this processor knows only that the bucket answered
/// "exists" to a create-if-absent request. A write-only mailbox gives no stronger confirmation.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Unconfirmed {
    /// A part of our validation of a batch.
    Validation(BatchName, BatchPart),
    /// A part of our sum part of a window.
    SumPart(WindowName, BatchPart),
}

impl Unconfirmed {
    /// Returns the notes on the objects of a batch's validation.
    #[must_use]
    pub fn of_validation(name: &BatchName) -> [Self; 3] {
        BatchPart::ALL.map(|part| Self::Validation(name.clone(), part))
    }

    /// Returns the notes on the objects of a window's sum part.
    #[must_use]
    pub fn of_sum_part(name: &WindowName) -> [Self; 3] {
        BatchPart::ALL.map(|part| Self::SumPart(name.clone(), part))
    }

    /// Returns `unconfirmed/{agg}`, in the processor's own bucket: the directory of the notes on an
    /// aggregation's objects.
    #[must_use]
    pub fn directory(aggregation: &AggregationId) -> String {
        format!("{UNCONFIRMED}/{aggregation}")
    }

    /// Returns the name of the note in the processor's own bucket:
    /// `unconfirmed/{agg}/{DATE}/{id}.{part}` for a validation,
    /// `unconfirmed/{agg}/{start}-{end}.{part}` for a sum part. The note contains the time at which
    /// it was written.
    #[must_use]
    pub fn note(&self) -> String {
        match self {
            Self::Validation(name, part) => format!("{UNCONFIRMED}/{name}.{}", part.as_str()),
            Self::SumPart(name, part) => format!("{UNCONFIRMED}/{name}.{}", part.as_str()),
        }
    }

    /// Parses the name of a note; returns `None` for any other object.
    #[must_use]
    pub fn parse(key: &str) -> Option<Self> {
        let (stem, suffix) = key
            .strip_prefix(UNCONFIRMED)?
            .strip_prefix('/')?
            .rsplit_once('.')?;
        let part = BatchPart::ALL
            .into_iter()
            .find(|part| part.as_str() == suffix)?;
        let found = match BatchName::parse(stem) {
            Some(name) => Self::Validation(name, part),
            None => Self::SumPart(WindowName::parse(stem)?, part),
        };
        (found.note() == key).then_some(found)
    }
}

/// The directory, in the processor's own bucket, of notes on objects that a mailbox reports as
/// existing.
pub(super) const UNCONFIRMED: &str = "unconfirmed";
