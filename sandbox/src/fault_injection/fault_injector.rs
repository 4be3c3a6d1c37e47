//! Fault profile: the probability of each fault, and the random generator.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha20Rng;

/// Probabilities of faults of each operation, in thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FaultProfile {
    /// The operation is delayed.
    pub delayed: u16,
    /// The operation is delayed for much longer.
    pub stalled: u16,
    /// The operation is not executed, and returns an error.
    pub failed: u16,
    /// The operation is executed, but returns an error.
    pub lost: u16,
    /// A message is published twice.
    pub doubled: u16,
    /// A message is lost when it is published.
    pub vanished: u16,
    /// A message is deferred when it is received, so that others overtake it.
    pub passed: u16,
}

/// Maximum time of a delay and of a long delay.
const MAX_DELAY: Duration = Duration::from_millis(60);
const MAX_STALL: Duration = Duration::from_millis(900);

impl FaultProfile {
    /// The profile of `--chaos`.
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

/// The outcome that is injected into an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum InjectedFault {
    Good,
    Fails,
    AnswerLost,
}

/// The fault profile of one process.
pub struct FaultInjector {
    chances: FaultProfile,
    dice: Mutex<ChaCha20Rng>,
}

impl FaultInjector {
    /// Creates a profile with a seed. With several threads the assignment of faults to operations
    /// is not reproducible.
    #[must_use]
    pub fn new(chances: FaultProfile, seed: u64) -> Self {
        Self {
            chances,
            dice: Mutex::new(ChaCha20Rng::seed_from_u64(seed)),
        }
    }

    pub(super) fn chances(&self) -> &FaultProfile {
        &self.chances
    }

    /// Returns true with this probability.
    pub(super) fn happens(&self, thousandths: u16) -> bool {
        self.below(1000) < u64::from(thousandths)
    }

    pub(super) fn below(&self, bound: u64) -> u64 {
        let mut dice = self.dice.lock().unwrap_or_else(PoisonError::into_inner);
        dice.random_range(0..bound.max(1))
    }

    /// Returns a random duration below `longest`.
    pub(super) fn within(&self, longest: Duration) -> Duration {
        Duration::from_micros(self.below(u64::try_from(longest.as_micros()).unwrap_or(u64::MAX)))
    }

    /// Waits for the injected delay of an operation, and returns its outcome.
    pub(super) async fn draw_fault(&self) -> InjectedFault {
        let chances = self.chances;
        if self.happens(chances.stalled) {
            tokio::time::sleep(self.within(MAX_STALL)).await;
        } else if self.happens(chances.delayed) {
            tokio::time::sleep(self.within(MAX_DELAY)).await;
        }
        if self.happens(chances.failed) {
            InjectedFault::Fails
        } else if self.happens(chances.lost) {
            InjectedFault::AnswerLost
        } else {
            InjectedFault::Good
        }
    }
}

impl fmt::Debug for FaultInjector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultInjector")
            .field("chances", &self.chances)
            .finish_non_exhaustive()
    }
}

/// The cause of an injected error.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct InjectedError(pub(super) &'static str);

pub(super) const FAILED: InjectedError =
    InjectedError("injected by --chaos: the operation was not executed");
pub(super) const ANSWER_LOST: InjectedError =
    InjectedError("injected by --chaos: the operation was executed, but its answer was lost");
