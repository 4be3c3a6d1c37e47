//! The names of sum parts.

use super::BatchObjects;
use crate::id::{AggregationId, Instance};
use crate::role::Role;
use crate::time::Window;
use serde::{Deserialize, Serialize};
use std::fmt;

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
        let (stem, i) = (self.stem(), self.writer.index());
        BatchObjects {
            header: format!("{stem}.sum_{i}"),
            packets: format!("{stem}.invalid_uuid_{i}.avro"),
            signature: format!("{stem}.sum_{i}.sig"),
        }
    }

    /// Returns `sum-parts/{instance}/{agg}/{start}-{end}.fixed`, in the processor's own bucket: the
    /// fixed content of the sum part, written before it is published.
    #[must_use]
    pub fn fixed(&self) -> String {
        format!("sum-parts/{}.fixed", self.stem())
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
