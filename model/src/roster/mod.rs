//! Rosters: the lists of batches that a processor can sum in a window. Two processors compare their
//! rosters so that both sum the same batches.
//!
//! A roster is a signed batch in one object. Its header contains its writer and the terms of
//! agreement; its packets are the entries, one for each batch. `docs/formats.md` describes both
//! byte by byte, and `docs/rosters.md` describes the protocol.

mod agreed;
mod entry;
mod header;
mod names;
mod reason;

pub use agreed::{AgreedBatch, AgreedWindow, ExpiredBatch, ListingStatus, SeveralDates};
pub use entry::{Claim, DatedBatch, Listing, RosterEntry};
pub use header::{ChainReach, MOST_ENTRIES, RosterHeader, RosterTerms, TermsDiffer};
pub use names::{RosterObject, WindowName, chain};
pub use reason::OpenReason;
