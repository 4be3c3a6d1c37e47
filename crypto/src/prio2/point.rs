//! The points at which proofs are evaluated.

use std::fmt;

use super::Prio2;
use super::field::{MODULUS, ORDER_LOG, pow};
use crate::error::PointError;

/// An evaluation point (`r_pit`) that is safe for one number of bins.
///
/// At a root of unity of order 2n, a message *is* a share of a client's value, so such points are
/// not representable. A point is a secret of the ingestor and the processors, because a client that
/// knows it can forge proofs. `Debug` therefore omits it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Point {
    value: u32,
    /// The point is not a root of unity of this order or of a divisor of it.
    order: usize,
}

impl Point {
    /// Validates `r_pit` as contained in a packet.
    ///
    /// # Errors
    /// [`PointError::OutOfRange`] unless the number is 0 to p - 1 (ENPA reduces larger numbers
    /// instead); [`PointError::RootOfUnity`] if its 2n-th power is 1.
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

    /// Returns the field element.
    pub fn value(&self) -> u32 {
        self.value
    }

    /// Returns whether the point is not a root of unity of order 2^20 either, and is therefore safe
    /// for any number of bins. An ingestor has to draw such points.
    pub fn is_universal(&self) -> bool {
        pow(self.value, 1 << ORDER_LOG) != 1
    }

    /// Returns whether the point may be used for this number of bins.
    pub(super) fn is_safe_for(&self, prio2: &Prio2) -> bool {
        // Orders are powers of two, so a smaller order divides a larger one.
        2 * prio2.domain() <= self.order || self.is_universal()
    }
}

impl fmt::Debug for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Point").finish_non_exhaustive()
    }
}
