//! Rosters: which batches a processor can sum in a window, so that both processors sum the same ones.
//!
//! A roster is a signed batch in one object: its header says whose it is and by which rules it was written, its packets
//! are the entries, one a batch. `docs/formats.md` describes both byte by byte, `docs/rosters.md` what follows from them.

mod agreed;
mod entry;
mod header;
mod names;
mod reason;

pub use agreed::{AgreedWindow, ExpiredBatch, LastWord, SettledBatch, SeveralDates};
pub use entry::{Claim, DatedBatch, Listing, RosterEntry};
pub use header::{ChainReach, MOST_ENTRIES, RosterHeader, RosterTerms};
pub use names::{RosterObject, WindowName, chain};
pub use reason::OpenReason;
