//! The timers of a run: events that happen at a given virtual time.

/// An event that happens at a given virtual time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Timer {
    /// A process checks whether there is work, and starts a step.
    Wake(usize),
    /// A process has ended its step; the flag is true if it found work.
    Ended(usize, bool),
    /// A slab of accepted reports is written to the spool.
    Slab(usize),
    /// A processor goes offline.
    Off,
    /// The clocks of one organisation step.
    Clocks,
    /// Mailboxes delete objects older than their retention.
    Retention,
    /// A dishonest ingestor copies a batch.
    Copy,
    /// A dishonest processor tampers with an object that it sent to its peer.
    Tamper,
    /// A dishonest processor rejects all packets but one of each new batch.
    Choose,
    /// An operator sums a window manually.
    ManualSum,
    /// An attacker starts to wait for a record to edit.
    Edit,
    /// The edited records are restored.
    PutBack,
    /// A dishonest processor starts to wait for a validation batch to enlarge.
    Oversize,
    /// An ingestor writes a batch for which one side has no packet key.
    StaleKey,
    /// A scheduler of an older version checks whether it can fix the batches of such a batch's
    /// window.
    OldScheduler(usize),
    /// The period without faults begins.
    EndFaults,
}
