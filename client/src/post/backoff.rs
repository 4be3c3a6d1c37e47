//! Delays between attempts to post.

use std::time::Duration;

use rand::Rng;

/// Exponential backoff with a cap and full jitter. The delay before attempt n + 1 is drawn
/// uniformly from 0 to min(cap, first * 2^n), so that clients that failed together do not return
/// together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The longest delay after the first failure. Default: half a second.
    pub first: Duration,
    /// The longest delay after any failure. Default: a minute.
    pub cap: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(500),
            cap: Duration::from_secs(60),
        }
    }
}

impl Backoff {
    /// Returns the delay after `failures` consecutive failures, from 1.
    pub fn wait(&self, failures: u32, rng: &mut (impl Rng + ?Sized)) -> Duration {
        // A float has 53 bits of precision.
        let share = (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
        self.longest(failures).mul_f64(share)
    }

    fn longest(&self, failures: u32) -> Duration {
        let doubled = 1_u32.checked_shl(failures.saturating_sub(1));
        let longest = doubled.and_then(|factor| self.first.checked_mul(factor));
        longest.map_or(self.cap, |longest| longest.min(self.cap))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha20Rng;

    use super::*;

    #[test]
    fn waits_grow_to_the_cap_and_use_the_whole_range() {
        let backoff = Backoff {
            first: Duration::from_secs(1),
            cap: Duration::from_secs(10),
        };
        let longest: Vec<u64> = [1, 2, 3, 4, 5, 40, u32::MAX]
            .map(|failures| backoff.longest(failures).as_secs())
            .into();
        assert_eq!(longest, [1, 2, 4, 8, 10, 10, 10]);
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let waits: Vec<f64> = (0..1000)
            .map(|_| backoff.wait(9, &mut rng).as_secs_f64())
            .collect();
        let mean = waits.iter().sum::<f64>() / 1000.0;
        assert!(waits.iter().all(|wait| (0.0..10.0).contains(wait)));
        assert!((4.5..5.5).contains(&mean), "{mean}");
    }
}
