//! Rosters: which batches a processor can sum in a window, so that both sum the same ones.

mod names;

pub use names::{RosterObject, WindowName};
