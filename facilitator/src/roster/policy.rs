//! The rules by which this processor writes rosters, from its configuration.

use crate::error::Error;
use tallybox_model::roster::RosterTerms;
use tallybox_model::time::{BatchTime, Window, aligned_window};

/// The rules of one instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RosterPolicy {
    /// What stands in every roster.
    pub terms: RosterTerms,
    /// How long after a window's end its roster is written, in minutes.
    pub grace_minutes: u32,
    /// End of the last window of which rosters are written, if they end.
    pub until: Option<BatchTime>,
}

impl RosterPolicy {
    /// The window that holds a time; `None` at the ends of the years 1 to 9999.
    #[must_use]
    pub fn window_of(&self, time: BatchTime) -> Option<Window> {
        aligned_window(time, self.terms.period_minutes)
    }

    /// The start of the window so many windows before, but not before the origin.
    #[must_use]
    pub fn back(&self, window: Window, windows: u32) -> BatchTime {
        let minutes = i64::from(windows) * i64::from(self.terms.period_minutes);
        let start = window.start().plus_minutes(-minutes);
        start.map_or(self.terms.origin, |start| start.max(self.terms.origin))
    }

    /// Whether no later window has rosters: then what it leaves open is never summed.
    #[must_use]
    pub fn is_last(&self, window: Window) -> bool {
        self.until.is_some_and(|until| window.end() >= until)
    }

    /// How many windows before a window matter for it.
    #[must_use]
    pub fn horizon(&self) -> u32 {
        self.terms.maximum_age.max(self.terms.replay_horizon)
    }

    /// When the roster of a window is due, in milliseconds since the epoch.
    #[must_use]
    pub fn due_millis(&self, window: Window) -> i64 {
        window.end().millis() + i64::from(self.grace_minutes) * 60_000
    }

    /// Checks that a task names a window of these rules.
    ///
    /// # Errors
    /// [`Error::NoSuchWindow`].
    pub fn check(&self, window: Window) -> Result<(), Error> {
        let problem = if self.window_of(window.start()) != Some(window) {
            format!("it is no window of {} minutes", self.terms.period_minutes)
        } else if window.start() < self.terms.origin {
            format!("rosters are written from {} on", self.terms.origin)
        } else if let Some(until) = self.until.filter(|until| window.end() > *until) {
            format!("rosters are written until {until}")
        } else {
            return Ok(());
        };
        Err(Error::NoSuchWindow {
            window: window.to_string(),
            problem,
        })
    }
}
