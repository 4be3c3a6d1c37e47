//! The set on which the two rosters of a window agree, as stored in each processor's own bucket. It
//! is a pure function of the rosters of both processors.

use super::{Claim, DatedBatch, OpenReason, RosterTerms};
use crate::id::BatchId;
use crate::time::{BatchTime, Window};
use serde::{Deserialize, Serialize};

/// A batch that both processors listed as summable, with equal claims.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct AgreedBatch {
    /// The batch.
    #[serde(flatten)]
    pub batch: DatedBatch,
    /// The contribution on which both processors agree.
    #[serde(flatten)]
    pub claim: Claim,
    /// The number of its packets that an earlier batch already counts.
    pub duplicates: u64,
}

/// A batch that can no longer be summed in any window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ExpiredBatch {
    /// The batch.
    #[serde(flatten)]
    pub batch: DatedBatch,
    /// The last state that the first and the second processor listed: none, `summable`, or a
    /// reason.
    #[serde(rename = "said")]
    pub last_statuses: [Option<ListingStatus>; 2],
}

/// An identifier that the rosters of a window list under several dates. At most one of them is the
/// batch's true date.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SeveralDates {
    /// The identifier.
    pub batch: BatchId,
    /// All dates under which one of the two rosters lists the identifier, in order.
    pub dates: Vec<BatchTime>,
}

/// The state of a batch in a roster, without its claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ListingStatus {
    /// The batch can be summed.
    Summable,
    /// The batch cannot be summed, for this reason.
    #[serde(untagged)]
    Open(OpenReason),
}

/// The agreed set of a window, and the other decisions that follow from the two rosters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct AgreedWindow {
    /// Format number, 1.
    pub format: u32,
    /// The window.
    pub window: Window,
    /// The batches that are summed, in order of date and identifier. All have the same parameters.
    pub batches: Vec<AgreedBatch>,
    /// The number of packets in the sum: those of all batches, each once, minus those that an
    /// earlier window counts.
    pub counted: u64,
    /// The minimum that applied.
    pub minimum: u64,
    /// The number of packets, if it was below the minimum. In that case no batch is summed, and all
    /// remain open.
    pub below_minimum: Option<u64>,
    /// Batches for which the two processors have unequal claims. They are never summed.
    pub excluded: Vec<DatedBatch>,
    /// Batches for which this was the last possible window and which no window sums. Expiry closes
    /// a batch only under this date.
    pub expired: Vec<ExpiredBatch>,
    /// Identifiers listed under several dates, in order. An identifier is reported once for each
    /// new date.
    pub several_dates: Vec<SeveralDates>,
    /// The terms of the first and of the second processor that applied; `null` before both have
    /// written their first roster. All values except the minimum are those of the first window of
    /// both.
    pub terms: Option<[RosterTerms; 2]>,
}

impl AgreedWindow {
    /// The version of the file that this version writes and reads.
    pub const FORMAT: u32 = 1;

    /// Returns the batches that no later window can contain under any date: those summed and those
    /// excluded.
    pub fn settled(&self) -> impl Iterator<Item = DatedBatch> + '_ {
        let summed = self.batches.iter().map(|agreed| agreed.batch);
        summed.chain(self.excluded.iter().copied())
    }
}
