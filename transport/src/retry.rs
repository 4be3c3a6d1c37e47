//! Retries of operations on buckets that cannot be reached temporarily.

use std::time::Duration;

/// Awaits an operation up to `attempts` times. Returns its first success, its first error for which
/// `should_retry` is false, or the error of the last attempt.
///
/// The task waits for `pause` before the second attempt and three times longer before each further
/// one. With a `pause` of zero it does not wait.
pub async fn retry<T, E, F>(
    attempts: u32,
    mut pause: Duration,
    should_retry: impl Fn(&E) -> bool,
    mut operation: impl FnMut() -> F,
) -> Result<T, E>
where
    F: Future<Output = Result<T, E>>,
{
    for _ in 1..attempts {
        match operation().await {
            Err(error) if should_retry(&error) => {}
            done => return done,
        }
        // Even a sleep of zero lets other tasks run first.
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
            pause *= 3;
        }
    }
    operation().await
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    const ATTEMPTS: u32 = 4;

    #[tokio::test]
    async fn what_fails_for_a_moment_is_read_again_and_nothing_else() {
        for (failures, is_temporary, attempts, good) in [
            (0, true, 1, true),
            (3, true, ATTEMPTS, true),
            (ATTEMPTS, true, ATTEMPTS, false),
            (1, false, 1, false),
        ] {
            let attempted = Cell::new(0);
            let read = retry(
                ATTEMPTS,
                Duration::ZERO,
                |_| is_temporary,
                || async {
                    attempted.set(attempted.get() + 1);
                    if attempted.get() <= failures {
                        Err(())
                    } else {
                        Ok(())
                    }
                },
            );
            let read = read.await;
            let found = (attempted.get(), read.is_ok());
            assert_eq!(found, (attempts, good), "{failures} failures");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_grow() {
        let begun = tokio::time::Instant::now();
        let pause = Duration::from_millis(100);
        let read = retry(3, pause, |_| true, || async { Err::<(), ()>(()) }).await;
        assert!(read.is_err());
        assert_eq!(begun.elapsed(), Duration::from_millis(400));
    }
}
