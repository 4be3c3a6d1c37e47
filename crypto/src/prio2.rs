//! Prio2, the scheme of ENPA ("Prio v2", libprio). A client proves in zero knowledge that each
//! value of its vector is 0 or 1. Two processors verify the proof together and add the accepted
//! vectors.
//!
//! [`Prio2::split`] creates two shares. Each processor decodes its share ([`Prio2::decode_share`])
//! and evaluates it at a point that the ingestor chose ([`Evaluator::message`]). The two
//! [`Message`]s together determine whether the packet is accepted ([`Message::is_valid_with`]). The
//! data of accepted packets are added ([`Sum::add`]).
//!
//! Limits of the scheme: Prio2 cannot prove a Hamming weight, and is not sound against a client
//! that knows the evaluation point in advance. A ciphertext that is evaluated at two points reveals
//! its client's answer, so callers pin one point for each key (`ARCHITECTURE.md`).

mod evaluator;
mod field;
mod layout;
mod message;
mod montgomery;
mod ntt;
mod point;
mod prg;
mod proof;
mod randomness;
mod share;
mod sum;
mod vdaf;

use std::sync::OnceLock;

pub use evaluator::Evaluator;
pub use field::MODULUS;
pub use message::Message;
pub use point::Point;
pub use randomness::Randomness;
pub use share::{SEED_LENGTH, Shares};
pub use sum::Sum;
pub use vdaf::{InputShare, OutputShare, VerifyState};

use crate::error::Prio2Error;

/// The number of data share processors of Prio2.
pub const PROCESSORS: usize = 2;

/// The scheme for one number of bins.
///
/// Creating a value is cheap. Its tables are computed on first use and cached, so reuse the value.
#[derive(Debug, Clone)]
pub struct Prio2 {
    bins: usize,
    /// The powers 0 to 2n-1 of the root of unity of order 2n.
    roots: OnceLock<Vec<u32>>,
    prover: OnceLock<proof::Prover>,
}

impl Prio2 {
    /// The maximum number of bins. Twice the domain must not exceed 2^20, the order of the field's
    /// largest group of roots of unity whose order is a power of two.
    pub const MAX_BINS: usize = (1 << (field::ORDER_LOG - 1)) - 1;

    /// Creates the scheme for vectors of `bins` values.
    ///
    /// # Errors
    /// [`Prio2Error::Bins`] unless `bins` is 1 to [`Self::MAX_BINS`].
    pub fn new(bins: usize) -> Result<Self, Prio2Error> {
        if !(1..=Self::MAX_BINS).contains(&bins) {
            return Err(Prio2Error::Bins {
                bins,
                max: Self::MAX_BINS,
            });
        }
        Ok(Self {
            bins,
            roots: OnceLock::new(),
            prover: OnceLock::new(),
        })
    }

    /// Returns the length of the vector, in values.
    pub fn bins(&self) -> usize {
        self.bins
    }

    /// Returns the number of interpolation points of f and g: the smallest power of two above
    /// `bins`.
    pub fn domain(&self) -> usize {
        (self.bins + 1).next_power_of_two()
    }

    /// Returns the number of field elements of a proof, data included: bins + 3 + domain.
    pub fn proof_length(&self) -> usize {
        self.bins + 3 + self.domain()
    }

    /// Returns the length in bytes of a processor's share before encryption: four bytes for each
    /// element for the first processor, the length of a seed for the second.
    ///
    /// # Errors
    /// [`Prio2Error::Processor`] for any other index.
    pub fn share_length(&self, role_index: usize) -> Result<usize, Prio2Error> {
        match role_index {
            0 => Ok(self.proof_length() * layout::ELEMENT_LENGTH),
            1 => Ok(SEED_LENGTH),
            index => Err(Prio2Error::Processor { index }),
        }
    }

    fn roots(&self) -> &[u32] {
        self.roots.get_or_init(|| field::roots(2 * self.domain()))
    }

    fn prover(&self) -> &proof::Prover {
        self.prover
            .get_or_init(|| proof::Prover::new(self.bins, self.roots()))
    }
}

#[cfg(test)]
mod judged;
#[cfg(test)]
mod tests;
