//! What two rosters of a window agree on, as it stands in each side's own bucket: a function of both chains of rosters.

use super::{Claim, DatedBatch, OpenReason, RosterTerms};
use crate::id::BatchId;
use crate::time::{BatchTime, Window};
use serde::{Deserialize, Serialize};

/// A batch that both sides listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct SettledBatch {
    /// The batch.
    #[serde(flatten)]
    pub batch: DatedBatch,
    /// What both count of it.
    #[serde(flatten)]
    pub claim: Claim,
    /// Packets of it that an earlier batch counts already.
    pub duplicates: u64,
}

/// A batch that can never be summed any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ExpiredBatch {
    /// The batch.
    #[serde(flatten)]
    pub batch: DatedBatch,
    /// What the first and the second processor last said of it: nothing, `summable`, or a reason.
    pub said: [Option<LastWord>; 2],
}

/// An identifier that the rosters of a window list under several dates: at most one of them is the batch's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SeveralDates {
    /// The identifier.
    pub batch: BatchId,
    /// Every date under which one of the two rosters lists it, in order.
    pub dates: Vec<BatchTime>,
}

/// What a roster says of a batch, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LastWord {
    /// It can be summed.
    Summable,
    /// It cannot, for this reason.
    #[serde(untagged)]
    Open(OpenReason),
}

/// The agreed set of a window, and what else the two rosters settle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct AgreedWindow {
    /// Of this file: 1.
    pub format: u32,
    /// The window.
    pub window: Window,
    /// The batches that are summed, in order of date and identifier. They share their parameters.
    pub batches: Vec<SettledBatch>,
    /// Packets that count: those of all batches, each once, less those that an earlier window counts.
    pub counted: u64,
    /// The minimum that held.
    pub minimum: u64,
    /// Packets that would have counted, if they were fewer than the minimum: then no batch is summed, and all stay open.
    pub below_minimum: Option<u64>,
    /// Batches that both sides listed with unequal claims: they are never summed.
    pub excluded: Vec<DatedBatch>,
    /// Batches whose last window this was, and that no window holds. Expiry closes a batch under this date only.
    pub expired: Vec<ExpiredBatch>,
    /// Identifiers listed under several dates, in order. An identifier is reported once for each new date.
    pub several_dates: Vec<SeveralDates>,
    /// The terms of the first and of the second processor that held; `null` before both chains have begun. All but the
    /// minimum are those of the first window of both.
    pub terms: Option<[RosterTerms; 2]>,
}

impl AgreedWindow {
    /// The version of the file that this program writes and reads.
    pub const FORMAT: u32 = 1;

    /// The batches that no later window can hold, under whatever date: those summed and those excluded.
    pub fn settled(&self) -> impl Iterator<Item = DatedBatch> + '_ {
        let summed = self.batches.iter().map(|settled| settled.batch);
        summed.chain(self.excluded.iter().copied())
    }
}
