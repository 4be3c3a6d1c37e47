//! The reachability of a cloud. The first failure is logged immediately, because the retries of a
//! request take up to two minutes and their caller sees no error before that.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Interval between log messages while failures continue.
const REPEAT_INTERVAL: Duration = Duration::from_secs(60);
/// Minimum interval between two logged failures if a request succeeded in between.
const FLAPPING_INTERVAL: Duration = Duration::from_secs(5);

/// The outcome of the most recent requests to one bucket.
#[derive(Debug)]
pub(super) struct Contact {
    bucket: String,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    failing: bool,
    logged: Option<Instant>,
}

impl Contact {
    pub(super) fn new(bucket: &str) -> Self {
        Self {
            bucket: bucket.to_owned(),
            state: Mutex::default(),
        }
    }

    /// Records that a request got no response, or one after which it is retried.
    pub(super) fn failed(&self, problem: &str) {
        if self.state().log_once(Instant::now()) {
            tracing::warn!(
                bucket = self.bucket,
                error = problem,
                "bucket does not respond; retrying the request"
            );
        }
    }

    /// Records that a request got a final response.
    pub(super) fn answered(&self) {
        self.state().failing = false;
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Records a failure, and returns whether to log it.
    fn log_once(&mut self, now: Instant) -> bool {
        let pause = if self.failing {
            REPEAT_INTERVAL
        } else {
            FLAPPING_INTERVAL
        };
        self.failing = true;
        let is_due = self
            .logged
            .is_none_or(|logged| now.duration_since(logged) >= pause);
        if is_due {
            self.logged = Some(now);
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_failure_is_logged_and_then_one_a_minute() {
        let (begun, mut state) = (Instant::now(), State::default());
        let mut failed_at = |seconds| state.log_once(begun + Duration::from_secs(seconds));
        assert_eq!(
            [0, 1, 59, 60, 61].map(&mut failed_at),
            [true, false, false, true, false]
        );
        state.failing = false;
        let mut failed_at = |seconds| state.log_once(begun + Duration::from_secs(seconds));
        assert_eq!(
            [64, 65].map(&mut failed_at),
            [false, false],
            "failure shortly after another"
        );
        state.failing = false;
        assert!(
            state.log_once(begun + Duration::from_secs(66)),
            "a failure after an answer"
        );
    }
}
