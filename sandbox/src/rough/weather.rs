//! How rough it is, and the dice.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha20Rng;

/// What may happen to each operation, in thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chances {
    /// It takes a while.
    pub delayed: u16,
    /// It takes much longer.
    pub stalled: u16,
    /// It is not done.
    pub failed: u16,
    /// It is done, and the answer is lost.
    pub lost: u16,
    /// A message: it is there twice.
    pub doubled: u16,
    /// A message: it is gone.
    pub vanished: u16,
    /// A message that is received: others come first.
    pub passed: u16,
}

/// The longest delay, and the longest stall.
const DELAY: Duration = Duration::from_millis(60);
const STALL: Duration = Duration::from_millis(900);

impl Chances {
    /// What `--chaos` is.
    pub const CHAOS: Self = Self {
        delayed: 100,
        stalled: 10,
        failed: 10,
        lost: 10,
        doubled: 80,
        vanished: 25,
        passed: 150,
    };
}

/// What becomes of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Luck {
    Good,
    Fails,
    AnswerLost,
}

/// The weather of one process.
pub struct Weather {
    chances: Chances,
    dice: Mutex<ChaCha20Rng>,
}

impl Weather {
    /// Weather whose dice fall by this seed. With several threads the order of throws is nobody's.
    #[must_use]
    pub fn new(chances: Chances, seed: u64) -> Self {
        Self {
            chances,
            dice: Mutex::new(ChaCha20Rng::seed_from_u64(seed)),
        }
    }

    pub(super) fn chances(&self) -> &Chances {
        &self.chances
    }

    /// Whether something happens that has this chance.
    pub(super) fn happens(&self, thousandths: u16) -> bool {
        self.below(1000) < u64::from(thousandths)
    }

    pub(super) fn below(&self, bound: u64) -> u64 {
        let mut dice = self.dice.lock().unwrap_or_else(PoisonError::into_inner);
        dice.random_range(0..bound.max(1))
    }

    /// A time below this one.
    pub(super) fn within(&self, longest: Duration) -> Duration {
        Duration::from_micros(self.below(u64::try_from(longest.as_micros()).unwrap_or(u64::MAX)))
    }

    /// Waits as long as an operation takes before it begins, and says how it will go.
    pub(super) async fn strike(&self) -> Luck {
        let chances = self.chances;
        if self.happens(chances.stalled) {
            tokio::time::sleep(self.within(STALL)).await;
        } else if self.happens(chances.delayed) {
            tokio::time::sleep(self.within(DELAY)).await;
        }
        if self.happens(chances.failed) {
            Luck::Fails
        } else if self.happens(chances.lost) {
            Luck::AnswerLost
        } else {
            Luck::Good
        }
    }
}

impl fmt::Debug for Weather {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Weather")
            .field("chances", &self.chances)
            .finish_non_exhaustive()
    }
}

/// What an operation fails with.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Struck(pub(super) &'static str);

pub(super) const FAILED: Struck = Struck("made to fail by --chaos");
pub(super) const ANSWER_LOST: Struck = Struck("done, but --chaos lost the answer");
