//! The fixed scalar, recoded into 64 signed odd digits of four bits.
//!
//! An odd scalar k with bits b_255 ... b_0 is the sum of s_j 2^j with s_255 = 1 and, below,
//! s_j = 1 if b_(j+1) is set and -1 otherwise (Joye and Tunstall 2009). Four of these signs form a
//! digit, an odd number from -15 to 15. No digit is zero, the sequence of operations is the same
//! for every scalar, and the recoding only moves bits.
//!
//! An even scalar is replaced by its negative n - k: the product is then the negative point, whose x
//! coordinate, the only result of a key agreement, is the same.

use p256::Scalar;
use p256::elliptic_curve::PrimeField as _;
use p256::elliptic_curve::subtle::{ConditionallySelectable as _, ConstantTimeEq as _};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Number of digits.
pub(crate) const DIGITS: usize = 64;
/// Number of table entries: the odd multiples 1, 3, ..., 15 of a point.
pub(crate) const ENTRIES: usize = 8;

/// One digit as masks, all ones or zero. As data in memory, they cannot become branches.
#[derive(Clone, Copy, Default, Zeroize)]
pub(crate) struct Digit {
    /// Selects the table entry of the absolute value.
    pub(crate) entry: [u64; ENTRIES],
    /// Set if the digit is negative.
    pub(crate) negative: u64,
}

/// The digits of a scalar, the lowest first. They are as secret as the scalar.
#[derive(ZeroizeOnDrop)]
pub(crate) struct Recoding {
    digits: Box<[Digit; DIGITS]>,
}

impl Recoding {
    /// Recodes a scalar, which must not be zero. Returns `None` for 30 scalars.
    ///
    /// The prefixes of the digits are the intermediate multiples of a point. The formula for an
    /// addition needs two points that are neither equal nor negatives of each other. Every point of
    /// the curve has the prime order n, so this depends on the scalar and not on the point: a
    /// multiple 16 c and a digit d, where c > 0, are equal or opposite only if 16 c = n + d for a
    /// negative d, at the last digit (before it, 16 c is below n / 8). Then k = 16 c + d = n - 2 |d|,
    /// one of n - 2, n - 6, ..., n - 30. This function refuses all odd scalars above n - 32, that is,
    /// the original scalars 2, 4, ..., 30 and n - 2, n - 4, ..., n - 30. A random scalar is one of
    /// them with a probability of 2^-251. A refusal tells an observer that the key is worthless
    /// anyway, and its absence says no more than that the key is not one of the 30.
    #[inline(never)] // For `scripts/constant-time`, which traces the function.
    pub(crate) fn new(scalar: &Scalar) -> Option<Self> {
        let negative = Zeroizing::new(-scalar);
        let odd = Zeroizing::new(Scalar::conditional_select(
            &negative,
            scalar,
            scalar.is_odd(),
        ));
        if is_below_32(&Zeroizing::new(-*odd)) {
            return None;
        }
        let bytes = Zeroizing::new(odd.to_repr());
        let mut digits = Box::new([Digit::default(); DIGITS]);
        for (index, digit) in digits.iter_mut().enumerate() {
            *digit = Digit::new(signs(bytes.as_slice(), index));
        }
        Some(Self { digits })
    }

    /// Returns the highest digit, which is positive, and the others in descending order.
    pub(crate) fn digits(&self) -> (&Digit, impl Iterator<Item = &Digit>) {
        let [others @ .., highest] = &*self.digits;
        (highest, others.iter().rev())
    }
}

/// Returns the four bits of a big-endian number that are the signs of a digit: the bits from
/// `4 * index + 1` on. Bit 256 counts as set.
fn signs(bytes: &[u8], index: usize) -> u64 {
    let byte = |number: usize| match number {
        32 => 1,
        _ => u64::from(bytes[31 - number]),
    };
    let bit = 4 * index + 1;
    let pair = byte(bit / 8) | byte(bit / 8 + usize::from(bit % 8 == 5)) << 8;
    (pair >> (bit % 8)) & 15
}

impl Digit {
    /// Makes the masks of the digit `2 * signs - 15`.
    fn new(signs: u64) -> Self {
        let negative = (signs >> 3).wrapping_sub(1);
        let entry = (signs ^ negative) & 7;
        Self {
            entry: std::array::from_fn(|number| {
                let mask = u64::from(entry.ct_eq(&(number as u64)).unwrap_u8());
                mask.wrapping_neg()
            }),
            negative,
        }
    }
}

/// Returns whether the scalar is below 32. Only the result depends on the scalar.
fn is_below_32(scalar: &Scalar) -> bool {
    let bytes = Zeroizing::new(scalar.to_repr());
    let (low, high) = (bytes[31], &bytes[..31]);
    high.iter().fold(low >> 5, |any, byte| any | byte) == 0
}
