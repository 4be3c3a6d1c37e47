//! Slabs: a fraction of a second of accepted reports in one durable object.
//!
//! | file | holds |
//! |---|---|
//! | `collector` | groups deposits, closes slabs by time and size |
//! | `slab` | one slab while it fills |
//! | `writer` | makes a slab durable in a window that still takes it, or says that it cannot |
//! | `windows` | which window that is |
//! | `arrears` | how far batching is behind |

mod arrears;
mod collector;
mod slab;
mod windows;
mod writer;

pub use collector::{Collector, CollectorState};
pub use slab::{Deposited, Kept, Ledger, Receipt};
pub use windows::Windows;
