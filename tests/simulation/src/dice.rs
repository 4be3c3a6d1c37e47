//! Draws of one seed: a stream for each purpose, so that what one thing draws changes nothing of another's.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

/// Separates these draws from any other use of a seed.
const DOMAIN: &[u8] = b"tallybox simulation v1";

/// A stream of draws.
#[derive(Clone, Debug)]
pub struct Dice(ChaCha8Rng);

impl Dice {
    /// The stream of a seed for a purpose.
    #[must_use]
    pub fn new(seed: u64, purpose: &str) -> Self {
        let hash = Sha256::new().chain_update(DOMAIN).chain_update(seed.to_be_bytes());
        let key: [u8; 32] = hash.chain_update(purpose.as_bytes()).finalize().into();
        Self(ChaCha8Rng::from_seed(key))
    }

    /// A number below `bound`; 0 if that is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        // The bounds are small, so the remainder is even enough.
        self.0.next_u64().checked_rem(bound).unwrap_or(0)
    }

    /// A number of a range, both ends included.
    pub fn between(&mut self, low: i64, high: i64) -> i64 {
        let width = u64::try_from(high.saturating_sub(low)).unwrap_or(0);
        low + i64::try_from(self.below(width + 1)).unwrap_or(0)
    }

    /// A number of a range, both ends included, for sizes.
    pub fn size(&mut self, low: usize, high: usize) -> usize {
        low + usize::try_from(self.below((high.saturating_sub(low) + 1) as u64)).unwrap_or(0)
    }

    /// True in so many of 1000 cases.
    pub fn chance(&mut self, per_mille: u64) -> bool {
        self.below(1000) < per_mille
    }

    /// One of several; `None` of none.
    pub fn pick<'t, T>(&mut self, of: &'t [T]) -> Option<&'t T> {
        let place = self.size(0, of.len().saturating_sub(1));
        of.get(place)
    }

    /// A delay in milliseconds: mostly short, now and then up to `most`.
    pub fn delay(&mut self, most: i64) -> i64 {
        match self.below(100) {
            0..70 => self.between(1, 200.min(most)),
            70..95 => self.between(1, 5_000.min(most)),
            _ => self.between(1, most),
        }
    }

    /// 16 bytes for an identifier.
    pub fn bytes(&mut self) -> [u8; 16] {
        let mut bytes = [0; 16];
        self.0.fill_bytes(&mut bytes);
        bytes
    }
}
