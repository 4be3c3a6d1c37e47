//! One window of one metric: what both sides agree on, and what the portal makes of it.

use tallybox_model::roster::AgreedWindow;

/// What is known of a window.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    /// Whether each processor's sum part is there.
    pub(super) parts: [bool; 2],
    /// What each processor's own bucket says is agreed.
    pub(super) agreed: [Option<AgreedWindow>; 2],
    /// What both parts add to, once they are added.
    pub(super) summed: Option<Summed>,
    /// Something is wrong with it, and was told.
    pub(super) told: bool,
}

/// A window that is summed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Summed {
    /// Packets in the sum.
    pub(super) counted: u64,
}

impl Seen {
    /// Whether nothing is left to come: it is summed, or both sides agree that there is nothing to sum.
    pub(super) fn is_over(&self) -> bool {
        self.summed.is_some() || self.agrees_on_nothing()
    }

    /// Whether both sides say that there is nothing to sum.
    pub(super) fn agrees_on_nothing(&self) -> bool {
        self.agreed
            .iter()
            .all(|agreed| agreed.as_ref().is_some_and(|agreed| agreed.batches.is_empty()))
    }

    /// Whether both sides say that its packets are too few.
    pub(super) fn is_below_minimum(&self) -> bool {
        let below =
            |agreed: &Option<AgreedWindow>| agreed.as_ref().is_some_and(|agreed| agreed.below_minimum.is_some());
        self.agreed.iter().all(below)
    }
}
