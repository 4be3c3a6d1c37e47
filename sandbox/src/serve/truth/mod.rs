//! The plain truth about every report that the sandbox has posted, and whether the sums agree with it.
//!
//! | file | holds |
//! |---|---|
//! | `ledger` | what was posted, and what became of each report; on disk, too |
//! | `audit` | reads what the programs leave behind, as the portal does, and compares |
//! | `window` | one window of one metric, from its rosters to its sum |
//! | `fault` | what is wrong, if anything is |
//! | `verdict` | what came of it all |

mod audit;
mod fault;
mod ledger;
mod verdict;
mod window;

pub(super) use audit::Audit;
pub use fault::{Fault, Faults};
pub use ledger::ReportCounts;
pub(super) use ledger::{Posted, SharedLedger};
pub use verdict::{Kills, Verdict};
