//! Verification messages: one processor's part of one packet's check.

use std::fmt;

use super::field::{MODULUS, mul, reduce};
use crate::error::MessageError;

/// A processor's part of the values of f, g and h at the evaluation point.
///
/// The messages of both processors about one packet at two different points reveal the client's
/// answer, so `Debug` omits the values.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Message {
    /// f at the point, a field element.
    pub f: u32,
    /// g at the point, a field element.
    pub g: u32,
    /// h at the point, a field element.
    pub h: u32,
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message").finish_non_exhaustive()
    }
}

impl Message {
    /// Creates a message from the three numbers of a validation packet (`f_r`, `g_r`, `h_r`). Like
    /// ENPA, the function reduces numbers from the modulus to 2^32 - 1.
    ///
    /// # Errors
    /// [`MessageError`] if a number is negative or above 2^32 - 1.
    pub fn new(f: i64, g: i64, h: i64) -> Result<Self, MessageError> {
        let element = |number: i64| {
            u32::try_from(number)
                .map(|word| reduce(word.into()))
                .map_err(|_| MessageError)
        };
        Ok(Self {
            f: element(f)?,
            g: element(g)?,
            h: element(h)?,
        })
    }

    /// Returns whether the packet is accepted, given the other processor's message: f * g = h for
    /// the sums.
    #[inline]
    pub fn is_valid_with(&self, other: &Self) -> bool {
        Self::is_valid(&[*self, *other])
    }

    /// Returns whether the packet is accepted, given the messages of all processors.
    #[inline]
    pub fn is_valid(messages: &[Self]) -> bool {
        let total = |part: fn(&Self) -> u32| {
            reduce(
                messages
                    .iter()
                    .map(|message| u64::from(part(message)))
                    .sum(),
            )
        };
        mul(total(|message| message.f), total(|message| message.g)) == total(|message| message.h)
    }

    /// Encodes the three field elements as little-endian words: 12 bytes.
    pub fn to_bytes(&self) -> [u8; 12] {
        let mut bytes = [0; 12];
        for (place, word) in bytes
            .as_chunks_mut::<4>()
            .0
            .iter_mut()
            .zip([self.f, self.g, self.h])
        {
            *place = word.to_le_bytes();
        }
        bytes
    }

    /// Decodes the form of [`Self::to_bytes`]; returns `None` if a word is not below the modulus.
    pub fn from_bytes(bytes: &[u8; 12]) -> Option<Self> {
        let word = |i: usize| u32::from_le_bytes(bytes.as_chunks::<4>().0[i]);
        let message = Self {
            f: word(0),
            g: word(1),
            h: word(2),
        };
        [message.f, message.g, message.h]
            .iter()
            .all(|&element| element < MODULUS)
            .then_some(message)
    }
}
