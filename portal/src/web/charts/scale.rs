//! Axes: round tick values for numbers, and dates for days.

use jiff::ToSpan as _;
use jiff::civil::Date;

use crate::web::text::{date_of, decimal, parse_day};

/// A linear axis from a round number to a round number.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Scale {
    low: f64,
    high: f64,
    step: f64,
}

impl Scale {
    /// Creates an axis that contains the values and 0, with about `ticks` intervals.
    pub(crate) fn around(values: impl IntoIterator<Item = f64>, ticks: u32) -> Self {
        let finite = values.into_iter().filter(|value| value.is_finite());
        let (low, high) = finite.fold((0.0_f64, 0.0_f64), |(low, high), value| {
            (low.min(value), high.max(value))
        });
        let span = if high > low { high - low } else { 1.0 };
        let step = round_step(span / f64::from(ticks.max(1)));
        let high = if high > low { high } else { low + 1.0 };
        Self {
            low: (low / step + 1e-9).floor() * step,
            high: (high / step - 1e-9).ceil() * step,
            step,
        }
    }

    /// Returns the position of a value as a fraction of the axis, at most its ends.
    pub(crate) fn fraction(&self, value: f64) -> f64 {
        ((value - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
    }

    /// Returns the tick values with their labels.
    pub(crate) fn ticks(&self) -> Vec<(f64, String)> {
        let count = ((self.high - self.low) / self.step).round() as u32;
        let values = (0..=count).map(|tick| self.low + f64::from(tick) * self.step);
        values
            .map(|value| (value, decimal(value, self.decimals())))
            .collect()
    }

    fn decimals(&self) -> usize {
        // A step of 0.25 needs two decimals, one of 0.2 needs one.
        (0..6)
            .find(|decimals| {
                let scaled = self.step * 10_f64.powi(*decimals);
                (scaled - scaled.round()).abs() < 1e-6
            })
            .map_or(6, |decimals| decimals as usize)
    }
}

/// Rounds a step up to 1, 2 or 5 times a power of ten.
fn round_step(step: f64) -> f64 {
    let power = 10_f64.powf(step.log10().floor());
    let factor = step / power;
    let round = [1.0, 2.0, 5.0]
        .into_iter()
        .find(|round| factor <= *round + 1e-9);
    round.unwrap_or(10.0) * power
}

/// Returns at most `most` days from `first` to `last` with their labels: every day, every second
/// day, Mondays, every second Monday, or the first days of months.
pub(crate) fn day_ticks(first: i64, last: i64, most: usize) -> Vec<(i64, String)> {
    // Day 4 was a Monday: 1970-01-05.
    const MONDAY: i64 = 4;
    for step in [1, 2, 7, 14] {
        let days = (first..=last).filter(|day| (day - MONDAY).rem_euclid(step) == 0);
        let ticks: Vec<i64> = days.collect();
        if ticks.len() <= most {
            let label = |day: i64| (day, date_of(day).strftime("%-d %b").to_string());
            return ticks.into_iter().map(label).collect();
        }
    }
    for months in [1, 2, 3, 6, 12, 24, 60] {
        let ticks = month_ticks(first, last, months);
        if ticks.len() <= most {
            return ticks;
        }
    }
    Vec::new()
}

fn month_ticks(first: i64, last: i64, months: i8) -> Vec<(i64, String)> {
    let label = |date: Date| match (date.month(), months) {
        (1, _) | (_, 12..) => date.strftime("%Y").to_string(),
        _ => date.strftime("%b").to_string(),
    };
    let mut ticks = Vec::new();
    let mut next = date_of(first).first_of_month();
    loop {
        // The text form is the one conversion that cannot fail for a valid date.
        let Some(day) = parse_day(&next.to_string()).filter(|day| *day <= last) else {
            return ticks;
        };
        let month = i64::from(next.year()) * 12 + i64::from(next.month()) - 1;
        if day >= first && month % i64::from(months) == 0 {
            ticks.push((day, label(next)));
        }
        let Ok(following) = next.checked_add(1.month()) else {
            return ticks;
        };
        next = following;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_numbers() {
        let labels = |values: &[f64]| {
            let scale = Scale::around(values.iter().copied(), 4);
            scale
                .ticks()
                .into_iter()
                .map(|(_, label)| label)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            labels(&[0.0, 1834.0]),
            ["0", "500", "1,000", "1,500", "2,000"]
        );
        assert_eq!(labels(&[-3.0, 0.9]), ["−3", "−2", "−1", "0", "1"]);
        assert_eq!(labels(&[0.7]), ["0.0", "0.2", "0.4", "0.6", "0.8"]);
        assert_eq!(labels(&[]).first().map(String::as_str), Some("0.0"));
    }

    #[test]
    fn day_ticks_fit_the_span() {
        let first = parse_day("2026-10-01").unwrap_or_default();
        let labels = |days, most| {
            let ticks = day_ticks(first, first + days, most);
            ticks
                .into_iter()
                .map(|(_, label)| label)
                .collect::<Vec<_>>()
        };
        assert_eq!(labels(3, 5), ["1 Oct", "2 Oct", "3 Oct", "4 Oct"]);
        assert_eq!(labels(28, 5), ["5 Oct", "12 Oct", "19 Oct", "26 Oct"]);
        assert_eq!(labels(900, 5), ["2027", "Jul", "2028", "Jul", "2029"]);
    }
}
