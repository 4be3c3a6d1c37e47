//! What is wrong, if anything is.

use std::fmt;

use serde::Serialize;

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// A report that was acknowledged is in no sum, and nothing says why.
    Lost,
    /// A report or a batch counts twice.
    Double,
    /// A window has two sum parts that cannot be added, or only one.
    Unsummable,
    /// A sum is not that of the reports in it.
    Wrong,
}

impl Fault {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::Lost, Self::Double, Self::Unsummable, Self::Wrong];

    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
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
        f.pad(self.word())
    }
}

/// How many are told in words.
const TOLD: usize = 50;

/// The faults that were found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Faults {
    counts: [u64; 4],
    /// The first of them, in sentences.
    pub told: Vec<String>,
}

impl Faults {
    /// Notes one, with what it is about.
    pub fn note(&mut self, fault: Fault, sentence: impl Into<String>) {
        self.counts[fault as usize] += 1;
        if self.told.len() < TOLD {
            self.told.push(format!("{fault}: {}", sentence.into()));
        }
    }

    /// How many of a kind.
    #[must_use]
    pub fn count(&self, fault: Fault) -> u64 {
        self.counts[fault as usize]
    }

    /// How many in all.
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
        assert_eq!((faults.total(), faults.told[1].as_str()), (2, "double: a batch"));
    }
}
