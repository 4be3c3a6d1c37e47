//! Measures how far a client is behind a minimum rate.

use std::time::Duration;

use tokio::time::Instant;

/// The delay of a client relative to a minimum rate.
///
/// Passing time increases the delay and transferred bytes reduce it, down to zero. Bytes beyond the
/// rate give no credit, so a client cannot send much at once and then hold the connection for long.
#[derive(Debug, Clone, Copy)]
pub struct TransferRate {
    bytes_per_second: u32,
    late: Duration,
    at: Instant,
}

impl TransferRate {
    /// Starts the measurement now, with no delay.
    #[must_use]
    pub fn new(bytes_per_second: u32, now: Instant) -> Self {
        Self {
            bytes_per_second: bytes_per_second.max(1),
            late: Duration::ZERO,
            at: now,
        }
    }

    /// Counts transferred bytes.
    pub fn moved(&mut self, bytes: usize, now: Instant) {
        let nanos = (bytes as u64).saturating_mul(1_000_000_000) / u64::from(self.bytes_per_second);
        self.late = self.late(now).saturating_sub(Duration::from_nanos(nanos));
        self.at = now;
    }

    /// Resets the delay, after the client has completed the expected step.
    pub fn restart(&mut self, now: Instant) {
        (self.late, self.at) = (Duration::ZERO, now);
    }

    /// Returns the current delay.
    #[must_use]
    pub fn late(&self, now: Instant) -> Duration {
        self.late + now.saturating_duration_since(self.at)
    }

    /// Returns the time at which the delay reaches `limit` if no bytes are transferred.
    #[must_use]
    pub fn late_at(&self, limit: Duration) -> Instant {
        self.at + limit.saturating_sub(self.late)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn bytes_at_the_rate_keep_a_client_on_time_and_more_earn_nothing() {
        const SECOND: Duration = Duration::from_secs(1);
        let mut now = Instant::now();
        let mut pace = TransferRate::new(1000, now);
        for _ in 0..100 {
            now += SECOND;
            pace.moved(1000, now);
        }
        assert_eq!(pace.late(now), Duration::ZERO);
        pace.moved(1 << 30, now);
        now += SECOND * 5;
        assert_eq!(pace.late(now), SECOND * 5);
        assert_eq!(pace.late_at(SECOND * 7), now + SECOND * 2);
        for _ in 0..10 {
            now += SECOND;
            pace.moved(1, now);
        }
        assert!(pace.late(now) > SECOND * 14);
        pace.restart(now);
        assert_eq!(pace.late(now), Duration::ZERO);
    }
}
