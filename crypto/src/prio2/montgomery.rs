//! Modular multiplication that the compiler can vectorise: Montgomery multiplication with R = 2^32.
//!
//! p = 2^32 - 2^20 + 1 makes it cheap. The inverse of p mod 2^32 is 2^20 + 1, and both products by
//! constants are shifts. The only remaining multiplication is one of 32 by 32 bits.

use super::field::{MODULUS, inverse, mul};

/// R^2 mod p, where R = 2^32.
const R2: u32 = ((1u128 << 64) % MODULUS as u128) as u32;

/// Computes a * b / R mod p, for a and b below p.
#[inline]
pub(super) fn product(a: u32, b: u32) -> u32 {
    let wide = u64::from(a) * u64::from(b);
    let low = wide as u32;
    let factor = u64::from(low.wrapping_add(low << 20));
    // High half of factor * p.
    let high = ((factor << 32) - (factor << 20) + factor) >> 32;
    let (difference, borrow) = ((wide >> 32) as u32).overflowing_sub(high as u32);
    if borrow {
        difference.wrapping_add(MODULUS)
    } else {
        difference
    }
}

/// Computes a * R mod p. [`product`] of this value and another number is the ordinary product.
#[inline]
pub(super) fn scaled(a: u32) -> u32 {
    product(a, R2)
}

/// Replaces each v in `values` by R^2 / v. No value may be 0. `scratch` is reusable working memory.
///
/// The function uses a tree of products with one inversion at its root: three multiplications for
/// each value, none of which depends on its neighbour.
pub(super) fn invert_all(values: &mut [u32], scratch: &mut Vec<u32>) {
    let width = values.len().next_power_of_two();
    // Levels of the tree in sequence, leaves first: width, width/2, ..., 1 elements.
    scratch.clear();
    scratch.resize(2 * width, 1);
    scratch[..values.len()].copy_from_slice(values);

    let (mut start, mut length) = (0, width);
    while length > 1 {
        let (below, above) = scratch[start..].split_at_mut(length);
        let (left, right) = below.split_at(length / 2);
        for ((parent, &left), &right) in above.iter_mut().zip(left).zip(right) {
            *parent = product(left, right);
        }
        start += length;
        length /= 2;
    }
    // In Montgomery form the product is P * R. R / P is propagated down the tree.
    scratch[start] = mul(inverse(scratch[start]), R2);
    while length < width {
        let child = length * 2;
        start -= child;
        let (below, above) = scratch[start..].split_at_mut(child);
        let (left, right) = below.split_at_mut(length);
        for ((&mut parent, left), right) in above[..length].iter_mut().zip(left).zip(right) {
            (*left, *right) = (product(parent, *right), product(parent, *left));
        }
        length = child;
    }
    values.copy_from_slice(&scratch[..values.len()]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn product_is_the_ordinary_one_over_r(a in 0..MODULUS, b in 0..MODULUS) {
            prop_assert_eq!(product(a, scaled(b)), mul(a, b));
        }

        #[test]
        fn all_are_inverted(values in prop::collection::vec(1..MODULUS, 1..70)) {
            let mut inverted = values.clone();
            invert_all(&mut inverted, &mut Vec::new());
            for (value, inverted) in values.into_iter().zip(inverted) {
                prop_assert_eq!(mul(value, inverted), R2);
            }
        }
    }

    #[test]
    fn product_at_the_edges() {
        for a in [0, 1, MODULUS - 1, 1 << 20, 1 << 31] {
            for b in [0, 1, MODULUS - 1, (1 << 20) - 1, 1 << 31] {
                assert_eq!(product(a, scaled(b)), mul(a, b), "{a} * {b}");
            }
        }
    }
}
