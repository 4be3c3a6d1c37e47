//! Where proofs are evaluated.

use std::fmt;

use super::Prio2;
use super::field::{MODULUS, ORDER_LOG, pow};
use crate::error::PointError;

/// An evaluation point (`r_pit`) that is safe for one number of bins.
///
/// At a root of unity of order 2n a message *is* a share of a client's value, so there are no such points here. A
/// point is a secret of ingestor and processors (a client that knows it can forge proofs), hence not in `Debug`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Point {
    value: u32,
    /// Not a root of unity of this order, nor of any that divides it.
    order: usize,
}

impl Point {
    /// Takes `r_pit` as it stands in a packet.
    ///
    /// # Errors
    /// [`PointError::OutOfRange`] unless it is 0 to p - 1 (ENPA reduces larger ones; we do not);
    /// [`PointError::RootOfUnity`] if its power 2n is 1.
    pub fn new(r_pit: i64, prio2: &Prio2) -> Result<Self, PointError> {
        let value = u32::try_from(r_pit)
            .ok()
            .filter(|&value| value < MODULUS)
            .ok_or(PointError::OutOfRange)?;
        let order = 2 * prio2.domain();
        if pow(value, order as u64) == 1 {
            return Err(PointError::RootOfUnity);
        }
        Ok(Self { value, order })
    }

    /// The field element.
    pub fn value(&self) -> u32 {
        self.value
    }

    /// Whether it is no root of unity of order 2^20 either, hence safe at any number of bins. What an ingestor draws
    /// has to be.
    pub fn is_universal(&self) -> bool {
        pow(self.value, 1 << ORDER_LOG) != 1
    }

    /// Whether the point may be used at this number of bins.
    pub(super) fn is_safe_for(&self, prio2: &Prio2) -> bool {
        // Orders are powers of two, so a smaller one divides a larger one.
        2 * prio2.domain() <= self.order || self.is_universal()
    }
}

impl fmt::Debug for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Point").finish_non_exhaustive()
    }
}
