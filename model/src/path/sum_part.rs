//! The names of sum parts.

use super::{BatchKind, BatchObjects};
use crate::id::{AggregationId, Instance};
use crate::role::Role;
use crate::roster::WindowName;
use crate::time::Window;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The directory, in the processor's own bucket, of the records that fix sum parts.
pub(super) const SUM_PARTS: &str = "sum-parts";
/// The suffix of a record that fixes a sum part.
pub(super) const FIXED: &str = ".fixed";

/// The name of a sum part: an instance, an aggregation, a window and the processor that writes it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct SumPartName {
    /// The pair of locality and ingestor.
    pub instance: Instance,
    /// The aggregation that is summed.
    pub aggregation: AggregationId,
    /// The window that is summed.
    pub window: Window,
    /// The processor that writes the sum part.
    pub writer: Role,
}

impl SumPartName {
    /// Returns `{instance}/{agg}/{start}-{end}.sum_{i}`, `.invalid_uuid_{i}.avro` (the packets),
    /// `.sum_{i}.sig`.
    #[must_use]
    pub fn objects(&self) -> BatchObjects {
        BatchKind::SumPart(self.writer).objects(&self.stem())
    }

    /// Returns `sum-parts/{instance}/{agg}/{start}-{end}.fixed`, in the processor's own bucket: the
    /// fixed content of the sum part, written before it is published.
    #[must_use]
    pub fn fixed(&self) -> String {
        format!("{SUM_PARTS}/{}{FIXED}", self.stem())
    }

    /// Parses `{instance}/{agg}/{start}-{end}`. Only the canonical spelling is accepted.
    #[must_use]
    pub fn parse(stem: &str, writer: Role) -> Option<Self> {
        let (instance, window) = stem.split_once('/')?;
        let WindowName {
            aggregation,
            window,
        } = WindowName::parse(window)?;
        Some(Self {
            instance: instance.parse().ok()?,
            aggregation,
            window,
            writer,
        })
    }

    fn stem(&self) -> String {
        let (start, end) = (self.window.start().compact(), self.window.end().compact());
        format!("{}/{}/{start}-{end}", self.instance, self.aggregation)
    }
}

impl fmt::Display for SumPartName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.sum_{}", self.stem(), self.writer.index())
    }
}
