//! Clocks that are passed in, so that tests can set the time and a sandbox can accelerate it.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// A clock: milliseconds since the epoch.
#[derive(Clone, Debug, Default)]
pub struct Clock(Kind);

#[derive(Clone, Debug, Default)]
enum Kind {
    /// The system clock.
    #[default]
    System,
    /// A time that a test sets.
    Manual(Arc<AtomicI64>),
    /// The system clock, accelerated.
    Scaled(Pace),
}

/// The parameters of an accelerated clock: it showed `origin` when the system clock showed `real`,
/// and has run `rate` times as fast since then. All processes with the same parameters see the same
/// time.
///
/// The text form is `ORIGIN:REAL:RATE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Milliseconds since the epoch on the accelerated clock.
    pub origin: i64,
    /// The same moment on the system clock.
    pub real: i64,
    /// Speed factor; 1 is the speed of the system clock.
    pub rate: u32,
}

/// Error of a text that is not a [`Pace`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} does not have the form ORIGIN:REAL:RATE, in milliseconds since the epoch with a rate of 1 or more"
)]
pub struct PaceError(String);

impl Clock {
    /// Returns the system clock.
    #[must_use]
    pub fn system() -> Self {
        Self::default()
    }

    /// Returns a clock whose time changes only with [`set`](Self::set).
    #[must_use]
    pub fn manual(millis: i64) -> Self {
        Self(Kind::Manual(Arc::new(AtomicI64::new(millis))))
    }

    /// Returns an accelerated clock. Sleeps still follow the system clock.
    #[must_use]
    pub fn scaled(pace: Pace) -> Self {
        Self(Kind::Scaled(pace))
    }

    /// Returns the current time in milliseconds since the epoch.
    #[must_use]
    pub fn millis(&self) -> i64 {
        match &self.0 {
            Kind::System => machine(),
            Kind::Manual(set) => set.load(Ordering::SeqCst),
            Kind::Scaled(pace) => pace.at(machine()),
        }
    }

    /// Sets a manual clock forward or back. Does nothing to other clocks.
    pub fn set(&self, millis: i64) {
        if let Kind::Manual(set) = &self.0 {
            set.store(millis, Ordering::SeqCst);
        }
    }
}

impl Pace {
    /// Returns parameters with which the accelerated clock shows `origin` now.
    #[must_use]
    pub fn from_now(origin: i64, rate: u32) -> Self {
        let real = machine();
        Self { origin, real, rate }
    }

    /// Returns the time of the accelerated clock when the system clock shows `real`.
    #[must_use]
    pub fn at(&self, real: i64) -> i64 {
        let gone = real
            .saturating_sub(self.real)
            .saturating_mul(i64::from(self.rate));
        self.origin.saturating_add(gone)
    }
}

fn machine() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |time| {
            i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
        })
}

impl fmt::Display for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.origin, self.real, self.rate)
    }
}

impl FromStr for Pace {
    type Err = PaceError;

    fn from_str(text: &str) -> Result<Self, PaceError> {
        let mut parts = text.split(':');
        let pace = (|| {
            let pace = Self {
                origin: parts.next()?.parse().ok()?,
                real: parts.next()?.parse().ok()?,
                rate: parts.next()?.parse().ok().filter(|rate| *rate > 0)?,
            };
            parts.next().is_none().then_some(pace)
        })();
        pace.ok_or_else(|| PaceError(text.to_owned()))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_fast_clock_shows_ten_minutes_a_second() {
        let pace = Pace {
            origin: 1_000_000,
            real: 5000,
            rate: 600,
        };
        assert_eq!(
            [5000, 6000, 4000].map(|real| pace.at(real)),
            [1_000_000, 1_600_000, 400_000]
        );
        assert_eq!(pace.at(i64::MAX), i64::MAX);
        let text = pace.to_string();
        assert_eq!(
            (text.as_str(), text.parse()),
            ("1000000:5000:600", Ok(pace))
        );
        for bad in ["", "1:2", "1:2:0", "1:2:-1", "1:2:3:4", "a:2:3"] {
            assert!(bad.parse::<Pace>().is_err(), "{bad}");
        }
    }

    #[test]
    fn clocks_of_the_same_pace_agree_whoever_asks() {
        let pace = Pace::from_now(0, 1000);
        let (first, second) = (
            Clock::scaled(pace),
            Clock::scaled(pace.to_string().parse().unwrap()),
        );
        let (before, between, after) = (first.millis(), second.millis(), first.millis());
        assert!(before <= between && between <= after);
        first.set(7);
        assert!(first.millis() >= after, "only a manual clock can be set");
        let manual = Clock::manual(1);
        manual.clone().set(2);
        assert_eq!(manual.millis(), 2);
    }
}
