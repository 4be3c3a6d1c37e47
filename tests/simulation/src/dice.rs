//! The pseudorandom streams of a seed: one stream for each purpose, so that the draws for one
//! purpose do not change those for another.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

/// The domain separator, which makes these streams independent of any other use of a seed.
const DOMAIN: &[u8] = b"tallybox simulation v1";

/// A pseudorandom stream.
#[derive(Clone, Debug)]
pub struct Dice(ChaCha8Rng);

impl Dice {
    /// Creates the stream of a seed for a purpose.
    #[must_use]
    pub fn new(seed: u64, purpose: &str) -> Self {
        let hash = Sha256::new()
            .chain_update(DOMAIN)
            .chain_update(seed.to_be_bytes());
        let key: [u8; 32] = hash.chain_update(purpose.as_bytes()).finalize().into();
        Self(ChaCha8Rng::from_seed(key))
    }

    /// Returns a number below `bound`, or 0 if `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        // The bounds are small compared with 2^64, so the bias of the remainder does not matter.
        self.0.next_u64().checked_rem(bound).unwrap_or(0)
    }

    /// Returns a number of a range that includes both ends.
    pub fn between(&mut self, low: i64, high: i64) -> i64 {
        let width = u64::try_from(high.saturating_sub(low)).unwrap_or(0);
        low + i64::try_from(self.below(width + 1)).unwrap_or(0)
    }

    /// Returns a size of a range that includes both ends.
    pub fn size(&mut self, low: usize, high: usize) -> usize {
        low + usize::try_from(self.below((high.saturating_sub(low) + 1) as u64)).unwrap_or(0)
    }

    /// Returns true with a probability of `per_mille` in 1000.
    pub fn chance(&mut self, per_mille: u64) -> bool {
        self.below(1000) < per_mille
    }

    /// Returns one of the elements, or `None` if there are none.
    pub fn pick<'t, T>(&mut self, elements: &'t [T]) -> Option<&'t T> {
        let index = self.size(0, elements.len().saturating_sub(1));
        elements.get(index)
    }

    /// Returns a delay in milliseconds: at most 200 in 70 % of cases, at most 5000 in 25 %, and up
    /// to `most` in the rest.
    pub fn delay(&mut self, most: i64) -> i64 {
        match self.below(100) {
            0..70 => self.between(1, 200.min(most)),
            70..95 => self.between(1, 5_000.min(most)),
            _ => self.between(1, most),
        }
    }

    /// Returns 16 bytes for an identifier.
    pub fn bytes(&mut self) -> [u8; 16] {
        let mut bytes = [0; 16];
        self.0.fill_bytes(&mut bytes);
        bytes
    }
}
