//! What happens at a time by itself.

/// Something that happens at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Timer {
    /// A process looks whether there is something to do.
    Wake(usize),
    /// A process has done its step; whether it found anything to do.
    Ended(usize, bool),
    /// A slab reaches the spool.
    Slab(usize),
    /// A processor is switched off.
    Off,
    /// Clocks step.
    Clocks,
    /// Mailboxes delete what is old.
    Retention,
    /// Somebody copies a batch.
    Copy,
    /// A processor lies to its peer.
    Lie,
    /// A processor chooses which packets count.
    Choose,
    /// An operator sums a window by hand.
    ByHand,
    /// Somebody begins to wait for a record to edit.
    Edit,
    /// The edited records are put back.
    PutBack,
    /// Somebody begins to wait for a validation to make too large.
    Oversize,
    /// An ingestor writes a batch that one side has no key for.
    StaleKey,
    /// An older scheduler looks whether it can fix the batches of the window of such a batch.
    OldScheduler(usize),
    /// Nothing goes wrong any more.
    Calm,
}
