//! Verification messages at one point: the Lagrange weights once, then dot products.
//!
//! With w the root of unity of order n and v that of order 2n, the values of f at the roots weigh
//! (r^n - 1)/n * w^i/(r - w^i) at the point r, and those of h (r^2n - 1)/2n * v^k/(r - v^k). f and g have the same
//! weights and, but for the first processor's "less 1", the same values, so one product serves both.

use std::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop};

use super::field::{MODULUS, add, inverse, mul, pow, reduce, sub};
use super::layout::Proof;
use super::montgomery::{invert_all, product};
use super::{Message, Point, Prio2};

/// The weights of one point at one number of bins.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Evaluator {
    /// Weights of f and g at the data points, one a bin.
    data: Vec<u32>,
    /// Sum of `data`: what "less 1" at each data point takes off g.
    data_sum: u32,
    /// Weight of f0 and of g0.
    first: u32,
    /// Weight of h0.
    h_first: u32,
    /// Weights of h at the odd powers.
    odd: Vec<u32>,
    /// Working memory of [`Self::move_to`].
    scratch: Vec<u32>,
}

impl Prio2 {
    /// Computes the weights for `point`, once for all packets that share it.
    ///
    /// # Panics
    /// If the point was made for fewer bins and happens to be a root of unity here: a mistake in the program, as
    /// points are checked for the scheme that uses them.
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
    /// Computes the weights anew for another point, in the memory there is: for ingestors that draw a point a packet.
    ///
    /// # Panics
    /// As [`Prio2::evaluator`].
    pub fn move_to(&mut self, prio2: &Prio2, point: Point) {
        assert!(
            point.is_safe_for(prio2),
            "an evaluation point is checked for the number of bins it is used with"
        );
        let (r, size, bins) = (point.value(), prio2.domain(), prio2.bins());
        let power = pow(r, size as u64);
        // A domain is at most 2^19.
        let scale = mul(sub(power, 1), inverse(size as u32));
        let h_scale = mul(sub(mul(power, power), 1), inverse(2 * size as u32));

        // The denominators r - v^k: those of f and g first, then the odd ones of h.
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

    /// This processor's verification message for its share; `role_index` is 0 for the first processor, which alone
    /// subtracts the 1 from the values of g.
    ///
    /// # Panics
    /// If `share` has not [`Prio2::proof_length`] elements, as [`Prio2::decode_share`] gives.
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

/// The sum of products, reduced once: their halves are summed apart, which 2^32 of them could not overflow.
#[inline]
fn dot(weights: &[u32], values: &[u32]) -> u32 {
    let (mut low, mut high) = (0u64, 0u64);
    for (&weight, &value) in weights.iter().zip(values) {
        let product = u64::from(weight) * u64::from(value);
        low += product & u64::from(u32::MAX);
        high += product >> 32;
    }
    // 2^32 = 2^20 - 1 mod p.
    const SHIFT: u32 = (1 << 20) - 1;
    debug_assert_eq!((1u64 << 32) % u64::from(MODULUS), u64::from(SHIFT));
    add(reduce(low), mul(reduce(high), SHIFT))
}

impl fmt::Debug for Evaluator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Evaluator")
            .field("bins", &self.data.len())
            .finish_non_exhaustive()
    }
}
