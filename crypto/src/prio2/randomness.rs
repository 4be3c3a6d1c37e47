//! The randomness of one split, passed in so that a test or a seeded generator can repeat it.

use std::fmt;

use rand_core::CryptoRng;
use zeroize::ZeroizeOnDrop;

use super::field::MODULUS;
use super::share::SEED_LENGTH;

/// What a split needs besides the data. Never use one twice.
#[derive(Clone, ZeroizeOnDrop)]
pub struct Randomness {
    /// The second processor's share, from which the mask of the first one's is made.
    pub seed: [u8; SEED_LENGTH],
    /// f at 1: hides the data in the polynomial f. A field element.
    pub f0: u32,
    /// g at 1: likewise for g. A field element.
    pub g0: u32,
}

impl Randomness {
    /// Draws all of it, uniformly; numbers not below the modulus are drawn again.
    pub fn draw(rng: &mut (impl CryptoRng + ?Sized)) -> Self {
        let mut seed = [0; SEED_LENGTH];
        rng.fill_bytes(&mut seed);
        Self {
            seed,
            f0: element(rng),
            g0: element(rng),
        }
    }
}

/// A uniform field element.
fn element(rng: &mut (impl CryptoRng + ?Sized)) -> u32 {
    loop {
        let word = rng.next_u32();
        if word < MODULUS {
            return word;
        }
    }
}

impl fmt::Debug for Randomness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Randomness").finish_non_exhaustive()
    }
}
