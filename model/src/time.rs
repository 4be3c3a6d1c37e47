//! Times of the formats: batch dates in UTC with a precision of one minute, and half-open
//! aggregation windows.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The reason why a text is not a valid time or window.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TimeError {
    /// The text is not `YYYY/MM/DD/HH/MM` with all digits.
    #[error("date {0:?} is not YYYY/MM/DD/HH/MM")]
    Format(String),
    /// The end of a window is not after its start.
    #[error("window {0} to {1} is empty; the end has to be after the start")]
    EmptyWindow(BatchTime, BatchTime),
}

/// A minute in UTC as written in object names: `YYYY/MM/DD/HH/MM`. Years 0001 to 9999.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BatchTime {
    minutes: i64,
}

impl BatchTime {
    /// Returns the minute that contains `millis`, milliseconds since the Unix epoch; `None` outside
    /// the years 1 to 9999.
    #[must_use]
    pub fn from_millis(millis: i64) -> Option<Self> {
        let minutes = millis.div_euclid(60_000);
        let time = Timestamp::from_second(minutes.checked_mul(60)?).ok()?;
        (TimeZone::UTC.to_datetime(time).year() >= 1).then_some(Self { minutes })
    }

    /// Returns the minute of a clock reading. A reading outside the years 1 to 9999 becomes the
    /// epoch.
    #[must_use]
    pub fn of_clock(millis: i64) -> Self {
        Self::from_millis(millis).unwrap_or(Self { minutes: 0 })
    }

    /// Returns the milliseconds since the Unix epoch.
    #[must_use]
    pub fn millis(self) -> i64 {
        self.minutes * 60_000
    }

    /// Returns the time `minutes` later, or earlier if negative; `None` outside the years 1 to
    /// 9999.
    #[must_use]
    pub fn plus_minutes(self, minutes: i64) -> Option<Self> {
        Self::from_millis(self.minutes.checked_add(minutes)?.checked_mul(60_000)?)
    }

    /// Formats the time as `YYYYMMDDHHMM`, the form used in the names of sum parts.
    #[must_use]
    pub fn compact(self) -> String {
        let date = self.datetime();
        format!(
            "{:04}{:02}{:02}{:02}{:02}",
            date.year(),
            date.month(),
            date.day(),
            date.hour(),
            date.minute()
        )
    }

    /// Parses `YYYYMMDDHHMM`.
    ///
    /// # Errors
    /// [`TimeError::Format`] for anything else.
    pub fn from_compact(text: &str) -> Result<Self, TimeError> {
        let bad = || TimeError::Format(text.chars().take(40).collect());
        if text.len() != 12 || !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(bad());
        }
        let parts = [
            &text[..4],
            &text[4..6],
            &text[6..8],
            &text[8..10],
            &text[10..],
        ];
        Self::from_parts(parts).ok_or_else(bad)
    }

    fn from_parts(parts: [&str; 5]) -> Option<Self> {
        let year: i16 = parts[0].parse().ok()?;
        let [month, day, hour, minute] = [1, 2, 3, 4].map(|i| parts[i].parse::<i8>().ok());
        let date = DateTime::new(year, month?, day?, hour?, minute?, 0, 0).ok()?;
        let time = date.to_zoned(TimeZone::UTC).ok()?.timestamp();
        Self::from_millis(time.as_millisecond())
    }

    fn datetime(self) -> DateTime {
        // Every constructor checks the range, so the fallback is never used.
        let time = Timestamp::from_second(self.minutes * 60).unwrap_or_default();
        TimeZone::UTC.to_datetime(time)
    }
}

impl fmt::Display for BatchTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let date = self.datetime();
        write!(
            f,
            "{:04}/{:02}/{:02}/{:02}/{:02}",
            date.year(),
            date.month(),
            date.day(),
            date.hour(),
            date.minute()
        )
    }
}

impl fmt::Debug for BatchTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for BatchTime {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Self, TimeError> {
        let bad = || TimeError::Format(text.chars().take(40).collect());
        let parts: Vec<&str> = text.split('/').collect();
        let parts: [&str; 5] = parts.try_into().map_err(|_| bad())?;
        let widths = [4, 2, 2, 2, 2];
        let digits = |(part, width): (&&str, usize)| {
            part.len() == width && part.bytes().all(|b| b.is_ascii_digit())
        };
        if !parts.iter().zip(widths).all(digits) {
            return Err(bad());
        }
        Self::from_parts(parts).ok_or_else(bad)
    }
}

impl TryFrom<String> for BatchTime {
    type Error = TimeError;

    fn try_from(text: String) -> Result<Self, TimeError> {
        text.parse()
    }
}

impl From<BatchTime> for String {
    fn from(time: BatchTime) -> Self {
        time.to_string()
    }
}

/// The half-open range of batch dates that are summed together: `start <= date < end`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Window {
    start: BatchTime,
    end: BatchTime,
}

impl Window {
    /// Creates the window from `start` (inclusive) to `end` (exclusive).
    ///
    /// # Errors
    /// [`TimeError::EmptyWindow`] if the end is not after the start.
    pub fn new(start: BatchTime, end: BatchTime) -> Result<Self, TimeError> {
        if end <= start {
            return Err(TimeError::EmptyWindow(start, end));
        }
        Ok(Self { start, end })
    }

    /// Returns the first minute of the window.
    #[must_use]
    pub fn start(&self) -> BatchTime {
        self.start
    }

    /// Returns the first minute after the window.
    #[must_use]
    pub fn end(&self) -> BatchTime {
        self.end
    }

    /// Returns whether a batch of this date belongs to the window.
    #[must_use]
    pub fn contains(&self, time: BatchTime) -> bool {
        self.start <= time && time < self.end
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.start, self.end)
    }
}

/// Minutes from 0001-01-01 00:00 UTC, the origin to which windows are aligned, to the Unix epoch.
const MINUTES_TO_EPOCH: i64 = 719_162 * 24 * 60;

/// Returns the window of this length that contains a time. Windows are aligned to 0001-01-01 00:00
/// UTC, as in the predecessor. Returns `None` if the length is zero, and at the limits of the years
/// 1 to 9999.
#[must_use]
pub fn aligned_window(time: BatchTime, minutes: u32) -> Option<Window> {
    let length = i64::from(minutes);
    let since = time.minutes.checked_add(MINUTES_TO_EPOCH)?;
    let start = time.plus_minutes(-since.checked_rem(length)?)?;
    Window::new(start, start.plus_minutes(length)?).ok()
}

/// Returns the window that follows: from the end of this one to the next multiple of the length. A
/// changed length therefore leaves neither a gap nor an overlap.
#[must_use]
pub fn next_window(window: Window, minutes: u32) -> Option<Window> {
    let aligned = aligned_window(window.end(), minutes)?;
    Window::new(window.end(), aligned.end()).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn dates_are_strict_and_round_trip() {
        let time: BatchTime = "2023/11/14/22/01".parse().unwrap();
        assert_eq!(time.millis(), 1_699_999_260_000);
        assert_eq!(time.to_string(), "2023/11/14/22/01");
        assert_eq!(time.compact(), "202311142201");
        assert_eq!(BatchTime::from_compact("202311142201").unwrap(), time);
        assert_eq!(
            BatchTime::from_millis(time.millis() + 59_999).unwrap(),
            time
        );
        for bad in [
            "2023/11/14/22",
            "2023/11/14/22/1",
            "2023/13/14/22/01",
            "2023/02/30/00/00",
            "2023/11/14/24/00",
            "0000/01/01/00/00",
            "+023/11/14/22/01",
        ] {
            assert!(bad.parse::<BatchTime>().is_err(), "{bad}");
        }
        assert!(BatchTime::from_compact("20231114220é").is_err());
    }

    #[test]
    fn windows_are_half_open() {
        let [start, end] =
            ["2023/11/14/22/00", "2023/11/14/23/00"].map(|t| t.parse::<BatchTime>().unwrap());
        let window = Window::new(start, end).unwrap();
        assert!(window.contains(start) && !window.contains(end));
        assert!(Window::new(end, start).is_err() && Window::new(start, start).is_err());
    }

    #[test]
    fn windows_are_aligned_and_leave_no_gap() {
        let time = |text: &str| text.parse::<BatchTime>().unwrap();
        let window = aligned_window(time("2023/11/14/22/59"), 60).unwrap();
        assert_eq!(window.to_string(), "2023/11/14/22/00 to 2023/11/14/23/00");
        assert_eq!(aligned_window(window.start(), 60), Some(window));
        assert_eq!(
            aligned_window(time("0001/01/01/00/00"), 7).unwrap().start(),
            time("0001/01/01/00/00")
        );
        // A day is a multiple of 8 hours, but not of 7. Both are counted from the year 1.
        assert_eq!(
            aligned_window(time("2023/11/14/22/59"), 480)
                .unwrap()
                .start(),
            time("2023/11/14/16/00")
        );
        let next = next_window(window, 60).unwrap();
        assert_eq!(
            (next.start(), next.end()),
            (window.end(), time("2023/11/15/00/00"))
        );
        let longer = next_window(window, 480).unwrap();
        assert_eq!(
            (longer.start(), longer.end()),
            (window.end(), time("2023/11/15/00/00"))
        );
        let shorter = next_window(window, 7).unwrap();
        assert!(shorter.start() == window.end() && shorter.end() < next.end());
        assert_eq!(aligned_window(window.start(), 0), None);
    }
}
