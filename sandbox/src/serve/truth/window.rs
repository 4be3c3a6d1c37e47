//! One window of one metric: the two sides' agreement, and its sum.

use tallybox_model::roster::AgreedWindow;

/// The known state of a window.
#[derive(Debug, Clone, Default)]
pub(super) struct WindowParts {
    /// For each processor, whether its sum part exists.
    pub(super) parts: [bool; 2],
    /// For each processor, the record in its own bucket of what both agreed on.
    pub(super) agreed: [Option<AgreedWindow>; 2],
    /// The sum, once both sum parts are added.
    pub(super) summed: Option<Summed>,
    /// True if a discrepancy of this window has been recorded.
    pub(super) reported: bool,
}

/// A summed window.
#[derive(Debug, Clone, Copy)]
pub(super) struct Summed {
    /// Number of packets in the sum.
    pub(super) counted: u64,
}

impl WindowParts {
    /// Returns whether nothing is left to do: the window is summed, or both sides agreed that there
    /// is nothing to sum.
    pub(super) fn is_over(&self) -> bool {
        self.summed.is_some() || self.agrees_on_nothing()
    }

    /// Returns whether both sides agreed that there is nothing to sum.
    pub(super) fn agrees_on_nothing(&self) -> bool {
        self.agreed.iter().all(|agreed| {
            agreed
                .as_ref()
                .is_some_and(|agreed| agreed.batches.is_empty())
        })
    }

    /// Returns whether both sides agreed that the window has too few packets.
    pub(super) fn is_below_minimum(&self) -> bool {
        let below = |agreed: &Option<AgreedWindow>| {
            agreed
                .as_ref()
                .is_some_and(|agreed| agreed.below_minimum.is_some())
        };
        self.agreed.iter().all(below)
    }
}
