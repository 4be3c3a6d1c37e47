//! Discrepancies that the audit finds.

use std::fmt;

/// A kind of discrepancy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Discrepancy {
    /// An acknowledged report is in no sum, and no record explains it.
    Lost,
    /// A report or a batch is counted twice.
    Double,
    /// A window has only one sum part, or two that cannot be added.
    Unsummable,
    /// A sum differs from that of the reports in it.
    Wrong,
}

impl fmt::Display for Discrepancy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Lost => "lost",
            Self::Double => "double",
            Self::Unsummable => "unsummable",
            Self::Wrong => "wrong",
        })
    }
}

/// Maximum number of discrepancies that are described in words.
const MAX_DESCRIPTIONS: usize = 50;

/// The discrepancies found so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Discrepancies {
    counts: [u64; 4],
    /// Descriptions of the first discrepancies, at most 50.
    pub descriptions: Vec<String>,
}

impl Discrepancies {
    /// Records a discrepancy and its description.
    pub fn note(&mut self, discrepancy: Discrepancy, sentence: impl Into<String>) {
        self.counts[discrepancy as usize] += 1;
        if self.descriptions.len() < MAX_DESCRIPTIONS {
            self.descriptions
                .push(format!("{discrepancy}: {}", sentence.into()));
        }
    }

    /// Returns the number of discrepancies of a kind.
    #[must_use]
    pub fn count(&self, discrepancy: Discrepancy) -> u64 {
        self.counts[discrepancy as usize]
    }

    /// Returns the number of all discrepancies.
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
        let mut discrepancies = Discrepancies::default();
        discrepancies.note(Discrepancy::Double, "a report");
        discrepancies.note(Discrepancy::Double, "a batch");
        assert_eq!(discrepancies.counts, [0, 2, 0, 0]);
        assert_eq!(
            (
                discrepancies.total(),
                discrepancies.descriptions[1].as_str()
            ),
            (2, "double: a batch")
        );
    }
}
