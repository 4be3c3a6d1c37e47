//! Eight lanes in one AVX-512 register, and the only unsafe code of the project.
//!
//! The functions of `std::arch` that this file calls have one safety condition: the processor has
//! to support their instructions. [`Detected`] is the proof. [`Lanes`] is private, so that
//! [`multiply`], which takes the proof, is the only way to execute such an instruction.
#![allow(
    unsafe_code,
    reason = "multiplication of 52-bit limbs is three times as fast with instructions that not \
              every processor has"
)]

use std::arch::x86_64::*;
use std::ops::{Add, BitAnd, BitOr, BitXor, Sub};

use super::multiply::{self, Batch};
use super::recoding::Recoding;
use super::vector::{LANES, Vector};

/// Proof that the processor and the operating system support AVX-512 IFMA.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Detected(());

impl Detected {
    /// Detects the instructions.
    pub(crate) fn new() -> Option<Self> {
        let detected =
            is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512ifma");
        detected.then_some(Self(()))
    }
}

/// Size of the stack that [`multiply`] wipes, in bytes. The frame of [`multiply_lanes`] has 30 KiB.
const WIPED_STACK: usize = 48 << 10;

/// Multiplies the points of a batch by the scalar, then wipes the stack that this took.
pub(crate) fn multiply(_: Detected, scalar: &Recoding, batch: &mut Batch<'_>) {
    // SAFETY: `Detected` proves that the processor has both features.
    unsafe { multiply_lanes(scalar, batch) }
    wipe_stack();
}

/// Overwrites the stack below the caller's frame.
#[inline(never)]
fn wipe_stack() {
    zeroize::optimization_barrier(&[0u8; WIPED_STACK]);
}

#[target_feature(enable = "avx512f,avx512ifma")]
fn multiply_lanes(scalar: &Recoding, batch: &mut Batch<'_>) {
    multiply::multiply::<Lanes>(scalar, batch);
}

/// A register of eight lanes.
#[derive(Clone, Copy)]
struct Lanes(__m512i);

/// Calls a function of `std::arch` and wraps its result.
macro_rules! lanes {
    ($instruction:expr) => {
        // SAFETY: code that uses `Lanes` is reached through `multiply` alone, which requires
        // `Detected`.
        Lanes(unsafe { $instruction })
    };
}

impl Vector for Lanes {
    #[inline(always)]
    fn splat(value: u64) -> Self {
        lanes!(_mm512_set1_epi64(value.cast_signed()))
    }

    #[inline(always)]
    fn from_lanes(lanes: [u64; LANES]) -> Self {
        // SAFETY: as above; the array has 64 bytes, and the load needs no alignment.
        lanes!(_mm512_loadu_epi64(lanes.as_ptr().cast()))
    }

    #[inline(always)]
    fn to_lanes(self) -> [u64; LANES] {
        let mut lanes = [0; LANES];
        // SAFETY: as above; the array has 64 bytes, and the store needs no alignment.
        unsafe { _mm512_storeu_epi64(lanes.as_mut_ptr().cast(), self.0) }
        lanes
    }

    #[inline(always)]
    fn shift_left<const BITS: u32>(self) -> Self {
        lanes!(_mm512_slli_epi64::<BITS>(self.0))
    }

    #[inline(always)]
    fn shift_right<const BITS: u32>(self) -> Self {
        lanes!(_mm512_srai_epi64::<BITS>(self.0))
    }

    #[inline(always)]
    fn add_product_low(self, a: Self, b: Self) -> Self {
        lanes!(_mm512_madd52lo_epu64(self.0, a.0, b.0))
    }

    #[inline(always)]
    fn add_product_high(self, a: Self, b: Self) -> Self {
        lanes!(_mm512_madd52hi_epu64(self.0, a.0, b.0))
    }
}

/// Implements an operator by one instruction.
macro_rules! operator {
    ($operator:ident, $method:ident, $instruction:ident) => {
        impl $operator for Lanes {
            type Output = Self;

            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                lanes!($instruction(self.0, other.0))
            }
        }
    };
}

operator!(Add, add, _mm512_add_epi64);
operator!(Sub, sub, _mm512_sub_epi64);
operator!(BitAnd, bitand, _mm512_and_si512);
operator!(BitOr, bitor, _mm512_or_si512);
operator!(BitXor, bitxor, _mm512_xor_si512);
