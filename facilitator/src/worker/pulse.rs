//! What is in hand, and whether it gets on.

use crate::intake::Progress;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Everything that has to get on.
#[derive(Clone, Debug)]
pub struct Pulses(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    begun: Instant,
    stuck_after: Duration,
    hands: Mutex<(u64, BTreeMap<u64, Beat>)>,
}

#[derive(Clone, Debug)]
struct Beat {
    what: String,
    /// When it last got on, in milliseconds since the beginning.
    last: Arc<AtomicU64>,
}

/// Something in hand, until this is dropped.
#[derive(Debug)]
pub struct Hand {
    pulses: Pulses,
    number: u64,
    last: Arc<AtomicU64>,
}

impl Pulses {
    /// Nothing in hand; what says nothing for `stuck_after` will be stuck.
    #[must_use]
    pub fn new(stuck_after: Duration) -> Self {
        Self(Arc::new(Shared {
            begun: Instant::now(),
            stuck_after,
            hands: Mutex::default(),
        }))
    }

    /// Takes something in hand.
    #[must_use]
    pub fn take(&self, what: impl Into<String>) -> Hand {
        let (what, last) = (what.into(), Arc::new(AtomicU64::new(self.now())));
        let mut hands = self.hands();
        let number = hands.0;
        hands.0 += 1;
        let last_shared = Arc::clone(&last);
        hands.1.insert(
            number,
            Beat {
                what,
                last: last_shared,
            },
        );
        Hand {
            pulses: self.clone(),
            number,
            last,
        }
    }

    /// What has said nothing for too long, in words.
    #[must_use]
    pub fn stuck(&self) -> Vec<String> {
        let now = self.now();
        let silent = |beat: &Beat| Duration::from_millis(now.saturating_sub(beat.last.load(Ordering::Relaxed)));
        self.hands()
            .1
            .values()
            .filter(|beat| silent(beat) > self.0.stuck_after)
            .map(|beat| format!("{} has not got on for {} s", beat.what, silent(beat).as_secs()))
            .collect()
    }

    fn now(&self) -> u64 {
        u64::try_from(self.0.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn hands(&self) -> MutexGuard<'_, (u64, BTreeMap<u64, Beat>)> {
        self.0.hands.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hand {
    /// It gets on.
    pub fn beat(&self) {
        self.last.store(self.pulses.now(), Ordering::Relaxed);
    }

    /// A progress callback that says so.
    #[must_use]
    pub fn progress(&self) -> Progress {
        let (pulses, last) = (self.pulses.clone(), Arc::clone(&self.last));
        Arc::new(move |_, _| last.store(pulses.now(), Ordering::Relaxed))
    }
}

impl Drop for Hand {
    fn drop(&mut self) {
        self.pulses.hands().1.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    #[tokio::test(start_paused = true)]
    async fn what_says_nothing_for_too_long_is_stuck_until_it_does() {
        let pulses = Pulses::new(Duration::from_secs(900));
        let (quiet, busy) = (pulses.take("one"), pulses.take("other"));
        let progress = busy.progress();
        advance(Duration::from_secs(600)).await;
        progress(1, 1);
        advance(Duration::from_secs(600)).await;
        assert_eq!(pulses.stuck(), ["one has not got on for 1200 s"]);
        quiet.beat();
        assert!(pulses.stuck().is_empty());
        advance(Duration::from_secs(2000)).await;
        assert_eq!(pulses.stuck().len(), 2);
        drop((quiet, busy));
        assert!(pulses.stuck().is_empty(), "what is no longer in hand cannot be stuck");
    }
}
