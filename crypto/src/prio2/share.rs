//! The share of a processor, created by the client and decoded from the plaintext of a packet.

use std::fmt;

use zeroize::ZeroizeOnDrop;

use super::field::MODULUS;
use super::layout::ELEMENT_LENGTH;
use super::{Prio2, prg};
use crate::error::ShareError;

/// Length of the second processor's share, in bytes.
pub const SEED_LENGTH: usize = 32;

/// The two shares of one vector and its proof, before encryption.
#[derive(Clone, PartialEq, Eq, ZeroizeOnDrop)]
pub struct Shares {
    /// The first processor's share: the proof minus the mask, four little-endian bytes for each
    /// element.
    pub first: Vec<u8>,
    /// The second processor's share: the seed of the mask.
    pub second: [u8; SEED_LENGTH],
}

impl fmt::Debug for Shares {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shares").finish_non_exhaustive()
    }
}

impl Prio2 {
    /// Decodes the plaintext of a packet into the [`Self::proof_length`] elements of a share.
    /// `role_index` is 0 for the first processor.
    ///
    /// The function replaces the content of `out`. The elements are secret, so the owner of `out`
    /// has to wipe them.
    ///
    /// # Errors
    /// [`ShareError::Length`] if the plaintext has the wrong length, [`ShareError::Element`] if a
    /// value is not a field element, [`ShareError::Processor`] for an index above 1. In each case,
    /// `out` is empty.
    pub fn decode_share(
        &self,
        role_index: usize,
        plaintext: &[u8],
        out: &mut Vec<u32>,
    ) -> Result<(), ShareError> {
        self.decode(role_index, plaintext, self.proof_length(), out)
    }

    /// Decodes the data of a share, one element for each bin, from the part that a processor
    /// stores: the data elements of the first processor, or the seed of the second. The caller adds
    /// these elements when the packet is accepted.
    ///
    /// # Errors
    /// Those of [`Self::decode_share`], with the length of the stored part.
    pub fn decode_data(
        &self,
        role_index: usize,
        plaintext: &[u8],
        out: &mut Vec<u32>,
    ) -> Result<(), ShareError> {
        self.decode(role_index, plaintext, self.bins(), out)
    }

    /// Decodes the first `count` elements of a share.
    fn decode(
        &self,
        role_index: usize,
        plaintext: &[u8],
        count: usize,
        out: &mut Vec<u32>,
    ) -> Result<(), ShareError> {
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

    fn decode_elements(
        plaintext: &[u8],
        count: usize,
        out: &mut Vec<u32>,
    ) -> Result<(), ShareError> {
        let expected = count * ELEMENT_LENGTH;
        if plaintext.len() != expected {
            return Err(ShareError::Length {
                expected,
                found: plaintext.len(),
            });
        }
        let (words, _) = plaintext.as_chunks::<ELEMENT_LENGTH>();
        out.extend(words.iter().map(|word| u32::from_le_bytes(*word)));
        // No early exit, so that the loop vectorises: nearly all shares are valid.
        if out
            .iter()
            .fold(false, |any, &element| any | (element >= MODULUS))
        {
            crate::wipe::wipe(out);
            out.clear();
            return Err(ShareError::Element);
        }
        Ok(())
    }
}
