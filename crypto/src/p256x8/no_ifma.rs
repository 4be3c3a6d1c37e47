//! The place of `ifma.rs` on other architectures: the instructions are never detected.

use std::convert::Infallible;

use super::multiply::Batch;
use super::recoding::Recoding;

/// Proof that the processor supports the instructions, which cannot exist.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Detected(Infallible);

impl Detected {
    /// Detects nothing.
    pub(crate) fn new() -> Option<Self> {
        None
    }
}

/// Cannot be called.
pub(crate) fn multiply(detected: Detected, _: &Recoding, _: &mut Batch<'_>) {
    match detected.0 {}
}
