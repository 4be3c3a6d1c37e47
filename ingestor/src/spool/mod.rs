//! Slabs: the reports accepted within a fraction of a second, in one durable object.
//!
//! | file | contents |
//! |---|---|
//! | `collector` | groups write requests into slabs, which it closes by age and size |
//! | `slab` | a slab in memory while it fills |
//! | `writer` | writes a slab to the spool, in a window that is still open |
//! | `windows` | determines the window of a slab |
//! | `lag` | measures how far batching lags behind |

mod collector;
mod lag;
mod slab;
mod windows;
mod writer;

pub use collector::{Collector, CollectorState};
pub use slab::{AcceptedReport, DedupEntry, DurabilityObserver, WriteOutcome};
pub use windows::Windows;
