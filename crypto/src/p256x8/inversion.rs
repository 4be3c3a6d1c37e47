//! Inversion modulo p, shared by many elements.

use super::field::Element;
use super::vector::Vector;

/// A step of the inversion: the number of squarings, then the number of the earlier result to
/// multiply by.
type Step = (u32, usize);

/// The addition chain for p - 2. Result 0 is the number itself, and each step adds the next result.
/// The comments contain the exponents.
const CHAIN: [Step; 12] = [
    (1, 0),   // 1: 2^2 - 1
    (1, 0),   // 2: 2^3 - 1
    (3, 2),   // 3: 2^6 - 1
    (6, 3),   // 4: 2^12 - 1
    (3, 2),   // 5: 2^15 - 1
    (15, 5),  // 6: 2^30 - 1
    (2, 1),   // 7: 2^32 - 1
    (32, 0),  // 8: 2^64 - 2^32 + 1
    (128, 7), // 9: 2^192 - 2^160 + 2^128 + 2^32 - 1
    (32, 7),  // 10: 2^224 - 2^192 + 2^160 + 2^64 - 1
    (30, 6),  // 11: 2^254 - 2^222 + 2^190 + 2^94 - 1
    (2, 0),   // 12: 2^256 - 2^224 + 2^192 + 2^96 - 3
];

/// Computes x^(p - 2), which is 1 / x by Fermat's little theorem: 255 squarings and 12
/// multiplications, always in the same order.
#[inline(always)]
fn invert<V: Vector>(x: &Element<V>) -> Element<V> {
    let mut results = [*x; CHAIN.len() + 1];
    let mut last = *x;
    for (number, (squarings, factor)) in CHAIN.iter().enumerate() {
        for _ in 0..*squarings {
            last = last.square();
        }
        last = last.multiply(&results[*factor]);
        results[number + 1] = last;
    }
    last
}

/// Replaces each element by its inverse, at the price of one inversion and three multiplications
/// for each element (Montgomery 1987). No element may be zero.
#[inline(always)]
pub(crate) fn invert_all<V: Vector>(elements: &mut [Element<V>], scratch: &mut Vec<Element<V>>) {
    let Some((first, others)) = elements.split_first_mut() else {
        return;
    };
    // The products of the elements before each of the others.
    scratch.clear();
    let mut product = *first;
    for element in others.iter() {
        scratch.push(product);
        product = product.multiply(element);
    }
    let mut inverse = invert(&product);
    for (element, before) in others.iter_mut().zip(scratch.iter()).rev() {
        let inverted = inverse.multiply(before);
        inverse = inverse.multiply(element);
        *element = inverted;
    }
    *first = inverse;
}
