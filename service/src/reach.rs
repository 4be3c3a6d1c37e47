//! Monitors a program's dependencies: state changes are logged, and lasting failures appear at
//! `/readyz`.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

/// How long a dependency may be out of reach before the program reports that it is not ready.
pub const NOT_READY_AFTER: Duration = Duration::from_secs(60);
/// Interval of the checks of a watched dependency, and timeout of each check.
const CHECK_INTERVAL: Duration = Duration::from_secs(10);

/// Dependencies that are out of reach, each with the start of the failure and its cause.
#[derive(Debug, Default)]
pub struct Reach {
    failing: Mutex<BTreeMap<String, Failing>>,
}

#[derive(Debug)]
struct Failing {
    since: Instant,
    problem: String,
}

impl Reach {
    /// Records a result of the dependency `what`; `asked` is when the request was sent.
    pub fn note(&self, what: &str, asked: Instant, answer: Result<(), String>) {
        let mut failing = self.failing();
        match (answer, failing.get_mut(what)) {
            (Ok(()), None) => {}
            (Ok(()), Some(_)) => {
                failing.remove(what);
                tracing::info!(what, "dependency is reachable again");
            }
            (Err(problem), Some(failure)) => failure.problem = problem,
            (Err(problem), None) => {
                tracing::warn!(what, error = problem, "dependency is out of reach");
                let failure = Failing {
                    since: asked,
                    problem,
                };
                failing.insert(what.to_owned(), failure);
            }
        }
    }

    /// Checks a dependency every few seconds, until the future is dropped.
    pub async fn watch<F: Future<Output = Result<(), String>>>(
        &self,
        what: &str,
        ask: impl Fn() -> F,
    ) {
        loop {
            let asked = Instant::now();
            let late = || format!("no answer within {} seconds", CHECK_INTERVAL.as_secs());
            let answer = timeout(CHECK_INTERVAL, ask()).await;
            self.note(what, asked, answer.unwrap_or_else(|_| Err(late())));
            sleep(CHECK_INTERVAL.saturating_sub(asked.elapsed())).await;
        }
    }

    /// Returns the dependencies that have been out of reach for a minute or longer, with the cause:
    /// reasons why the program is not ready.
    #[must_use]
    pub fn reasons(&self) -> Vec<String> {
        let lasting = |(what, failing): (&String, &Failing)| {
            let lasted = failing.since.elapsed();
            let reason = format!(
                "{what} has been out of reach for {} s: {}",
                lasted.as_secs(),
                failing.problem
            );
            (lasted >= NOT_READY_AFTER).then_some(reason)
        };
        self.failing().iter().filter_map(lasting).collect()
    }

    fn failing(&self) -> MutexGuard<'_, BTreeMap<String, Failing>> {
        self.failing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU8, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_does_not_answer_for_a_minute_is_a_reason_until_it_does() {
        let (reach, state) = (Arc::new(Reach::default()), Arc::new(AtomicU8::new(0)));
        let (watching, asked) = (Arc::clone(&reach), Arc::clone(&state));
        let watching = tokio::spawn(async move {
            let ask = || async {
                match asked.load(Ordering::SeqCst) {
                    0 => Ok(()),
                    1 => Err("connection refused".to_owned()),
                    _ => std::future::pending().await,
                }
            };
            watching.watch("the spool", ask).await;
        });
        sleep(Duration::from_secs(5)).await;
        state.store(1, Ordering::SeqCst);
        sleep(Duration::from_secs(59)).await;
        assert_eq!(reach.reasons(), [""; 0]);
        sleep(Duration::from_secs(10)).await;
        let reason = "the spool has been out of reach for 64 s: connection refused";
        assert_eq!(reach.reasons(), [reason]);
        state.store(2, Ordering::SeqCst);
        sleep(Duration::from_secs(20)).await;
        assert!(
            reach.reasons()[0].ends_with("no answer within 10 seconds"),
            "{:?}",
            reach.reasons()
        );
        state.store(0, Ordering::SeqCst);
        sleep(Duration::from_secs(20)).await;
        assert_eq!(reach.reasons(), [""; 0]);
        watching.abort();
    }
}
