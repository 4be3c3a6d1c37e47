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

impl BatchObjects {
    /// Returns the name of a part.
    #[must_use]
    pub fn get(&self, part: BatchPart) -> &str {
        match part {
            BatchPart::Header => &self.header,
            BatchPart::Packets => &self.packets,
            BatchPart::Signature => &self.signature,
        }
    }
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
}

/// The kind of a batch and the processor that writes it, as the names of its objects state them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum BatchKind {
    /// Written by the ingestor.
    Ingestion,
    /// Written by a processor for its peer.
    Validation(Role),
    /// Written by a processor for the portal.
    SumPart(Role),
}

impl BatchKind {
    const ALL: [Self; 5] = [
        Self::Ingestion,
        Self::Validation(Role::First),
        Self::Validation(Role::Second),
        Self::SumPart(Role::First),
        Self::SumPart(Role::Second),
    ];

    /// Returns the processor that writes the batch; `None` for the ingestor.
    #[must_use]
    pub fn writer(self) -> Option<Role> {
        match self {
            Self::Ingestion => None,
            Self::Validation(writer) | Self::SumPart(writer) => Some(writer),
        }
    }

    /// Returns the suffix that a part has after the stem that all three names share.
    fn suffix(self, part: BatchPart) -> &'static str {
        let [header, packets, signature] = match self {
            Self::Ingestion => [".batch", ".batch.avro", ".batch.sig"],
            Self::Validation(Role::First) => [".validity_0", ".validity_0.avro", ".validity_0.sig"],
            Self::Validation(Role::Second) => {
                [".validity_1", ".validity_1.avro", ".validity_1.sig"]
            }
            Self::SumPart(Role::First) => [".sum_0", ".invalid_uuid_0.avro", ".sum_0.sig"],
            Self::SumPart(Role::Second) => [".sum_1", ".invalid_uuid_1.avro", ".sum_1.sig"],
        };
        match part {
            BatchPart::Header => header,
            BatchPart::Packets => packets,
            BatchPart::Signature => signature,
        }
    }

    /// Returns the names of the three objects with this stem.
    #[must_use]
    pub fn objects(self, stem: &str) -> BatchObjects {
        let name = |part| format!("{stem}{}", self.suffix(part));
        BatchObjects {
            header: name(BatchPart::Header),
            packets: name(BatchPart::Packets),
            signature: name(BatchPart::Signature),
        }
    }

    /// Splits the name of a batch's object into the stem, the kind of batch and the part. Accepts
    /// any stem except an empty last component; returns `None` for any other object.
    #[must_use]
    pub fn split(key: &str) -> Option<(&str, Self, BatchPart)> {
        let split = |kind: Self, part| Some((key.strip_suffix(kind.suffix(part))?, kind, part));
        let found = Self::ALL.into_iter().find_map(|kind| {
            BatchPart::ALL
                .into_iter()
                .find_map(|part| split(kind, part))
        });
        found.filter(|(stem, ..)| !stem.is_empty() && !stem.ends_with('/'))
    }
}

/// The suffix of a prepared batch.
const PREPARED: &str = ".prepared";
/// The directory, in the processor's own bucket, of the records that assign each batch to a window.
pub(super) const SUMMED: &str = "summed";
/// The directory, in the processor's own bucket, of the dates at which batches were first seen.
pub(super) const FIRST_SEEN: &str = "batch-dates";

impl BatchName {
    /// Returns `{agg}/{DATE}/{id}.batch`, `.batch.avro`, `.batch.sig`.
    #[must_use]
    pub fn ingestion(&self) -> BatchObjects {
        BatchKind::Ingestion.objects(&self.to_string())
    }

    /// Returns `{agg}/{DATE}/{id}.validity_{i}` and so on, where `i` is the index of the processor
    /// that writes the validation.
    #[must_use]
    pub fn validation(&self, writer: Role) -> BatchObjects {
        BatchKind::Validation(writer).objects(&self.to_string())
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
        format!("{FIRST_SEEN}/{}/{}", self.aggregation, self.id)
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
        let (name, part) = Self::ingestion_part(key)?;
        (part == BatchPart::Signature).then_some(name)
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
        Self::part(key, BatchKind::Ingestion)
    }

    /// Returns the batch and the part to which the name of a validation object of `writer` refers;
    /// `None` for any other object.
    #[must_use]
    pub fn validation_part(key: &str, writer: Role) -> Option<(Self, BatchPart)> {
        Self::part(key, BatchKind::Validation(writer))
    }

    fn part(key: &str, wanted: BatchKind) -> Option<(Self, BatchPart)> {
        let (stem, kind, part) = BatchKind::split(key)?;
        (kind == wanted).then_some((Self::parse(stem)?, part))
    }

    /// Returns the batch to which the name of a prepared batch refers; `None` for any other object.
    #[must_use]
    pub fn from_prepared(key: &str) -> Option<Self> {
        Self::prepared_with(key).map(|(name, _)| name)
    }

    /// Returns the batch and the sealing key to which the name of a prepared batch refers; `None`
    /// for any other object.
    #[must_use]
    pub fn prepared_with(key: &str) -> Option<(Self, &str)> {
        let (stem, sealing_key) = key.strip_suffix(PREPARED)?.rsplit_once('.')?;
        Some((Self::parse(stem)?, sealing_key))
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
