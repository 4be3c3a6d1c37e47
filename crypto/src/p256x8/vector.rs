//! The interface of a vector of eight 64-bit lanes, over which the arithmetic is written.
//!
//! The product has one implementation, on AVX-512 IFMA. The tests have two more: a model on arrays,
//! and intervals, which prove that no lane overflows.

use std::ops::{Add, BitAnd, BitOr, BitXor, Sub};

/// Number of lanes.
pub(crate) const LANES: usize = 8;

/// Eight lanes of 64 bits, unsigned or in two's complement. Sums and differences wrap.
///
/// Implementations and the generic code above them are `#[inline(always)]`: everything is inlined
/// into one function that is compiled for the instructions of the implementation.
pub(crate) trait Vector:
    Copy
    + Add<Output = Self>
    + Sub<Output = Self>
    + BitAnd<Output = Self>
    + BitOr<Output = Self>
    + BitXor<Output = Self>
{
    /// Copies one value to all lanes.
    fn splat(value: u64) -> Self;
    /// Combines the values of the lanes.
    fn from_lanes(lanes: [u64; LANES]) -> Self;
    /// Returns the values of the lanes.
    fn to_lanes(self) -> [u64; LANES];
    /// Shifts left by `BITS`.
    fn shift_left<const BITS: u32>(self) -> Self;
    /// Shifts right by `BITS` and keeps the sign.
    fn shift_right<const BITS: u32>(self) -> Self;
    /// Adds the low 52 bits of the product `a * b`, of which only the low 52 bits each are used.
    fn add_product_low(self, a: Self, b: Self) -> Self;
    /// Adds bits 52 to 103 of the same product.
    fn add_product_high(self, a: Self, b: Self) -> Self;

    /// Negates the lanes whose mask is all ones. The mask of the others is zero.
    #[inline(always)]
    fn negate_if(self, mask: Self) -> Self {
        (self ^ mask) - mask
    }
}
