//! Whether a cloud answers: its first failure is logged at once, since a request is tried again for up to two minutes before
//! anybody else learns of it.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// While failures go on, how often they are logged.
const AGAIN: Duration = Duration::from_secs(60);
/// How soon a failure is logged that follows an answer which followed a logged failure.
const FLAPPING: Duration = Duration::from_secs(5);

/// What the last requests to one bucket came to.
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

    /// A request got no answer, or one that it is tried again after.
    pub(super) fn failed(&self, problem: &str) {
        if self.state().is_news(Instant::now()) {
            tracing::warn!(
                bucket = self.bucket,
                error = problem,
                "bucket does not answer; the request is tried again"
            );
        }
    }

    /// A request got an answer that settles it.
    pub(super) fn answered(&self) {
        self.state().failing = false;
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Notes a failure; whether it is to be logged.
    fn is_news(&mut self, now: Instant) -> bool {
        let pause = if self.failing { AGAIN } else { FLAPPING };
        self.failing = true;
        let news = self.logged.is_none_or(|logged| now.duration_since(logged) >= pause);
        if news {
            self.logged = Some(now);
        }
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_failure_is_logged_and_then_one_a_minute() {
        let (begun, mut state) = (Instant::now(), State::default());
        let mut failed_at = |seconds| state.is_news(begun + Duration::from_secs(seconds));
        assert_eq!(
            [0, 1, 59, 60, 61].map(&mut failed_at),
            [true, false, false, true, false]
        );
        state.failing = false;
        let mut failed_at = |seconds| state.is_news(begun + Duration::from_secs(seconds));
        assert_eq!([64, 65].map(&mut failed_at), [false, false], "it failed just before");
        state.failing = false;
        assert!(
            state.is_news(begun + Duration::from_secs(66)),
            "a failure after an answer"
        );
    }
}
