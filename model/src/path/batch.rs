//! The names of batches and of their objects.

use crate::id::{AggregationId, BatchId};
use crate::role::Role;
use crate::time::{BatchTime, Window};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The name of a batch: an aggregation, a date and an identifier.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct BatchName {
    /// The aggregation to which the batch belongs.
    pub aggregation: AggregationId,
    /// The date in the batch's path.
    pub date: BatchTime,
    /// The batch's identifier, also contained in its header.
    pub id: BatchId,
}

impl fmt::Display for BatchName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.aggregation, self.date, self.id)
    }
}

/// The names of the three objects that make up a signed batch.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct BatchObjects {
    /// The header, one Avro record.
    pub header: String,
    /// The packets, zero or more Avro records. The object is absent if there are none.
    pub packets: String,
    /// The signature over the header, one Avro record. A batch exists as soon as this object does.
    pub signature: String,
}

/// One of the three objects of a batch.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum BatchPart {
    /// The header.
    Header,
    /// The packets.
    Packets,
    /// The signature.
    Signature,
}

impl BatchPart {
    /// All three parts, in the order in which they are written.
    pub const ALL: [Self; 3] = [Self::Packets, Self::Header, Self::Signature];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Header => "header",
            Self::Packets => "packets",
            Self::Signature => "signature",
        }
    }

    /// Splits an object name into its part and the name of the batch's header object.
    fn split(key: &str) -> (Self, &str) {
        if let Some(header) = key.strip_suffix(SIGNATURE) {
            (Self::Signature, header)
        } else if let Some(header) = key.strip_suffix(PACKETS) {
            (Self::Packets, header)
        } else {
            (Self::Header, key)
        }
    }
}

/// The suffix of a packet object.
const PACKETS: &str = ".avro";
/// The suffix of a signature object.
const SIGNATURE: &str = ".sig";
/// The suffix of an ingestion batch's header.
const INGESTION: &str = ".batch";
/// The suffix of a prepared batch.
const PREPARED: &str = ".prepared";
/// The directory, in the processor's own bucket, of the records that assign each batch to a window.
const SUMMED: &str = "summed";

impl BatchObjects {
    fn from_header(header: String) -> Self {
        Self {
            packets: format!("{header}{PACKETS}"),
            signature: format!("{header}{SIGNATURE}"),
            header,
        }
    }
}

impl BatchName {
    /// Returns `{agg}/{DATE}/{id}.batch`, `.batch.avro`, `.batch.sig`.
    #[must_use]
    pub fn ingestion(&self) -> BatchObjects {
        BatchObjects::from_header(format!("{self}{INGESTION}"))
    }

    /// Returns `{agg}/{DATE}/{id}.validity_{i}` and so on, where `i` is the index of the processor
    /// that writes the validation.
    #[must_use]
    pub fn validation(&self, writer: Role) -> BatchObjects {
        BatchObjects::from_header(format!("{self}.validity_{}", writer.index()))
    }

    /// Returns `{agg}/{DATE}/{id}.{sealing key id}.prepared`, in the processor's own bucket.
    #[must_use]
    pub fn prepared(&self, sealing_key: &str) -> String {
        format!("{self}.{sealing_key}{PREPARED}")
    }

    /// Returns `batch-dates/{agg}/{id}`, in the processor's own bucket: the record of the date at
    /// which a batch was first seen.
    #[must_use]
    pub fn first_seen(&self) -> String {
        format!("batch-dates/{}/{}", self.aggregation, self.id)
    }

    /// Returns `summed/{agg}/{DATE}/{id}`, in the processor's own bucket: the record of the window
    /// that sums the batch, used without rosters.
    #[must_use]
    pub fn summed(&self) -> String {
        format!("{SUMMED}/{self}")
    }

    /// Parses a name written by [`Self::summed`]; returns `None` for any other object.
    #[must_use]
    pub fn from_summed(key: &str) -> Option<Self> {
        Self::parse(key.strip_prefix(SUMMED)?.strip_prefix('/')?)
    }

    /// Parses the name of an ingestion signature object; returns `None` for any other object.
    #[must_use]
    pub fn from_ingestion_signature(key: &str) -> Option<Self> {
        let stem = key.strip_suffix(SIGNATURE)?.strip_suffix(INGESTION)?;
        Self::parse(stem)
    }

    /// Parses the name of any of a batch's ingestion objects; returns `None` for any other object.
    #[must_use]
    pub fn from_ingestion_object(key: &str) -> Option<Self> {
        Self::ingestion_part(key).map(|(name, _)| name)
    }

    /// Returns the batch and the part to which the name of an ingestion object refers; `None` for
    /// any other object.
    #[must_use]
    pub fn ingestion_part(key: &str) -> Option<(Self, BatchPart)> {
        let (part, header) = BatchPart::split(key);
        Some((Self::parse(header.strip_suffix(INGESTION)?)?, part))
    }

    /// Returns the batch and the part to which the name of a validation object of `writer` refers;
    /// `None` for any other object.
    #[must_use]
    pub fn validation_part(key: &str, writer: Role) -> Option<(Self, BatchPart)> {
        let (part, header) = BatchPart::split(key);
        let suffix = match writer {
            Role::First => ".validity_0",
            Role::Second => ".validity_1",
        };
        Some((Self::parse(header.strip_suffix(suffix)?)?, part))
    }

    /// Returns the batch to which the name of a prepared batch refers; `None` for any other object.
    #[must_use]
    pub fn from_prepared(key: &str) -> Option<Self> {
        let (stem, _sealing_key) = key.strip_suffix(PREPARED)?.rsplit_once('.')?;
        Self::parse(stem)
    }

    /// Parses `{agg}/{DATE}/{id}`. Only the canonical spelling is accepted.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (aggregation, rest) = text.split_once('/')?;
        let (date, id) = rest.rsplit_once('/')?;
        let name = Self {
            aggregation: aggregation.parse().ok()?,
            date: date.parse().ok()?,
            id: id.parse().ok()?,
        };
        // Another spelling of the same id would be a second object name for one batch.
        (name.to_string() == text).then_some(name)
    }
}

/// Returns the half-open range of keys, `{agg}/{start DATE}/` to `{agg}/{end DATE}/`, that contains
/// a window's batches.
#[must_use]
pub fn window_range(aggregation: &AggregationId, window: &Window) -> (String, String) {
    (
        format!("{aggregation}/{}/", window.start()),
        format!("{aggregation}/{}/", window.end()),
    )
}

/// Returns the directory `summed/{agg}`, and the half-open range of keys in it for the batches of a
/// window.
#[must_use]
pub fn summed_range(aggregation: &AggregationId, window: &Window) -> (String, (String, String)) {
    let (start, end) = window_range(aggregation, window);
    let below = |key: String| format!("{SUMMED}/{key}");
    (below(aggregation.to_string()), (below(start), below(end)))
}
