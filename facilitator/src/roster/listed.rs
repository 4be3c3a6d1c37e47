//! A batch in one of our rosters, with where its verdict is.

use crate::reason::Rejections;
use serde::{Deserialize, Serialize};
use tallybox_model::digest::Digest;
use tallybox_model::roster::{Claim, DatedBatch, Listing, OpenReason};
use tallybox_model::time::Window;

/// Bytes of one kind in a file of verdicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Span {
    /// The place of the first among all of their kind.
    pub(super) first: u64,
    /// How many.
    pub(super) bytes: u64,
}

/// What was found of a batch, and can be found again.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Verdict {
    /// The batch.
    pub(super) batch: DatedBatch,
    /// What we would count.
    pub(super) claim: Claim,
    /// Packets in the ingestion batch.
    pub(super) packets: u64,
    /// Packets for which both messages are there.
    pub(super) both_messages: u64,
    /// Why packets do not count.
    pub(super) rejections: Rejections,
    /// Digests of the ingestion header and of the peer's validation header.
    pub(super) inputs: [Digest; 2],
    /// Accepted packets.
    pub(super) accepted: Span,
    /// Packets that do not count.
    pub(super) invalid: Span,
    /// The sum of our shares.
    pub(super) sum: Span,
}

/// A batch of a roster.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Listed {
    /// It can be summed, and this file holds its verdict.
    New(Box<Verdict>),
    /// It can be summed, and an earlier window holds its verdict.
    Again {
        /// The batch.
        batch: DatedBatch,
        /// What we would count.
        claim: Claim,
        /// The window whose file holds the verdict.
        verdicts: Window,
    },
    /// It cannot be summed.
    Open {
        /// The batch.
        batch: DatedBatch,
        /// Why not.
        reason: OpenReason,
    },
}

impl Listed {
    /// The batch.
    pub(super) fn batch(&self) -> DatedBatch {
        match self {
            Self::New(verdict) => verdict.batch,
            Self::Again { batch, .. } | Self::Open { batch, .. } => *batch,
        }
    }

    /// What the roster says of it.
    pub(super) fn listing(&self) -> Listing {
        match self {
            Self::New(verdict) => Listing::Summable(verdict.claim.clone()),
            Self::Again { claim, .. } => Listing::Summable(claim.clone()),
            Self::Open { reason, .. } => Listing::Open(*reason),
        }
    }

    /// The same batch in the roster of a later window, if it can be summed; `window` is that of this roster.
    pub(super) fn again(&self, window: Window) -> Option<Self> {
        match self {
            Self::New(verdict) => Some(Self::Again {
                batch: verdict.batch,
                claim: verdict.claim.clone(),
                verdicts: window,
            }),
            Self::Again { .. } => Some(self.clone()),
            Self::Open { .. } => None,
        }
    }
}
