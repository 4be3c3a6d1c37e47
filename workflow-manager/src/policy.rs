//! How a processor schedules: the lengths of time that everything follows from.

use tallybox_model::role::Role;
use tallybox_model::time::{BatchTime, Window, aligned_window, next_window};

/// How far ahead of our clock a batch may be dated, in minutes: as the predecessor has it.
const AHEAD_MINUTES: i64 = 24 * 60;

/// The lengths of time that scheduling follows from, in minutes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Policy {
    /// Which processor this is.
    pub role: Role,
    /// Length of a window; both processors need the same.
    pub period_minutes: u32,
    /// How long after its end a window is closed.
    pub grace_minutes: u32,
    /// Without rosters: how long after it is closed a window waits for complete batches that one side has not taken in.
    pub wait_minutes: u32,
    /// How old a batch may be, by the date in its name, to be taken in though its window is done.
    pub look_back_minutes: u32,
    /// How old a window may be, by its start, to be caught up.
    pub horizon_minutes: u32,
    /// How long after it was started a task without an outcome is started again.
    pub reenqueue_after_minutes: u32,
}

/// The part of all times that a run looks at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Scope {
    /// The windows that start at or after the first and before the second.
    pub windows: (BatchTime, BatchTime),
    /// The dates of batches that are looked at whatever has become of their window.
    pub batches: (BatchTime, BatchTime),
    /// Windows that start at or after this time, and before [`Self::windows`], have passed the horizon: they are not caught up
    /// any more, and reported if they are not done.
    pub passed: BatchTime,
}

impl Policy {
    /// What a run at this time looks at.
    #[must_use]
    pub fn scope(&self, now: BatchTime) -> Scope {
        let ahead = later(now, AHEAD_MINUTES);
        Scope {
            windows: (later(now, -i64::from(self.horizon_minutes)), ahead),
            batches: (later(now, -i64::from(self.look_back_minutes)), ahead),
            passed: later(now, -2 * i64::from(self.horizon_minutes)),
        }
    }

    /// The window of a batch. `None` at the ends of time.
    #[must_use]
    pub fn window_of(&self, date: BatchTime) -> Option<Window> {
        aligned_window(date, self.period_minutes)
    }

    /// The windows of a scope, oldest first.
    pub(crate) fn windows(&self, from: BatchTime, until: BatchTime) -> impl Iterator<Item = Window> + use<> {
        let minutes = self.period_minutes;
        let first = aligned_window(from, minutes).and_then(|window| match window.start() < from {
            true => next_window(window, minutes),
            false => Some(window),
        });
        std::iter::successors(first, move |window| next_window(*window, minutes))
            .take_while(move |window| window.start() < until)
    }

    /// When a window is closed.
    #[must_use]
    pub fn closes(&self, window: Window) -> BatchTime {
        later(window.end(), i64::from(self.grace_minutes))
    }

    /// Without rosters: when a closed window is summed without the batches that one side has not taken in.
    #[must_use]
    pub fn waits_until(&self, window: Window) -> BatchTime {
        later(self.closes(window), i64::from(self.wait_minutes))
    }

    /// When a task that was started then is started again, if it has had no outcome.
    #[must_use]
    pub fn restarts(&self, started: BatchTime) -> BatchTime {
        later(started, i64::from(self.reenqueue_after_minutes))
    }
}

/// A time some minutes later, or the same at the ends of time.
fn later(time: BatchTime, minutes: i64) -> BatchTime {
    time.plus_minutes(minutes).unwrap_or(time)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_scope_holds_whole_windows() {
        let policy = Policy {
            role: Role::First,
            period_minutes: 60,
            grace_minutes: 10,
            wait_minutes: 0,
            look_back_minutes: 60,
            horizon_minutes: 150,
            reenqueue_after_minutes: 30,
        };
        let now: BatchTime = "2026/03/01/12/10".parse().unwrap();
        let scope = policy.scope(now);
        assert_eq!(scope.windows.0.to_string(), "2026/03/01/09/40");
        assert_eq!(scope.batches.0.to_string(), "2026/03/01/11/10");
        assert_eq!(scope.passed.to_string(), "2026/03/01/07/10");
        let windows: Vec<Window> = policy.windows(scope.windows.0, now).collect();
        let starts: Vec<String> = windows.iter().map(|window| window.start().to_string()).collect();
        assert_eq!(starts, ["2026/03/01/10/00", "2026/03/01/11/00", "2026/03/01/12/00"]);
        assert_eq!(policy.closes(windows[1]), now);
    }
}
