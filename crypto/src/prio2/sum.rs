//! The sum of accepted shares.

use std::fmt;

use zeroize::ZeroizeOnDrop;

use super::field::{MODULUS, add, sub};
use crate::error::Prio2Error;

/// One processor's sum of the data of many shares, one field element for each bin.
///
/// A sum of few shares reveals as much as the shares, so it is wiped when dropped and omitted from
/// `Debug`.
#[derive(Clone, PartialEq, Eq, ZeroizeOnDrop)]
pub struct Sum {
    values: Vec<u32>,
}

impl Sum {
    /// Creates a sum of no shares.
    pub fn new(bins: usize) -> Self {
        Self {
            values: vec![0; bins],
        }
    }

    /// Restores a stored sum.
    ///
    /// # Errors
    /// [`Prio2Error::Element`] if a value is not a field element.
    pub fn from_values(values: Vec<u32>) -> Result<Self, Prio2Error> {
        match values.iter().position(|&value| value >= MODULUS) {
            Some(index) => Err(Prio2Error::Element { index }),
            None => Ok(Self { values }),
        }
    }

    /// Adds the data of a share, which are its first elements, one for each bin. Further elements
    /// are ignored.
    ///
    /// # Panics
    /// If there are fewer elements than bins.
    pub fn add(&mut self, share: &[u32]) {
        self.combine(share, add);
    }

    /// Subtracts the data of a share.
    ///
    /// # Panics
    /// If there are fewer elements than bins.
    pub fn subtract(&mut self, share: &[u32]) {
        self.combine(share, sub);
    }

    /// Adds another sum over the same bins.
    ///
    /// # Panics
    /// If the other has fewer bins.
    pub fn merge(&mut self, other: &Self) {
        self.combine(&other.values, add);
    }

    /// Returns the field elements, one for each bin.
    pub fn values(&self) -> &[u32] {
        &self.values
    }

    fn combine(&mut self, share: &[u32], operation: impl Fn(u32, u32) -> u32) {
        let data = &share[..self.values.len()];
        for (value, &other) in self.values.iter_mut().zip(data) {
            *value = operation(*value, other);
        }
    }
}

impl fmt::Debug for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sum")
            .field("bins", &self.values.len())
            .finish_non_exhaustive()
    }
}
