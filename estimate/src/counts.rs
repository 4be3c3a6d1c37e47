//! The sums of one or more windows: the input of every estimate.

use serde::Serialize;

use crate::error::EstimateError;
use crate::mechanism::{Debiased, Mechanism};

/// For each bin, the number of set bits among the reports of a window after randomisation: both sum
/// parts added modulo p.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Counts {
    mechanism: Mechanism,
    reports: u64,
    sums: Vec<u64>,
}

impl Counts {
    /// Creates the counts of a window with this number of accepted reports.
    ///
    /// # Errors
    /// [`EstimateError::SumAboveReports`] if a sum exceeds the number of reports, which means that
    /// the two sum parts do not belong together.
    pub fn new(mechanism: Mechanism, reports: u64, sums: Vec<u64>) -> Result<Self, EstimateError> {
        match sums.iter().enumerate().find(|(_, sum)| **sum > reports) {
            Some((bin, &sum)) => Err(EstimateError::SumAboveReports { bin, sum, reports }),
            None => Ok(Self {
                mechanism,
                reports,
                sums,
            }),
        }
    }

    /// Returns the mechanism that all reports have used.
    #[must_use]
    pub fn mechanism(&self) -> Mechanism {
        self.mechanism
    }

    /// Returns n, the number of reports in the sums.
    #[must_use]
    pub fn reports(&self) -> u64 {
        self.reports
    }

    /// Returns the observed sum of each bin.
    #[must_use]
    pub fn sums(&self) -> &[u64] {
        &self.sums
    }

    /// Returns the debiased count of each bin.
    #[must_use]
    pub fn debiased(&self) -> Vec<Debiased> {
        let sums = self.sums.iter();
        sums.map(|sum| self.mechanism.debias(*sum, self.reports))
            .collect()
    }

    /// Returns the counts of some bins of the same reports.
    pub(crate) fn with_sums(&self, sums: Vec<u64>) -> Self {
        Self {
            mechanism: self.mechanism,
            reports: self.reports,
            sums,
        }
    }

    /// Checks that a list has the length that these bins require.
    pub(crate) fn check_length(
        &self,
        what: &'static str,
        found: usize,
        expected: usize,
    ) -> Result<(), EstimateError> {
        if found == expected {
            return Ok(());
        }
        Err(EstimateError::Length {
            what,
            found,
            bins: self.sums.len(),
            expected,
        })
    }

    /// Checks that there are reports, so that a mean exists.
    pub(crate) fn check_reports(&self) -> Result<(), EstimateError> {
        if self.reports == 0 {
            Err(EstimateError::NoReports)
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_never_exceeds_the_reports() {
        let mechanism = Mechanism::new(8.0).unwrap();
        assert!(Counts::new(mechanism, 10, vec![0, 10]).is_ok());
        assert_eq!(
            Counts::new(mechanism, 10, vec![3, 11]),
            Err(EstimateError::SumAboveReports {
                bin: 1,
                sum: 11,
                reports: 10
            })
        );
    }

    #[test]
    fn every_bin_is_debiased() {
        let mechanism = Mechanism::new(8.0).unwrap();
        let counts = Counts::new(mechanism, 13_394, vec![240, 0]).unwrap();
        let [first, second] = counts.debiased()[..] else {
            panic!()
        };
        assert!((first.value - 235.7).abs() < 0.1 && first.standard_error < 2.2);
        assert!(second.value < -4.0);
    }
}
