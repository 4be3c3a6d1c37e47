//! The client's computation: the proof that each value is 0 or 1, and the two shares of it.
//!
//! The polynomial f interpolates f0 and the data at the n-th roots of unity, and g interpolates g0
//! and the data minus 1. h = f * g is then 0 at every data point exactly if each value is 0 or 1.
//! The proof contains f0, g0, h0 and h at the odd powers of the root of order 2n. Together with
//! those zeros, these values determine h.

use zeroize::Zeroizing;

use super::field::{MODULUS, mul, one_over, reduce, sub};
use super::montgomery::{product, scaled};
use super::ntt::{Transform, reversed};
use super::{Prio2, Randomness, Shares, prg};
use crate::error::Prio2Error;

/// Precomputed tables for proofs with one number of bins.
#[derive(Debug, Clone)]
pub(super) struct Prover {
    transform: Transform,
    /// Factors that move a polynomial from the n-th roots of unity to the odd powers of the root of
    /// order 2n, and divide by n. Bit-reversed, scaled.
    twist: Vec<u32>,
    /// The values, at those odd powers, of the polynomial that is 1 at 1 and 0 at the other roots.
    /// Scaled.
    at_first: Vec<u32>,
    /// The values, at those odd powers, of the polynomial that is 1 at each data point and 0
    /// elsewhere.
    at_data: Vec<u32>,
}

impl Prover {
    pub(super) fn new(bins: usize, roots: &[u32]) -> Self {
        let size = roots.len() / 2;
        let bits = size.ilog2();
        let one_nth = one_over(size);
        let twist = (0..size)
            .map(|i| scaled(mul(roots[reversed(i, bits)], one_nth)))
            .collect();
        let mut prover = Self {
            transform: Transform::new(roots),
            twist,
            at_first: vec![0; size],
            at_data: vec![0; size],
        };

        let mut at_first = vec![0; size];
        at_first[0] = 1;
        prover.extend(&mut at_first);
        at_first
            .iter_mut()
            .for_each(|value| *value = scaled(*value));
        let mut at_data = vec![0; size];
        at_data[1..=bins].fill(1);
        prover.extend(&mut at_data);
        (prover.at_first, prover.at_data) = (at_first, at_data);
        prover
    }

    /// Converts values at the n-th roots of unity to values at the odd powers of the root of order
    /// 2n.
    fn extend(&self, values: &mut [u32]) {
        self.transform.interpolate(values);
        for (value, &twist) in values.iter_mut().zip(&self.twist) {
            *value = product(*value, twist);
        }
        self.transform.evaluate(values);
    }

    /// Computes the whole proof: `data` (field elements, one for each bin), then f0, g0, h0 and h
    /// at the odd powers.
    fn prove(&self, data: &[u32], f0: u32, g0: u32) -> Zeroizing<Vec<u32>> {
        let mut f = Zeroizing::new(vec![0; self.twist.len()]);
        f[0] = f0;
        f[1..=data.len()].copy_from_slice(data);
        self.extend(&mut f);

        let mut proof = Zeroizing::new(Vec::with_capacity(data.len() + 3 + f.len()));
        proof.extend_from_slice(data);
        proof.extend([f0, g0, mul(f0, g0)]);
        // g differs from f only at the first root, by g0 - f0, and at the data points, by 1.
        let apart = sub(g0, f0);
        proof.extend(f.iter().zip(&self.at_first).zip(&self.at_data).map(
            |((&f, &at_first), &at_data)| {
                let wide = u64::from(f)
                    + u64::from(product(apart, at_first))
                    + u64::from(MODULUS - at_data);
                mul(f, reduce(wide))
            },
        ));
        proof
    }
}

impl Prio2 {
    /// Splits a vector of bits, one for each bin, into two shares with a proof.
    ///
    /// # Errors
    /// [`Prio2Error::Dimension`] if the number of bits is not the number of bins;
    /// [`Prio2Error::Element`] if f0 or g0 of the randomness is not a field element.
    pub fn split(&self, bits: &[bool], randomness: &Randomness) -> Result<Shares, Prio2Error> {
        let values: Zeroizing<Vec<u32>> =
            Zeroizing::new(bits.iter().map(|&bit| u32::from(bit)).collect());
        self.split_values(&values, randomness)
    }

    /// Splits any field elements like [`Self::split`]. Values other than 0 and 1 yield a proof that
    /// does not verify.
    ///
    /// # Errors
    /// Those of [`Self::split`], and [`Prio2Error::Element`] for a value that is not a field
    /// element.
    pub fn split_values(
        &self,
        values: &[u32],
        randomness: &Randomness,
    ) -> Result<Shares, Prio2Error> {
        let (bins, found) = (self.bins(), values.len());
        if found != bins {
            return Err(Prio2Error::Dimension { bins, found });
        }
        let given = values.iter().chain([&randomness.f0, &randomness.g0]);
        if let Some(index) = given.into_iter().position(|&value| value >= MODULUS) {
            return Err(Prio2Error::Element { index });
        }
        let proof = self.prover().prove(values, randomness.f0, randomness.g0);
        let mut mask = Zeroizing::new(Vec::new());
        prg::expand(&randomness.seed, proof.len(), &mut mask);
        let first = proof
            .iter()
            .zip(mask.iter())
            .flat_map(|(&value, &mask)| sub(value, mask).to_le_bytes());
        Ok(Shares {
            first: first.collect(),
            second: randomness.seed,
        })
    }
}
