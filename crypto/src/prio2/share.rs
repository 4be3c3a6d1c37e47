//! A processor's share: made by the client, and decoded from what a packet holds.

use std::fmt;

use zeroize::ZeroizeOnDrop;

use super::field::MODULUS;
use super::layout::ELEMENT_LENGTH;
use super::{Prio2, prg};
use crate::error::ShareError;

/// Bytes of the second processor's share.
pub const SEED_LENGTH: usize = 32;

/// The two shares of one vector and its proof, ready to be sealed.
#[derive(Clone, PartialEq, Eq, ZeroizeOnDrop)]
pub struct Shares {
    /// For the first processor: the proof less the mask, four little-endian bytes an element.
    pub first: Vec<u8>,
    /// For the second processor: the seed of the mask.
    pub second: [u8; SEED_LENGTH],
}

impl fmt::Debug for Shares {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shares").finish_non_exhaustive()
    }
}

impl Prio2 {
    /// Decodes the plaintext of a packet into the [`Self::proof_length`] elements of a share. `role_index` is 0 for
    /// the first processor.
    ///
    /// `out` is replaced, not appended to. It holds a secret afterwards: whoever owns it wipes it.
    ///
    /// # Errors
    /// [`ShareError::Length`] if the plaintext is not as long as such a share, [`ShareError::Element`] if it has
    /// an element that is none, [`ShareError::Processor`] for an index above 1. `out` is empty then.
    pub fn decode_share(&self, role_index: usize, plaintext: &[u8], out: &mut Vec<u32>) -> Result<(), ShareError> {
        self.decode(role_index, plaintext, self.proof_length(), out)
    }

    /// Decodes the data of a share, one element a bin, from what a processor keeps of it: the first one the data
    /// elements, cut off the rest, the second one its seed. It is what is added when the packet counts.
    ///
    /// # Errors
    /// As [`Self::decode_share`], for that length.
    pub fn decode_data(&self, role_index: usize, plaintext: &[u8], out: &mut Vec<u32>) -> Result<(), ShareError> {
        self.decode(role_index, plaintext, self.bins(), out)
    }

    /// Decodes the first `count` elements of a share.
    fn decode(&self, role_index: usize, plaintext: &[u8], count: usize, out: &mut Vec<u32>) -> Result<(), ShareError> {
        out.clear();
        match role_index {
            0 => Self::decode_elements(plaintext, count, out),
            1 => {
                let length = ShareError::Length {
                    expected: SEED_LENGTH,
                    found: plaintext.len(),
                };
                prg::expand(plaintext.try_into().map_err(|_| length)?, count, out);
                Ok(())
            }
            index => Err(ShareError::Processor { index }),
        }
    }

    fn decode_elements(plaintext: &[u8], count: usize, out: &mut Vec<u32>) -> Result<(), ShareError> {
        let expected = count * ELEMENT_LENGTH;
        if plaintext.len() != expected {
            return Err(ShareError::Length {
                expected,
                found: plaintext.len(),
            });
        }
        let (words, _) = plaintext.as_chunks::<ELEMENT_LENGTH>();
        out.extend(words.iter().map(|word| u32::from_le_bytes(*word)));
        // No early exit, so that it runs in vectors: shares are nearly always good.
        if out.iter().fold(false, |any, &element| any | (element >= MODULUS)) {
            crate::wipe::wipe(out);
            out.clear();
            return Err(ShareError::Element);
        }
        Ok(())
    }
}
