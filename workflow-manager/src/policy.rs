//! The durations that determine the schedule of a processor.

use tallybox_model::role::Role;
use tallybox_model::time::{BatchTime, Window, aligned_window, next_window};

/// How far in the future a batch may be dated, in minutes: the limit of ENPA's workflow manager.
const AHEAD_MINUTES: i64 = 24 * 60;

/// The durations that determine the schedule, in minutes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Policy {
    /// This processor's role.
    pub role: Role,
    /// Length of a window; both processors need the same value.
    pub period_minutes: u32,
    /// Time from the end of a window until it is closed.
    pub grace_minutes: u32,
    /// Without rosters: how long a closed window waits for complete batches whose intake or
    /// validation is missing on one side.
    pub wait_minutes: u32,
    /// Age limit of batches, by the date in their name, whose intake is started although their
    /// window is done.
    pub look_back_minutes: u32,
    /// Age limit of windows, by their start, that are processed late.
    pub horizon_minutes: u32,
    /// Time from the start of a task without an outcome until it is started again.
    pub reenqueue_after_minutes: u32,
}

/// The time ranges that a run scans.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Scope {
    /// Windows whose start is in this half-open range.
    pub windows: (BatchTime, BatchTime),
    /// Dates of batches that are scanned whatever the state of their window.
    pub batches: (BatchTime, BatchTime),
    /// Windows that start at or after this time and before [`Self::windows`] have passed the
    /// horizon. They are not processed any more, and are reported if they are not done.
    pub passed: BatchTime,
}

impl Policy {
    /// Returns the scope of a run at this time.
    #[must_use]
    pub fn scope(&self, now: BatchTime) -> Scope {
        let ahead = later(now, AHEAD_MINUTES);
        Scope {
            windows: (later(now, -i64::from(self.horizon_minutes)), ahead),
            batches: (later(now, -i64::from(self.look_back_minutes)), ahead),
            passed: later(now, -2 * i64::from(self.horizon_minutes)),
        }
    }

    /// Returns the window of a batch; `None` at the limits of the time range.
    #[must_use]
    pub fn window_of(&self, date: BatchTime) -> Option<Window> {
        aligned_window(date, self.period_minutes)
    }

    /// Returns the windows that start in the range, oldest first.
    pub(crate) fn windows(
        &self,
        from: BatchTime,
        until: BatchTime,
    ) -> impl Iterator<Item = Window> + use<> {
        let minutes = self.period_minutes;
        let first = aligned_window(from, minutes).and_then(|window| match window.start() < from {
            true => next_window(window, minutes),
            false => Some(window),
        });
        std::iter::successors(first, move |window| next_window(*window, minutes))
            .take_while(move |window| window.start() < until)
    }

    /// Returns when a window is closed.
    #[must_use]
    pub fn closes(&self, window: Window) -> BatchTime {
        later(window.end(), i64::from(self.grace_minutes))
    }

    /// Without rosters: returns when a closed window is summed without the batches that are missing
    /// on one side.
    #[must_use]
    pub fn waits_until(&self, window: Window) -> BatchTime {
        later(self.closes(window), i64::from(self.wait_minutes))
    }

    /// Returns when a task that started at this time and has no outcome is started again.
    #[must_use]
    pub fn restarts(&self, started: BatchTime) -> BatchTime {
        later(started, i64::from(self.reenqueue_after_minutes))
    }
}

/// Adds minutes to a time; returns the same time at the limits of the time range.
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
        let starts: Vec<String> = windows
            .iter()
            .map(|window| window.start().to_string())
            .collect();
        assert_eq!(
            starts,
            ["2026/03/01/10/00", "2026/03/01/11/00", "2026/03/01/12/00"]
        );
        assert_eq!(policy.closes(windows[1]), now);
    }
}
