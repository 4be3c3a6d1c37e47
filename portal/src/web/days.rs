//! Windows grouped into days: totals of what may be shown, and why the rest is missing.

use std::collections::{BTreeMap, HashMap};

use tallybox_estimate::{Counts, Day, Estimate, EstimateError, Period};
use tallybox_model::id::Instance;

use super::quantity::Quantity;
use super::shown::Shown;
use super::text::{DAY_MILLIS, day_of};
use crate::store::SumState;

/// One day, or one period of several days if the windows are longer.
#[derive(Clone, Debug)]
pub(crate) struct DayTotal {
    pub(crate) day: i64,
    pub(crate) state: DayState,
    /// The total of the windows whose numbers may be shown.
    pub(crate) counts: Option<Counts>,
}

/// What is known about a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DayState {
    /// Every window has a sum.
    Complete,
    /// Some windows have a sum, others are missing: the total is too low.
    Incomplete,
    /// Every window has a sum, but some are suppressed: the total is a little too low.
    PartlySuppressed,
    /// No window may be shown, and at least one is suppressed.
    Suppressed,
    /// No window has a sum, and sum parts of at least one cannot be added.
    Refused,
    /// No window has a sum, and at least one has one sum part.
    OneSide,
    /// There is nothing.
    Missing,
    /// The windows have different epsilons, so they have no total.
    MixedEpsilon,
}

impl DayState {
    /// Returns whether everything that may be shown has arrived.
    pub(crate) fn is_settled(self) -> bool {
        matches!(self, Self::Complete | Self::PartlySuppressed)
    }

    /// Describes the state for tables.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Incomplete => "incomplete: some windows are missing",
            Self::PartlySuppressed => "without suppressed windows",
            Self::Suppressed => "suppressed: fewer reports than the minimum",
            Self::Refused => "refused: the sum parts cannot be added",
            Self::OneSide => "one side only",
            Self::Missing => "missing",
            Self::MixedEpsilon => "no total: the windows have different epsilons",
        }
    }
}

/// The days of a selection, without gaps.
#[derive(Clone, Debug)]
pub(crate) struct Days {
    pub(crate) metric: String,
    pub(crate) days: Vec<DayTotal>,
    /// Days from one entry to the next.
    pub(crate) step: i64,
}

impl Days {
    /// Groups windows of one metric. The result begins with the first window, and ends with the last
    /// window or `until`, whichever is later.
    pub(crate) fn new(metric: &str, windows: &[&Shown], until: Option<i64>) -> Self {
        let start = |window: &Shown| day_of(window.window.start().millis());
        let length = |window: &Shown| {
            let window = window.window;
            window.end().millis() - window.start().millis()
        };
        let step = windows
            .iter()
            .map(|window| (length(window) + DAY_MILLIS - 1) / DAY_MILLIS)
            .max();
        let step = step.unwrap_or(1).max(1);
        let Some(first) = windows.iter().map(|window| start(window)).min() else {
            return Self::empty(metric);
        };
        let slot = |day: i64| first + (day - first) / step * step;
        let mut by_day: BTreeMap<i64, Vec<&Shown>> = BTreeMap::new();
        for window in windows {
            by_day.entry(slot(start(window))).or_default().push(window);
        }
        let last = by_day.keys().next_back().copied().unwrap_or(first);
        let last = until.map_or(last, |until| last.max(slot(until.max(first))));
        let rates = Rates::new(&by_day);
        let steps = (first..=last).step_by(step.unsigned_abs() as usize);
        let days = steps.map(|day| {
            let windows = by_day.get(&day).map_or(&[][..], Vec::as_slice);
            total(metric, day, windows, rates.expected(day))
        });
        Self {
            metric: metric.to_owned(),
            days: days.collect(),
            step,
        }
    }

    fn empty(metric: &str) -> Self {
        Self {
            metric: metric.to_owned(),
            days: Vec::new(),
            step: 1,
        }
    }

    /// Returns the last day with numbers.
    pub(crate) fn latest(&self) -> Option<&DayTotal> {
        self.days.iter().rev().find(|day| day.counts.is_some())
    }

    /// Returns the last day for which everything has arrived, or the last one with numbers.
    pub(crate) fn latest_settled(&self) -> Option<&DayTotal> {
        let settled = |day: &&DayTotal| day.state.is_settled() && day.counts.is_some();
        self.days
            .iter()
            .rev()
            .find(settled)
            .or_else(|| self.latest())
    }

    /// Adds up all days.
    ///
    /// # Errors
    /// [`EstimateError`]: there are no numbers, or they have no total.
    pub(crate) fn total(&self) -> Result<Counts, EstimateError> {
        let counts = self.days.iter().filter_map(|day| day.counts.as_ref());
        Counts::total(counts.map(|counts| (self.metric.as_str(), counts)))
    }

    /// Returns the 7-day averages of a bin: for a count per complete day, for a share or mean over
    /// all reports of these days. Days with fewer than four complete days have none.
    pub(crate) fn averages(&self, quantity: Quantity, bin: usize) -> Vec<(i64, Estimate)> {
        const LENGTH: u32 = 7;
        const LEAST: u32 = 4;
        if self.step != 1 {
            return Vec::new();
        }
        let days: Vec<Day<'_>> = self
            .days
            .iter()
            .filter_map(|day| self.as_day(day))
            .collect();
        let average = |day: &DayTotal| {
            let near = days
                .iter()
                .filter(|other| (day.day - 6..=day.day).contains(&other.day));
            let near: Vec<Day<'_>> = near.copied().collect();
            let period = Period::ending(day.day, LENGTH, &near).ok()?;
            if period.days < LEAST {
                return None;
            }
            let estimate = quantity.estimate(&period.counts, bin)?;
            let per_day = match quantity {
                Quantity::Count => period.per_day(&estimate),
                Quantity::Share | Quantity::Mean => estimate,
            };
            Some((day.day, per_day))
        };
        self.days.iter().filter_map(average).collect()
    }

    fn as_day<'a>(&'a self, day: &'a DayTotal) -> Option<Day<'a>> {
        Some(Day {
            day: day.day,
            metric: &self.metric,
            counts: day.counts.as_ref()?,
            // A day whose smallest windows are always suppressed would otherwise have no average.
            complete: day.state.is_settled(),
        })
    }
}

/// How many windows a day each instance has, and since when.
struct Rates<'a>(HashMap<&'a Instance, (i64, usize)>);

impl<'a> Rates<'a> {
    fn new(by_day: &BTreeMap<i64, Vec<&'a Shown>>) -> Self {
        let mut rates: HashMap<&Instance, (i64, usize)> = HashMap::new();
        for (day, windows) in by_day {
            let mut of_day: HashMap<&Instance, usize> = HashMap::new();
            for window in windows {
                *of_day.entry(&window.instance).or_default() += 1;
            }
            for (instance, windows) in of_day {
                let rate = rates.entry(instance).or_insert((*day, 0));
                rate.1 = rate.1.max(windows);
            }
        }
        Self(rates)
    }

    fn expected(&self, day: i64) -> usize {
        let started = self.0.values().filter(|(first, _)| *first <= day);
        started.map(|(_, windows)| windows).sum()
    }
}

fn total(metric: &str, day: i64, windows: &[&Shown], expected: usize) -> DayTotal {
    let counts: Vec<&Counts> = windows
        .iter()
        .filter_map(|window| window.counts())
        .collect();
    let total = Counts::total(counts.iter().map(|counts| (metric, *counts)));
    let is_suppressed = |window: &&&Shown| window.state == SumState::BelowMinimum;
    let suppressed = windows.iter().filter(is_suppressed).count();
    let any = |state| windows.iter().any(|window| window.state == state);
    let state = match &total {
        Ok(_) if counts.len() >= expected => DayState::Complete,
        Ok(_) if counts.len() + suppressed >= expected => DayState::PartlySuppressed,
        Ok(_) => DayState::Incomplete,
        Err(EstimateError::MixedEpsilon { .. } | EstimateError::MixedBins { .. }) => {
            DayState::MixedEpsilon
        }
        Err(_) if any(SumState::BelowMinimum) => DayState::Suppressed,
        Err(_) if any(SumState::Refused) => DayState::Refused,
        Err(_) if any(SumState::OneSide) => DayState::OneSide,
        Err(_) => DayState::Missing,
    };
    DayTotal {
        day,
        state,
        counts: total.ok(),
    }
}
