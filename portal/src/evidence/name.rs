//! The names of evidence objects.

use std::fmt;

use tallybox_model::id::{AggregationId, Instance};
use tallybox_model::path::SumPartName;
use tallybox_model::role::Role;
use tallybox_model::time::Window;

use crate::config::is_folder_name;
use crate::pair::WindowSum;
use crate::store::{SumState, WindowRow};

/// The suffix of every evidence object.
const SUFFIX: &str = ".evidence";

/// The name of an evidence object: a source, an instance, an aggregation, a window and a version.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EvidenceName {
    /// The name of the source in the configuration.
    pub source: String,
    /// The pair of locality and ingestor.
    pub instance: Instance,
    /// The aggregation.
    pub aggregation: AggregationId,
    /// The window.
    pub window: Window,
    /// 0 for the first sum of the window, 1 for its first correction, and so on.
    pub version: u32,
}

impl EvidenceName {
    /// Parses `{source}/{instance}/{aggregation}/{start}-{end}.evidence`, or `.{version}.evidence`
    /// for a correction. Only the canonical spelling is accepted.
    #[must_use]
    pub fn parse(key: &str) -> Option<Self> {
        let (source, rest) = key.split_once('/')?;
        let stem = rest.strip_suffix(SUFFIX)?;
        let (folder, file) = stem.rsplit_once('/')?;
        let (window, version) = match file.split_once('.') {
            Some((window, version)) => (window, version.parse().ok()?),
            None => (file, 0),
        };
        let part = SumPartName::parse(&format!("{folder}/{window}"), Role::First)?;
        let name = Self {
            source: source.to_owned(),
            instance: part.instance,
            aggregation: part.aggregation,
            window: part.window,
            version,
        };
        (is_folder_name(source) && name.to_string() == key).then_some(name)
    }

    /// Returns the name of a processor's sum part of this window.
    #[must_use]
    pub fn part(&self, writer: Role) -> SumPartName {
        SumPartName {
            instance: self.instance.clone(),
            aggregation: self.aggregation.clone(),
            window: self.window,
            writer,
        }
    }

    /// Returns the row of the window's sum. A sum of fewer reports than the minimum is left out.
    #[must_use]
    pub fn row(&self, sum: WindowSum, minimum: u64, added: i64) -> WindowRow {
        let is_shown = sum.count >= minimum;
        WindowRow {
            instance: self.instance.clone(),
            aggregation: self.aggregation.clone(),
            window: self.window,
            version: self.version,
            state: if is_shown {
                SumState::Summed
            } else {
                SumState::BelowMinimum
            },
            reports: sum.count,
            rejected: sum.rejected as u64,
            batches: sum.batches.len() as u64,
            epsilon: sum.epsilon,
            sums: if is_shown { sum.sums } else { Vec::new() },
            evidence: self.to_string(),
            added,
        }
    }

    /// Returns the directory of the evidence of an aggregation.
    #[must_use]
    pub fn directory(source: &str, instance: &Instance, aggregation: &AggregationId) -> String {
        format!("{source}/{instance}/{aggregation}")
    }
}

impl fmt::Display for EvidenceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let directory = Self::directory(&self.source, &self.instance, &self.aggregation);
        let (start, end) = (self.window.start().compact(), self.window.end().compact());
        write!(f, "{directory}/{start}-{end}")?;
        if self.version > 0 {
            write!(f, ".{}", self.version)?;
        }
        f.write_str(SUFFIX)
    }
}
