//! Connections on which nothing is asked: they are closed after a while, whatever else is said on them. HTTP/2 has frames
//! that cost a client nothing and look like life, and a place is held by whoever sends them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

/// What is being asked on a connection.
#[derive(Debug, Clone)]
pub(super) struct Activity(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    /// Requests that are not answered yet.
    open: usize,
    /// When there was one last, or the connection began.
    last: Instant,
}

/// A request that is being answered.
#[derive(Debug)]
pub(super) struct Asked(Activity);

impl Activity {
    /// A connection that begins now.
    pub(super) fn new() -> Self {
        let last = Instant::now();
        Self(Arc::new(Mutex::new(State { open: 0, last })))
    }

    /// A request has come; it is answered when this is dropped.
    pub(super) fn asked(&self) -> Asked {
        self.state().open += 1;
        Asked(self.clone())
    }

    /// Ends once nothing has been asked for so long, at most twice as late.
    pub(super) async fn ceased(&self, patience: Duration) {
        loop {
            let (open, last) = {
                let state = self.state();
                (state.open, state.last)
            };
            if open > 0 {
                sleep(patience).await;
                continue;
            }
            let end = last + patience;
            if end <= Instant::now() {
                return;
            }
            sleep_until(end).await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No call leaves it half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.open -= 1;
        state.last = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_asked_keeps_a_connection_and_nothing_else() {
        const SOON: Duration = Duration::from_secs(5);
        let activity = Activity::new();
        let begun = Instant::now();
        activity.ceased(SOON).await;
        assert_eq!(begun.elapsed(), SOON);
        let (one, other) = (activity.asked(), activity.asked());
        drop(one);
        let waiting = activity.clone();
        let asking = async move {
            sleep(SOON * 10).await;
            drop(other);
        };
        tokio::join!(waiting.ceased(SOON), asking);
        let elapsed = begun.elapsed();
        assert!((SOON * 12..=SOON * 13).contains(&elapsed), "{elapsed:?}");
    }
}
