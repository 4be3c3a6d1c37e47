//! The sum of shares.

use std::fmt;

use zeroize::ZeroizeOnDrop;

use super::field::{MODULUS, add, sub};
use crate::error::Prio2Error;

/// One processor's sum of the data of many shares, one field element a bin.
///
/// A sum of few shares tells as much as they do, so it is wiped and not in `Debug`.
#[derive(Clone, PartialEq, Eq, ZeroizeOnDrop)]
pub struct Sum {
    values: Vec<u32>,
}

impl Sum {
    /// Nothing yet.
    pub fn new(bins: usize) -> Self {
        Self { values: vec![0; bins] }
    }

    /// Takes a sum that was stored.
    ///
    /// # Errors
    /// [`Prio2Error::Element`] if a value is no field element.
    pub fn from_values(values: Vec<u32>) -> Result<Self, Prio2Error> {
        match values.iter().position(|&value| value >= MODULUS) {
            Some(index) => Err(Prio2Error::Element { index }),
            None => Ok(Self { values }),
        }
    }

    /// Adds the data of a share: its first elements, one a bin; what follows is not looked at.
    ///
    /// # Panics
    /// If there are fewer elements than bins.
    pub fn add(&mut self, share: &[u32]) {
        self.combine(share, add);
    }

    /// Takes the data of a share off again.
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

    /// The field elements, one a bin.
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
