//! Moving averages over days.

use serde::Serialize;

use crate::counts::Counts;
use crate::error::EstimateError;
use crate::estimate::Estimate;

/// The counts of one day: the total of its windows.
#[derive(Debug, Clone, Copy)]
pub struct Day<'c> {
    /// The number of the day, on any scale without gaps.
    pub day: i64,
    /// The full name of the metric with its version.
    pub metric: &'c str,
    /// The total of the day's windows.
    pub counts: &'c Counts,
    /// Whether every window of the day has a sum.
    pub complete: bool,
}

/// The total of the complete days of a period.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Period {
    /// The total of the complete days.
    pub counts: Counts,
    /// The number of complete days.
    pub days: u32,
    /// The days of the period that are missing or incomplete, in order. They are in neither the
    /// total nor the number of days.
    pub missing: Vec<i64>,
}

impl Period {
    /// Adds the complete days of the `length` days that end with `last`: 7 or 14 for the usual
    /// moving averages. Each day occurs at most once in `days`.
    ///
    /// # Errors
    /// Those of [`Counts::total`]; [`EstimateError::NoWindows`] if no day is complete.
    pub fn ending(last: i64, length: u32, days: &[Day<'_>]) -> Result<Self, EstimateError> {
        let first = last - i64::from(length) + 1;
        let complete = |day: i64| days.iter().find(|other| other.day == day && other.complete);
        let (present, missing): (Vec<i64>, Vec<i64>) =
            (first..=last).partition(|day| complete(*day).is_some());
        let present = present.into_iter().filter_map(complete);
        let counts = Counts::total(present.map(|day| (day.metric, day.counts)))?;
        Ok(Self {
            counts,
            days: length - missing.len() as u32,
            missing,
        })
    }

    /// Returns an estimate of the total as an average per complete day.
    #[must_use]
    pub fn per_day(&self, total: &Estimate) -> Estimate {
        total.scaled(1.0 / f64::from(self.days))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::level::Level;
    use crate::mechanism::Mechanism;

    #[test]
    fn missing_days_are_not_zeros() {
        let mechanism = Mechanism::new(1e6).unwrap();
        let counts = |sum| Counts::new(mechanism, 100, vec![sum]).unwrap();
        let sums = [counts(10), counts(20), counts(30), counts(40)];
        let day = |day: i64, complete| Day {
            day,
            metric: "a-v1",
            counts: &sums[day as usize - 1],
            complete,
        };
        let days = [day(1, true), day(2, true), day(3, false), day(4, true)];
        let period = Period::ending(5, 4, &days).unwrap();
        assert_eq!((period.days, period.counts.reports()), (2, 200));
        assert_eq!(period.missing, [3, 5]);
        let total = period.counts.bins(Level::default())[0];
        assert_eq!((total.value, period.per_day(&total).value), (60.0, 30.0));
        let nothing = Period::ending(20, 7, &days);
        assert_eq!(nothing, Err(EstimateError::NoWindows));
    }
}
