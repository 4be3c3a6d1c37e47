//! The rules by which this processor writes rosters, and the windows that follow from them.

use super::agreement::{age, memory};
use crate::error::Error;
use crate::limits::RosterRules;
use tallybox_model::roster::{DatedBatch, RosterTerms};
use tallybox_model::time::{BatchTime, Window, aligned_window};

/// The rules in force for an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RosterPolicy {
    /// The terms that every roster repeats.
    pub terms: RosterTerms,
    /// Minutes from a window's end until its roster is written.
    pub grace_minutes: u32,
    /// End of the last window with a roster, if rosters end.
    pub until: Option<BatchTime>,
}

impl RosterPolicy {
    /// Combines the configured rules with the origin and the end of rosters.
    #[must_use]
    pub fn new(rules: &RosterRules, origin: BatchTime, until: Option<BatchTime>) -> Self {
        Self {
            terms: RosterTerms {
                origin,
                period_minutes: rules.period_minutes,
                replay_horizon: rules.replay_horizon,
                minimum: rules.minimum,
                maximum_age: rules.maximum_age,
            },
            grace_minutes: rules.grace_minutes,
            until,
        }
    }

    /// Returns the window that contains a time; `None` at the ends of the years 1 to 9999.
    #[must_use]
    pub fn window_of(&self, time: BatchTime) -> Option<Window> {
        aligned_window(time, self.terms.period_minutes)
    }

    /// Returns the start of the window that is `windows` windows earlier, but not before the
    /// origin.
    #[must_use]
    pub fn back(&self, window: Window, windows: u32) -> BatchTime {
        let minutes = i64::from(windows) * i64::from(self.terms.period_minutes);
        let start = window.start().plus_minutes(-minutes);
        start.map_or(self.terms.origin, |start| start.max(self.terms.origin))
    }

    /// Returns the start of the window that is `windows` windows before the one that contains
    /// `time`, but not before the origin.
    #[must_use]
    pub fn back_from(&self, time: BatchTime, windows: u32) -> BatchTime {
        let window = self.window_of(time);
        window.map_or(time, |window| self.back(window, windows))
    }

    /// Returns the windows from `first` on, in order.
    pub fn windows_from(self, first: Window) -> impl Iterator<Item = Window> {
        std::iter::successors(Some(first), move |window| self.window_of(window.end()))
    }

    /// Returns the windows from the one that contains `start` to `last`, both included, in order.
    pub fn windows(self, start: BatchTime, last: Window) -> impl Iterator<Item = Window> {
        let first = self.window_of(start).into_iter();
        let all = first.flat_map(move |first| self.windows_from(first));
        all.take_while(move |window| *window <= last)
    }

    /// Returns the window before this one, if there is one.
    #[must_use]
    pub fn previous(&self, window: Window) -> Option<Window> {
        let before = window.start().plus_minutes(-1)?;
        self.window_of(before)
    }

    /// Returns whether a batch belongs to this window, or to one that is at most `windows` windows
    /// earlier.
    #[must_use]
    pub fn is_within(&self, batch: DatedBatch, window: Window, windows: u32) -> bool {
        age(batch.date, window, self.terms.period_minutes).is_some_and(|age| age <= windows)
    }

    /// Returns whether this is a window of rosters. A window outside the time of rosters is not.
    ///
    /// # Errors
    /// [`Error::TouchesRosters`] if the window overlaps the time of rosters and is not one of their
    /// windows: rosters decide on some of its batches, whichever batches it names.
    pub fn holds(&self, window: Window) -> Result<bool, Error> {
        let before = window.end() <= self.terms.origin;
        let after = self.until.is_some_and(|until| until <= window.start());
        if before || after {
            return Ok(false);
        }
        let refuse = |error: Error| match error {
            Error::NoSuchWindow { window, problem } => Error::TouchesRosters { window, problem },
            other => other,
        };
        self.check(window).map(|()| true).map_err(refuse)
    }

    /// Returns whether no later window has rosters. Batches that the last window leaves open are
    /// never summed.
    #[must_use]
    pub fn is_last(&self, window: Window) -> bool {
        self.until.is_some_and(|until| window.end() >= until)
    }

    /// Returns the number of earlier windows whose results a window depends on.
    #[must_use]
    pub fn horizon(&self) -> u32 {
        memory(self.terms.maximum_age).max(self.terms.replay_horizon)
    }

    /// Returns the time at which the roster of a window is due, in milliseconds since the epoch.
    #[must_use]
    pub fn due_millis(&self, window: Window) -> i64 {
        window.end().millis() + i64::from(self.grace_minutes) * 60_000
    }

    /// Checks that a window is one of these rules.
    ///
    /// # Errors
    /// [`Error::NoSuchWindow`].
    pub fn check(&self, window: Window) -> Result<(), Error> {
        let problem = if self.window_of(window.start()) != Some(window) {
            format!(
                "not an aligned window of {} minutes",
                self.terms.period_minutes
            )
        } else if window.start() < self.terms.origin {
            format!(
                "the first window with a roster starts at {}",
                self.terms.origin
            )
        } else if let Some(until) = self.until.filter(|until| window.end() > *until) {
            format!("the last window with a roster ends at {until}")
        } else {
            return Ok(());
        };
        Err(Error::NoSuchWindow {
            window: window.to_string(),
            problem,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use tallybox_model::id::BatchId;

    /// Windows of an hour from 10:00 to 13:00.
    fn policy(until: bool) -> RosterPolicy {
        RosterPolicy {
            terms: RosterTerms {
                origin: "2026/01/01/10/00".parse().unwrap(),
                period_minutes: 60,
                replay_horizon: 10,
                minimum: 1,
                maximum_age: 3,
            },
            grace_minutes: 0,
            until: until.then(|| "2026/01/01/13/00".parse().unwrap()),
        }
    }

    fn window(start: &str, end: &str) -> Window {
        let time = |text: &str| format!("2026/01/01/{text}").parse().unwrap();
        Window::new(time(start), time(end)).unwrap()
    }

    #[test]
    fn the_previous_window_ends_where_this_one_starts() {
        let previous = policy(false).previous(window("12/00", "13/00"));
        assert_eq!(previous, Some(window("11/00", "12/00")));
    }

    #[test]
    fn a_batch_is_open_up_to_the_maximum_age() {
        let batch = DatedBatch {
            date: window("12/00", "13/00").start(),
            id: BatchId::from_bytes([1; 16]),
        };
        let is_open = |start, end| policy(false).is_within(batch, window(start, end), 3);
        let windows = [
            ("11/00", "12/00"),
            ("12/00", "13/00"),
            ("15/00", "16/00"),
            ("16/00", "17/00"),
        ];
        let open = windows.map(|(start, end)| is_open(start, end));
        assert_eq!(open, [false, true, true, false]);
    }

    #[test]
    fn a_window_is_one_of_rosters_or_outside_their_time_or_refused() {
        let held = |until, start, end| policy(until).holds(window(start, end)).ok();
        for until in [false, true] {
            for (start, end) in [("10/00", "11/00"), ("12/00", "13/00")] {
                assert_eq!(held(until, start, end), Some(true), "{start} {end}");
            }
            for (start, end) in [("09/00", "10/00"), ("00/00", "10/00"), ("08/30", "09/15")] {
                assert_eq!(held(until, start, end), Some(false), "{start} {end}");
            }
            for (start, end) in [
                ("09/59", "11/00"),
                ("09/59", "10/01"),
                ("00/00", "23/00"),
                ("10/00", "12/00"),
                ("10/30", "11/30"),
                ("10/00", "10/30"),
                ("12/59", "14/00"),
            ] {
                assert_eq!(held(until, start, end), None, "{start} {end}");
            }
        }
        assert_eq!(held(true, "13/00", "14/00"), Some(false));
        assert_eq!(held(true, "13/30", "23/00"), Some(false));
        assert_eq!(held(false, "13/00", "14/00"), Some(true));
    }

    #[test]
    fn rosters_are_written_from_the_origin_to_the_end_and_no_further() {
        let checked = |until, start, end| policy(until).check(window(start, end)).is_ok();
        for until in [false, true] {
            assert!(!checked(until, "09/00", "10/00"));
            assert!(checked(until, "10/00", "11/00"));
            assert!(checked(until, "12/00", "13/00"));
        }
        assert!(!checked(true, "13/00", "14/00") && checked(false, "13/00", "14/00"));

        let last = |until, start, end| policy(until).is_last(window(start, end));
        assert!(!last(true, "11/00", "12/00") && last(true, "12/00", "13/00"));
        assert!(!last(false, "12/00", "13/00"));
    }
}
