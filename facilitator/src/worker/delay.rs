//! The delay before a retry: exponential backoff with jitter.

use crate::config::worker::RetryDelay;
use sha2::{Digest as _, Sha256};
use std::time::Duration;

/// Returns the delay after this attempt (from 1): `min`, doubled with each attempt up to `max`,
/// times a jitter between 0.5 and 1.5. The jitter is a function of the message and the attempt, so
/// that simulations are reproducible.
#[must_use]
pub fn retry_delay(delay: RetryDelay, attempt: u32, message: &[u8]) -> Duration {
    let (min, max) = (
        Duration::from_secs(delay.min_secs),
        Duration::from_secs(delay.max_secs),
    );
    let doubled = min.saturating_mul(
        1_u32
            .checked_shl(attempt.saturating_sub(1))
            .unwrap_or(u32::MAX),
    );
    let hash = Sha256::new()
        .chain_update(message)
        .chain_update(attempt.to_be_bytes())
        .finalize();
    let share = u16::from_be_bytes([hash[0], hash[1]]);
    doubled
        .min(max)
        .mul_f64(0.5 + f64::from(share) / f64::from(u16::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_doubles_up_to_its_end_and_spreads() {
        let delay = RetryDelay {
            min_secs: 10,
            max_secs: 600,
        };
        for (attempt, middle) in [
            (0, 10.0),
            (1, 10.0),
            (2, 20.0),
            (3, 40.0),
            (7, 600.0),
            (4_000_000, 600.0),
        ] {
            let all: Vec<f64> = (0..100_u8)
                .map(|i| retry_delay(delay, attempt, &[i]).as_secs_f64())
                .collect();
            let within = |secs: &f64| (0.5 * middle..=1.5 * middle).contains(secs);
            assert!(all.iter().all(within), "attempt {attempt}: {all:?}");
            let mean = all.iter().sum::<f64>() / 100.0;
            assert!(
                (0.8 * middle..1.2 * middle).contains(&mean),
                "attempt {attempt}: {mean}"
            );
        }
        assert_eq!(retry_delay(delay, 1, b"a"), retry_delay(delay, 1, b"a"));
        let none = RetryDelay {
            min_secs: 0,
            max_secs: 0,
        };
        assert_eq!(retry_delay(none, 9, b"a"), Duration::ZERO);
    }
}
