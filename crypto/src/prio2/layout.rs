//! The layout of a proof: data, then f(1), g(1), h(1), then h at the odd powers of the root of
//! order 2n.

/// Length of an encoded field element in bytes (little-endian).
pub(super) const ELEMENT_LENGTH: usize = 4;

/// A proof or a share of one, divided into its parts.
pub(super) struct Proof<'p> {
    /// The data, one value for each bin.
    pub(super) data: &'p [u32],
    /// f at 1.
    pub(super) f0: u32,
    /// g at 1.
    pub(super) g0: u32,
    /// h at 1.
    pub(super) h0: u32,
    /// h at the odd powers of the root of unity of order 2n, n of them.
    pub(super) odd: &'p [u32],
}

impl<'p> Proof<'p> {
    /// Divides `elements`, of which there have to be at least `bins` + 3.
    #[inline]
    pub(super) fn new(elements: &'p [u32], bins: usize) -> Self {
        let (data, rest) = elements.split_at(bins);
        let (zeroth, odd) = rest.split_at(3);
        Self {
            data,
            f0: zeroth[0],
            g0: zeroth[1],
            h0: zeroth[2],
            odd,
        }
    }
}
