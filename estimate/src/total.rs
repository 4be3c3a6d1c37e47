//! Totals of several windows, ingestors or localities.

use crate::counts::Counts;
use crate::error::EstimateError;

impl Counts {
    /// Adds the counts of windows of one metric. If all used the same epsilon, reports and sums
    /// add, and the total has exactly the distribution of one window with all reports; so estimates
    /// of the total need no other formulas.
    ///
    /// The windows must not share reports. `metric` is the full name with its version.
    ///
    /// # Errors
    /// [`EstimateError::MixedEpsilon`], [`EstimateError::MixedMetric`] and
    /// [`EstimateError::MixedBins`] for windows that have no meaningful total,
    /// [`EstimateError::NoWindows`] and [`EstimateError::Overflow`].
    pub fn total<'c>(
        windows: impl IntoIterator<Item = (&'c str, &'c Counts)>,
    ) -> Result<Counts, EstimateError> {
        let mut windows = windows.into_iter();
        let (metric, first) = windows.next().ok_or(EstimateError::NoWindows)?;
        let mut total = first.clone();
        for (other, counts) in windows {
            if other != metric {
                return Err(EstimateError::MixedMetric {
                    first: metric.to_owned(),
                    second: other.to_owned(),
                });
            }
            total = total.plus(counts)?;
        }
        Ok(total)
    }

    fn plus(&self, other: &Counts) -> Result<Counts, EstimateError> {
        if self.mechanism() != other.mechanism() {
            return Err(EstimateError::MixedEpsilon {
                first: self.mechanism().epsilon(),
                second: other.mechanism().epsilon(),
            });
        }
        if self.sums().len() != other.sums().len() {
            return Err(EstimateError::MixedBins {
                first: self.sums().len(),
                second: other.sums().len(),
            });
        }
        let reports = self.reports().checked_add(other.reports());
        let reports = reports.ok_or(EstimateError::Overflow)?;
        // No sum exceeds its number of reports, so these additions cannot overflow either.
        let sums = self.sums().iter().zip(other.sums());
        Counts::new(
            self.mechanism(),
            reports,
            sums.map(|(a, b)| a + b).collect(),
        )
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::mechanism::Mechanism;

    fn counts(epsilon: f64, reports: u64, sums: &[u64]) -> Counts {
        Counts::new(Mechanism::new(epsilon).unwrap(), reports, sums.to_vec()).unwrap()
    }

    #[test]
    fn reports_and_sums_add() {
        let (a, b) = (counts(8.0, 10, &[1, 9]), counts(8.0, 20, &[20, 0]));
        let total = Counts::total([("a-v1", &a), ("a-v1", &b)]).unwrap();
        assert_eq!(total, counts(8.0, 30, &[21, 9]));
    }

    #[test]
    fn what_has_no_total_is_an_error() {
        let a = counts(8.0, 10, &[1, 9]);
        let error = |metric, b: &Counts| Counts::total([("a-v1", &a), (metric, b)]).unwrap_err();
        let mixed = error("a-v1", &counts(10.2, 10, &[1, 9]));
        assert!(matches!(mixed, EstimateError::MixedEpsilon { .. }));
        assert!(matches!(
            error("a-v2", &a),
            EstimateError::MixedMetric { .. }
        ));
        let long = error("a-v1", &counts(8.0, 10, &[1, 9, 3]));
        assert!(matches!(long, EstimateError::MixedBins { .. }));
        let many = error("a-v1", &counts(8.0, u64::MAX, &[0, 0]));
        assert_eq!(many, EstimateError::Overflow);
        assert_eq!(Counts::total([]), Err(EstimateError::NoWindows));
    }
}
