//! The parts of a sum: the results of batches, groups of batches, and the published sum part.
//!
//! ```text
//! prepared batch --messages--> join <--messages-- peer's validation batch
//!        `--sum, shares of the few packets that do not count--> result of the batch
//! results of the window --> claims of its batches --> sum part, recorded in the own bucket
//!                                                         `--> portal's mailbox
//! ```
//!
//! No packet is opened here: the results of the intake are read from the prepared batch. Windows
//! with rosters (`roster`) and without (`aggregate`) are summed from these parts.

mod batch_result;
mod claims;
mod done;
mod group;
mod join;
mod joined_batch;
mod rejections;
mod sum_part;
mod summary;

pub use batch_result::BatchResult;
pub(crate) use batch_result::subtract;
pub(crate) use claims::{claim, claimed, summed_before};
pub use done::{DoneMark, mark_done, mark_nothing};
pub use group::Group;
pub(crate) use group::Releasable;
pub use join::{Join, Joined};
pub(crate) use joined_batch::join_peer;
pub use rejections::release;
pub(crate) use rejections::{alarm, check_share};
pub use sum_part::FixedSumPart;
pub(crate) use sum_part::{check_fixed, publish as publish_sum};
pub use summary::{AggregateError, AggregateSummary, AggregatedBatch, BatchOutcome};
