//! The model of the vector instructions on plain integers, on which tests run the same arithmetic.

use std::ops::{Add, BitAnd, BitOr, BitXor, Sub};

use super::field::{LIMB_BITS, MASK};
use super::vector::{LANES, Vector};

/// Eight lanes in an array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lanes(pub(crate) [u64; LANES]);

impl Lanes {
    fn zip(self, other: Self, operation: impl Fn(u64, u64) -> u64) -> Self {
        Self(std::array::from_fn(|lane| {
            operation(self.0[lane], other.0[lane])
        }))
    }

    /// Returns the 104-bit products of the low 52 bits.
    fn products(a: Self, b: Self) -> [u128; LANES] {
        std::array::from_fn(|lane| u128::from(a.0[lane] & MASK) * u128::from(b.0[lane] & MASK))
    }
}

impl Vector for Lanes {
    fn splat(value: u64) -> Self {
        Self([value; LANES])
    }

    fn from_lanes(lanes: [u64; LANES]) -> Self {
        Self(lanes)
    }

    fn to_lanes(self) -> [u64; LANES] {
        self.0
    }

    fn shift_left<const BITS: u32>(self) -> Self {
        Self(self.0.map(|lane| lane << BITS))
    }

    fn shift_right<const BITS: u32>(self) -> Self {
        Self(
            self.0
                .map(|lane| (lane.cast_signed() >> BITS).cast_unsigned()),
        )
    }

    fn add_product_low(self, a: Self, b: Self) -> Self {
        let low = Self::products(a, b).map(|product| product as u64 & MASK);
        self + Self(low)
    }

    fn add_product_high(self, a: Self, b: Self) -> Self {
        let high = Self::products(a, b).map(|product| (product >> LIMB_BITS) as u64);
        self + Self(high)
    }
}

impl Add for Lanes {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        self.zip(other, u64::wrapping_add)
    }
}

impl Sub for Lanes {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        self.zip(other, u64::wrapping_sub)
    }
}

impl BitAnd for Lanes {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        self.zip(other, |a, b| a & b)
    }
}

impl BitOr for Lanes {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        self.zip(other, |a, b| a | b)
    }
}

impl BitXor for Lanes {
    type Output = Self;

    fn bitxor(self, other: Self) -> Self {
        self.zip(other, |a, b| a ^ b)
    }
}
