//! The challenge of an attested key, which binds the key to one application, one metric and one UTC
//! day.

use sha2::{Digest as _, Sha256};
use tallybox_model::time::BatchTime;

const DAY: i64 = 86_400_000;

/// The days that are accepted: those that overlap the time from `late` ago to `early` from now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DayWindow {
    /// Time after midnight for which the previous day is accepted, in milliseconds.
    pub(crate) late: i64,
    /// Time before midnight from which the next day is accepted, in milliseconds.
    pub(crate) early: i64,
}

impl DayWindow {
    /// Creates a window from minutes.
    pub(crate) const fn minutes(late: u32, early: u32) -> Self {
        Self {
            late: late as i64 * 60_000,
            early: early as i64 * 60_000,
        }
    }

    /// Returns for how many minutes one day is accepted.
    pub(crate) fn key_minutes(self) -> u64 {
        ((self.early + DAY + self.late) / 60_000).unsigned_abs()
    }

    /// Returns the accepted days in days since the epoch: today first, then earlier days, then
    /// later days.
    pub(crate) fn days(self, now: i64) -> impl Iterator<Item = i64> {
        let day = |millis: i64| millis.div_euclid(DAY);
        let today = day(now);
        let first = day(now.saturating_sub(self.late));
        let last = day(now.saturating_add(self.early));
        std::iter::once(today)
            .chain((first..today).rev())
            .chain(today + 1..=last)
    }
}

/// Returns ENPA's challenge: SHA-256 of the four concatenated texts, or `None` for days outside the
/// years 1 to 9999.
///
/// For a known package and a date of eight digits, the challenges of two metrics always differ.
pub(crate) fn challenge(package: &str, metric: &str, day: i64) -> Option<[u8; 32]> {
    let date = BatchTime::from_millis(day.checked_mul(DAY)?)?.compact();
    let mut hash = Sha256::new();
    for part in ["ENPA::attestation", package, metric, date.get(..8)?] {
        hash.update(part.as_bytes());
    }
    Some(hash.finalize().into())
}

/// Returns the day of a challenge for this package and metric, if the day is accepted now.
pub(crate) fn matching_day(
    window: DayWindow,
    package: &str,
    metric: &str,
    given: &[u8],
    now: i64,
) -> Option<i64> {
    window
        .days(now)
        .find(|day| challenge(package, metric, *day).is_some_and(|expected| expected == given))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;

    /// The expected value comes from the key description of a Pixel for this package, metric and
    /// day, in a test that ENPA published.
    #[test]
    fn the_challenge_is_that_of_enpa() {
        let package = "com.google.android.apps.exposurenotification";
        let made = challenge(package, "fakeMetric-v1", 18_565).unwrap();
        let hex: String = made.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            hex,
            "ab6c05922bbbd6b7f451e6918d2c8575ab344efa6d1b3a0cba1676f388f8a9a5"
        );
        assert!(challenge(package, "fakeMetric-v1", i64::MAX).is_none());
    }

    #[test]
    fn neighbours_are_taken_near_midnight_only() {
        let window = DayWindow::minutes(60, 30);
        let days = |millis: i64| window.days(10 * DAY + millis).collect::<Vec<_>>();
        assert_eq!(days(0), [10, 9]);
        assert_eq!(days(HOUR - 1), [10, 9]);
        assert_eq!(days(HOUR), [10]);
        assert_eq!(days(12 * HOUR), [10]);
        assert_eq!(days(24 * HOUR - HOUR / 2 - 1), [10]);
        assert_eq!(days(24 * HOUR - HOUR / 2), [10, 11]);
        assert_eq!(window.key_minutes(), 24 * 60 + 90);
        let wide = DayWindow::minutes(2880, 0);
        assert_eq!(wide.days(10 * DAY + HOUR).collect::<Vec<_>>(), [10, 9, 8]);
        assert_eq!(window.days(-1).collect::<Vec<_>>(), [-1, 0]);
        assert!(window.days(i64::MAX).count() <= 2);
    }
}
