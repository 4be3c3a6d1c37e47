//! Verification messages at one point: Lagrange weights, computed once, and dot products.
//!
//! Let w be the root of unity of order n, and v that of order 2n. At the point r, the values of f
//! at the roots have the weights (r^n - 1)/n * w^i/(r - w^i), and those of h have the weights
//! (r^2n - 1)/2n * v^k/(r - v^k). f and g have the same weights and, except for the "minus 1" of the
//! first processor, the same values, so one product serves both.

use std::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop};

use super::field::{add, mul, one_over, pow, reduce, sub};
use super::layout::Proof;
use super::montgomery::{invert_all, product};
use super::{Message, Point, Prio2};

/// The Lagrange weights of one point for one number of bins.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Evaluator {
    /// Weights of f and g at the data points, one for each bin.
    data: Vec<u32>,
    /// Sum of `data`: the amount that "minus 1" at each data point subtracts from g.
    data_sum: u32,
    /// Weight of f0 and of g0.
    first: u32,
    /// Weight of h0.
    h_first: u32,
    /// Weights of h at the odd powers.
    odd: Vec<u32>,
    /// Scratch memory of [`Self::move_to`].
    scratch: Vec<u32>,
}

impl Prio2 {
    /// Computes the weights for `point`, which all packets with this point use.
    ///
    /// # Panics
    /// If the point was checked for fewer bins and is a root of unity for this number. This is a
    /// bug in the caller: points are checked for the scheme that uses them.
    pub fn evaluator(&self, point: Point) -> Evaluator {
        let mut evaluator = Evaluator {
            data: vec![],
            data_sum: 0,
            first: 0,
            h_first: 0,
            odd: vec![],
            scratch: vec![],
        };
        evaluator.move_to(self, point);
        evaluator
    }
}

impl Evaluator {
    /// Computes the weights for another point without a new allocation, for ingestors that draw a
    /// point for each packet.
    ///
    /// # Panics
    /// Under the same condition as [`Prio2::evaluator`].
    pub fn move_to(&mut self, prio2: &Prio2, point: Point) {
        assert!(
            point.is_safe_for(prio2),
            "an evaluation point is checked for the number of bins it is used with"
        );
        let (r, size, bins) = (point.value(), prio2.domain(), prio2.bins());
        let power = pow(r, size as u64);
        let scale = mul(sub(power, 1), one_over(size));
        let h_scale = mul(sub(mul(power, power), 1), one_over(2 * size));

        // The denominators r - v^k: first those of f and g, then the odd ones of h.
        let (roots, _) = prio2.roots().as_chunks::<2>();
        self.data.clear();
        self.data
            .extend(roots[..=bins].iter().map(|[even, _]| sub(r, *even)));
        self.data.extend(roots.iter().map(|[_, odd]| sub(r, *odd)));
        invert_all(&mut self.data, &mut self.scratch);
        self.h_first = product(product(self.data[0], 1), h_scale);

        self.odd.clear();
        let odd = self.data[bins + 1..].iter().zip(roots);
        self.odd
            .extend(odd.map(|(&inverse, [_, root])| product(product(inverse, *root), h_scale)));
        self.first = product(product(self.data[0], 1), scale);
        for (i, [_, [root, _]]) in roots[..=bins].array_windows::<2>().enumerate() {
            self.data[i] = product(product(self.data[i + 1], *root), scale);
        }
        self.data.truncate(bins);
        self.data_sum = reduce(self.data.iter().map(|&weight| u64::from(weight)).sum());
    }

    /// Computes this processor's verification message for its share. `role_index` is 0 for the
    /// first processor, which alone subtracts 1 from the values of g.
    ///
    /// # Panics
    /// If `share` does not have [`Prio2::proof_length`] elements, as returned by
    /// [`Prio2::decode_share`].
    #[inline]
    pub fn message(&self, role_index: usize, share: &[u32]) -> Message {
        let bins = self.data.len();
        assert_eq!(
            share.len(),
            bins + 3 + self.odd.len(),
            "a share has the length of the proof"
        );
        let share = Proof::new(share, bins);
        let values = dot(&self.data, share.data);
        let less = if role_index == 0 { self.data_sum } else { 0 };
        Message {
            f: add(values, mul(self.first, share.f0)),
            g: sub(add(values, mul(self.first, share.g0)), less),
            h: add(dot(&self.odd, share.odd), mul(self.h_first, share.h0)),
        }
    }
}

/// Computes the sum of products with a single reduction.
///
/// Two plain sums vectorise best: the sum of the products mod 2^64, and the sum of their high
/// halves, which cannot overflow for up to 2^32 products. The first sum minus the high part is the
/// sum of the low halves.
#[inline]
fn dot(weights: &[u32], values: &[u32]) -> u32 {
    let (mut wrapped, mut high) = (0u64, 0u64);
    for (&weight, &value) in weights.iter().zip(values) {
        let product = u64::from(weight) * u64::from(value);
        wrapped = wrapped.wrapping_add(product);
        high += product >> 32;
    }
    let low = wrapped.wrapping_sub(high << 32);
    // 2^32 = 2^20 - 1 mod p.
    add(reduce(low), mul(reduce(high), (1 << 20) - 1))
}

impl fmt::Debug for Evaluator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Evaluator")
            .field("bins", &self.data.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::field::MODULUS;
    use super::*;

    proptest! {
        #[test]
        fn dot_is_the_sum_of_products(pairs in prop::collection::vec((0..MODULUS, 0..MODULUS), 0..200)) {
            let (weights, values): (Vec<u32>, Vec<u32>) = pairs.iter().copied().unzip();
            let expected = pairs.iter().map(|&(weight, value)| mul(weight, value)).fold(0, add);
            prop_assert_eq!(dot(&weights, &values), expected);
        }
    }

    #[test]
    fn dot_does_not_overflow() {
        let top = vec![MODULUS - 1; 1 << 16];
        assert_eq!(dot(&top, &top), 1 << 16);
    }
}
