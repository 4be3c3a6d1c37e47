//! Faults that the audit finds.

use std::fmt;

use serde::Serialize;

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// An acknowledged report is in no sum, and no record explains it.
    Lost,
    /// A report or a batch is counted twice.
    Double,
    /// A window has only one sum part, or two that cannot be added.
    Unsummable,
    /// A sum differs from that of the reports in it.
    Wrong,
}

impl Fault {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::Lost, Self::Double, Self::Unsummable, Self::Wrong];

    /// Returns the machine-readable name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Double => "double",
            Self::Unsummable => "unsummable",
            Self::Wrong => "wrong",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Maximum number of faults that are described in words.
const TOLD: usize = 50;

/// The faults found so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Faults {
    counts: [u64; 4],
    /// Descriptions of the first faults, at most 50.
    pub told: Vec<String>,
}

impl Faults {
    /// Records a fault and its description.
    pub fn note(&mut self, fault: Fault, sentence: impl Into<String>) {
        self.counts[fault as usize] += 1;
        if self.told.len() < TOLD {
            self.told.push(format!("{fault}: {}", sentence.into()));
        }
    }

    /// Returns the number of faults of a kind.
    #[must_use]
    pub fn count(&self, fault: Fault) -> u64 {
        self.counts[fault as usize]
    }

    /// Returns the number of all faults.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_counted_by_kind_and_told() {
        let mut faults = Faults::default();
        faults.note(Fault::Double, "a report");
        faults.note(Fault::Double, "a batch");
        assert_eq!(Fault::ALL.map(|fault| faults.count(fault)), [0, 2, 0, 0]);
        assert_eq!(
            (faults.total(), faults.told[1].as_str()),
            (2, "double: a batch")
        );
    }
}
