//! Number-theoretic transforms over the roots of unity without reordering: the inverse transform
//! produces coefficients in bit-reversed order, and the forward transform consumes them in this
//! order.

use super::field::{add, sub};
use super::montgomery::{product, scaled};

/// The twiddle factors of transforms of one size.
#[derive(Debug, Clone)]
pub(super) struct Transform {
    /// For each pair distance 1, 2, 4, ...: the powers of the root of order twice that distance;
    /// scaled.
    forward: Vec<Vec<u32>>,
    /// The same for the inverse roots.
    inverse: Vec<Vec<u32>>,
}

impl Transform {
    /// Creates the factors for n values from the powers 0 to 2n-1 of the root of order 2n.
    pub(super) fn new(roots: &[u32]) -> Self {
        let (order, size) = (roots.len(), roots.len() / 2);
        let stages = |power: &dyn Fn(usize) -> usize| {
            (0..size.ilog2())
                .map(|log| 1usize << log)
                .map(|distance| {
                    (0..distance)
                        .map(|j| scaled(roots[power(j * size / distance)]))
                        .collect()
                })
                .collect()
        };
        Self {
            forward: stages(&|power| power),
            inverse: stages(&|power| (order - power) % order),
        }
    }

    /// Converts values at the n-th roots of unity, in order, to n times the coefficients in
    /// bit-reversed order.
    pub(super) fn interpolate(&self, values: &mut [u32]) {
        for twiddles in self.inverse.iter().rev() {
            for pairs in values.chunks_exact_mut(2 * twiddles.len()) {
                let (left, right) = pairs.split_at_mut(twiddles.len());
                for ((left, right), &twiddle) in left.iter_mut().zip(right).zip(twiddles) {
                    (*left, *right) = (add(*left, *right), product(sub(*left, *right), twiddle));
                }
            }
        }
    }

    /// Converts coefficients in bit-reversed order to values at the n-th roots of unity, in order.
    pub(super) fn evaluate(&self, coefficients: &mut [u32]) {
        for twiddles in &self.forward {
            for pairs in coefficients.chunks_exact_mut(2 * twiddles.len()) {
                let (left, right) = pairs.split_at_mut(twiddles.len());
                for ((left, right), &twiddle) in left.iter_mut().zip(right).zip(twiddles) {
                    let turned = product(*right, twiddle);
                    (*left, *right) = (add(*left, turned), sub(*left, turned));
                }
            }
        }
    }
}

/// Reverses the lowest `bits` bits of `index`.
pub(super) fn reversed(index: usize, bits: u32) -> usize {
    if bits == 0 {
        index
    } else {
        index.reverse_bits() >> (usize::BITS - bits)
    }
}

#[cfg(test)]
mod tests {
    use super::super::field::{MODULUS, mul, roots};
    use super::*;

    #[test]
    fn transforms_agree_with_the_definition() {
        for log in 1..6 {
            let size = 1usize << log;
            let roots = roots(2 * size);
            let transform = Transform::new(&roots);
            let coefficients: Vec<u32> = (0..size)
                .map(|i| (i as u32).wrapping_mul(987_654_321) % MODULUS)
                .collect();

            let mut values: Vec<u32> = (0..size).map(|i| coefficients[reversed(i, log)]).collect();
            transform.evaluate(&mut values);
            for (i, &value) in values.iter().enumerate() {
                let at = |k: usize| mul(coefficients[k], roots[2 * i * k % (2 * size)]);
                assert_eq!(value, (0..size).map(at).fold(0, add));
            }

            transform.interpolate(&mut values);
            for (i, value) in values.into_iter().enumerate() {
                assert_eq!(value, mul(coefficients[reversed(i, log)], size as u32));
            }
        }
    }
}
