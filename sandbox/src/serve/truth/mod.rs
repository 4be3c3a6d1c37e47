//! Every report that the sandbox has posted, and the audit that compares the sums with them.
//!
//! | file | content |
//! |---|---|
//! | `posted_reports` | the posted reports and the status of each, in memory and on disk |
//! | `audit` | reads the stored state of all roles, and adds the sum parts |
//! | `balance` | compares sums with posted reports, and explains the reports that are in no sum |
//! | `window` | one window of one metric, from its rosters to its sum |
//! | `discrepancy` | the discrepancies that the audit has found |
//! | `final_report` | the final report |

mod audit;
mod balance;
mod discrepancy;
mod final_report;
mod posted_reports;
mod window;

pub(super) use audit::Audit;
pub use discrepancy::{Discrepancies, Discrepancy};
pub use final_report::{FinalReport, Kills};
pub use posted_reports::ReportCounts;
pub(crate) use posted_reports::{Posted, SharedPostedReports};
