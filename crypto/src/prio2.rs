//! Prio2, the scheme of ENPA ("Prio v2", libprio): a client proves in zero knowledge that each value of its vector
//! is 0 or 1, two processors check the proof together, and add what passes.
//!
//! The way of a packet: [`Prio2::split`] makes two shares; each processor decodes its own
//! ([`Prio2::decode_share`]) and evaluates it at a point that the ingestor chose ([`Evaluator::message`]); the
//! two [`Message`]s together say whether the packet counts ([`Message::is_valid_with`]); the data of what counts is
//! added ([`Sum::add`]).
//!
//! What it cannot do: prove a Hamming weight, or be sound against a client that knows the point beforehand. A
//! ciphertext evaluated at two points gives its client away, so callers pin one point (`ARCHITECTURE.md`).

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

/// Data share processors of Prio2.
pub const PROCESSORS: usize = 2;

/// The scheme at one number of bins.
///
/// Cheap to make; tables are built when first needed and then kept, so keep the value.
#[derive(Debug, Clone)]
pub struct Prio2 {
    bins: usize,
    /// The powers 0 to 2n-1 of the root of unity of order 2n.
    roots: OnceLock<Vec<u32>>,
    prover: OnceLock<proof::Prover>,
}

impl Prio2 {
    /// Most bins there can be: twice the domain has to be at most 2^20, the order of the field's largest group of
    /// roots of unity that is a power of two.
    pub const MAX_BINS: usize = (1 << (field::ORDER_LOG - 1)) - 1;

    /// The scheme for vectors of `bins` values.
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

    /// Length of the vector, in values.
    pub fn bins(&self) -> usize {
        self.bins
    }

    /// The number of interpolation points of f and g: the smallest power of two above `bins`.
    pub fn domain(&self) -> usize {
        (self.bins + 1).next_power_of_two()
    }

    /// Field elements of a proof, data included: bins + 3 + domain.
    pub fn proof_length(&self) -> usize {
        self.bins + 3 + self.domain()
    }

    /// Bytes of a processor's share before it is sealed: four an element for the first, a seed for the second.
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
        self.prover.get_or_init(|| proof::Prover::new(self.bins, self.roots()))
    }
}

#[cfg(test)]
mod judged;
#[cfg(test)]
mod tests;
