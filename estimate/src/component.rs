//! The terms of a weighted sum.

/// Bits with the same weight in a sum.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Component {
    /// The factor of their count.
    pub(crate) weight: f64,
    /// Their number: reports times bins.
    pub(crate) bits: u64,
    /// The estimated number of them that are truly set; it determines the skewness.
    pub(crate) ones: u64,
}

/// Returns the largest absolute weight.
pub(crate) fn largest_weight(components: &[Component]) -> f64 {
    let weights = components.iter().map(|part| part.weight.abs());
    weights.fold(0.0, f64::max)
}
