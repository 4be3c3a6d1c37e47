//! The randomness of one split. The caller passes it in, so that a test or a seeded generator can
//! repeat the split.

use std::fmt;

use rand_core::CryptoRng;
use zeroize::ZeroizeOnDrop;

use super::field::MODULUS;
use super::share::SEED_LENGTH;

/// The random values of one split. Never use a value twice.
#[derive(Clone, ZeroizeOnDrop)]
pub struct Randomness {
    /// The second processor's share, which is also expanded to the mask of the first processor's
    /// share.
    pub seed: [u8; SEED_LENGTH],
    /// The value of f at 1, which hides the data in the polynomial f. A field element.
    pub f0: u32,
    /// The value of g at 1, which hides the data in the polynomial g. A field element.
    pub g0: u32,
}

impl Randomness {
    /// Draws all values uniformly. Numbers not below the modulus are drawn again.
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

/// Draws a uniform field element.
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

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use rand_core::{TryCryptoRng, TryRng};

    use super::*;

    /// Returns the given words in order.
    struct Words(std::vec::IntoIter<u32>);

    impl TryRng for Words {
        type Error = Infallible;

        fn try_next_u32(&mut self) -> Result<u32, Infallible> {
            Ok(self.0.next().unwrap_or_default())
        }

        fn try_next_u64(&mut self) -> Result<u64, Infallible> {
            Ok(u64::from(self.try_next_u32()?))
        }

        fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
            bytes.fill(7);
            Ok(())
        }
    }

    impl TryCryptoRng for Words {}

    #[test]
    fn the_first_words_below_p_hide_the_data() {
        let words = vec![u32::MAX, MODULUS, MODULUS - 1, MODULUS, 5, 6];
        let randomness = Randomness::draw(&mut Words(words.into_iter()));
        assert_eq!(randomness.seed, [7; SEED_LENGTH]);
        assert_eq!((randomness.f0, randomness.g0), (MODULUS - 1, 5));
    }
}
