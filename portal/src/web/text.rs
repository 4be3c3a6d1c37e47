//! Numbers, days and times as people read them: thousands separators, one date format, UTC.

use jiff::civil::{Date, date};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};
use tallybox_model::time::{BatchTime, Window};
use tallybox_service::progress::grouped;

/// Milliseconds of a day.
pub(crate) const DAY_MILLIS: i64 = 86_400_000;

/// Formats a number with this many decimals and a comma at each thousand.
pub(crate) fn decimal(value: f64, decimals: usize) -> String {
    let plain = format!("{:.decimals$}", value.abs());
    let (whole, rest) = plain.split_at(plain.find('.').unwrap_or(plain.len()));
    let is_zero = plain.bytes().all(|byte| matches!(byte, b'0' | b'.'));
    let sign = if value < 0.0 && !is_zero { "−" } else { "" };
    let whole = whole.parse().map_or_else(|_| whole.to_owned(), grouped);
    format!("{sign}{whole}{rest}")
}

/// Returns the day of a time, counted from 1970-01-01.
pub(crate) fn day_of(millis: i64) -> i64 {
    millis.div_euclid(DAY_MILLIS)
}

/// Returns the date of a day. Days outside of the calendar, which no window has, are 1970-01-01.
pub(crate) fn date_of(day: i64) -> Date {
    const EPOCH: Date = date(1970, 1, 1);
    let span = jiff::Span::new().try_days(day);
    span.and_then(|span| EPOCH.checked_add(span))
        .unwrap_or(EPOCH)
}

/// Parses a date in the form of HTML's date fields, `2026-11-30`; returns its day.
pub(crate) fn parse_day(text: &str) -> Option<i64> {
    let parsed: Date = text.parse().ok()?;
    let span = date(1970, 1, 1).until(parsed).ok()?;
    Some(i64::from(span.get_days()))
}

/// Formats a day for a sentence: `30 Nov 2026`.
pub(crate) fn long_day(day: i64) -> String {
    date_of(day).strftime("%-d %b %Y").to_string()
}

/// Formats a day for HTML's date fields: `2026-11-30`.
pub(crate) fn iso_day(day: i64) -> String {
    date_of(day).to_string()
}

/// Formats a time in UTC: `30 Nov 2026, 08:00`.
pub(crate) fn long_time(millis: i64) -> String {
    let time = Timestamp::from_millisecond(millis).unwrap_or_default();
    let time = TimeZone::UTC.to_datetime(time);
    time.strftime("%-d %b %Y, %H:%M").to_string()
}

/// Formats a time for machines: `2026-11-30T08:00:00Z`.
pub(crate) fn iso_time(time: BatchTime) -> String {
    let time = Timestamp::from_millisecond(time.millis()).unwrap_or_default();
    time.to_string()
}

/// Formats a window: `30 Nov 2026` if it is one whole day, otherwise both ends.
pub(crate) fn window(window: &Window) -> String {
    let (start, end) = (window.start().millis(), window.end().millis());
    if start.rem_euclid(DAY_MILLIS) == 0 && end - start == DAY_MILLIS {
        return long_day(day_of(start));
    }
    let next = date_of(day_of(start)).checked_add(1.day());
    let same_day = day_of(start) == day_of(end)
        || next.is_ok_and(|next| next == date_of(day_of(end)) && end.rem_euclid(DAY_MILLIS) == 0);
    if same_day {
        let (hour, minute) = (end / 3_600_000 % 24, end / 60_000 % 60);
        let hour = if end.rem_euclid(DAY_MILLIS) == 0 {
            24
        } else {
            hour
        };
        return format!("{} to {hour:02}:{minute:02}", long_time(start));
    }
    format!("{} to {}", long_time(start), long_time(end))
}

/// Returns `1 window`, `2 windows`.
pub(crate) fn count_of(number: usize, singular: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{} {singular}{s}", grouped(number as u64))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn numbers_and_days_are_readable() {
        assert_eq!(decimal(-1234.56, 1), "−1,234.6");
        assert_eq!(decimal(-0.04, 1), "0.0");
        assert_eq!(decimal(1_000_000.0, 0), "1,000,000");
        let day = parse_day("2026-11-30").unwrap();
        assert_eq!(
            (long_day(day), iso_day(day)),
            ("30 Nov 2026".into(), "2026-11-30".into())
        );
        let time = |text: &str| text.parse::<BatchTime>().unwrap();
        let of = |start, end| window(&Window::new(time(start), time(end)).unwrap());
        assert_eq!(of("2026/11/30/00/00", "2026/12/01/00/00"), "30 Nov 2026");
        assert_eq!(
            of("2026/11/30/16/00", "2026/12/01/00/00"),
            "30 Nov 2026, 16:00 to 24:00"
        );
        assert_eq!(
            of("2026/11/30/08/00", "2026/11/30/16/30"),
            "30 Nov 2026, 08:00 to 16:30"
        );
    }
}
