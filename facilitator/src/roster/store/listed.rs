//! The batches of one of our rosters, with the location of their verdicts.

use crate::reason::Rejections;
use serde::{Deserialize, Serialize};
use tallybox_model::digest::Digest;
use tallybox_model::roster::{Claim, DatedBatch, Listing, OpenReason};
use tallybox_model::time::Window;

/// A range of bytes of one kind in a file of verdicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Span {
    /// The offset among all bytes of this kind.
    pub(crate) first: u64,
    /// The length.
    pub(crate) bytes: u64,
}

/// A verdict: the sealed record of a batch's accepted packets and sum.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Verdict {
    /// The batch.
    pub(crate) batch: DatedBatch,
    /// The accepted packets, as our roster lists them.
    pub(crate) claim: Claim,
    /// Packets in the ingestion batch.
    pub(crate) packets: u64,
    /// Packets for which both messages exist.
    pub(crate) both_messages: u64,
    /// The numbers of packets that do not count, by reason.
    pub(crate) rejections: Rejections,
    /// Digests of the ingestion header and of the peer's validation header.
    pub(crate) inputs: [Digest; 2],
    /// The identifiers of accepted packets.
    pub(crate) accepted: Span,
    /// The identifiers of packets that do not count, with reasons.
    pub(crate) invalid: Span,
    /// The sum of this processor's shares.
    pub(crate) sum: Span,
}

/// A batch of a roster.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Listed {
    /// The batch can be summed, and this file contains its verdict.
    New(Box<Verdict>),
    /// The batch can be summed, and the file of an earlier window contains its verdict.
    #[serde(rename = "again")]
    Relisted {
        /// The batch.
        batch: DatedBatch,
        /// The accepted packets, as our roster lists them.
        claim: Claim,
        /// The window whose file contains the verdict.
        verdicts: Window,
    },
    /// The batch cannot be summed.
    Open {
        /// The batch.
        batch: DatedBatch,
        /// The reason.
        reason: OpenReason,
    },
}

impl Listed {
    /// The batch.
    pub(crate) fn batch(&self) -> DatedBatch {
        match self {
            Self::New(verdict) => verdict.batch,
            Self::Relisted { batch, .. } | Self::Open { batch, .. } => *batch,
        }
    }

    /// Returns the batch's entry in the roster.
    pub(crate) fn listing(&self) -> Listing {
        match self {
            Self::New(verdict) => Listing::Summable(verdict.claim.clone()),
            Self::Relisted { claim, .. } => Listing::Summable(claim.clone()),
            Self::Open { reason, .. } => Listing::Open(*reason),
        }
    }

    /// Returns the batch's entry for the roster of a later window, if the batch can be summed.
    /// `window` is the window of this roster.
    pub(crate) fn relisted_in(&self, window: Window) -> Option<Self> {
        match self {
            Self::New(verdict) => Some(Self::Relisted {
                batch: verdict.batch,
                claim: verdict.claim.clone(),
                verdicts: window,
            }),
            Self::Relisted { .. } => Some(self.clone()),
            Self::Open { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use tallybox_model::header::{BatchParameters, PRIME};
    use tallybox_model::id::BatchId;

    #[test]
    fn only_a_batch_that_can_be_summed_is_listed_again() {
        let window = Window::new(
            "2026/01/31/12/00".parse().unwrap(),
            "2026/01/31/13/00".parse().unwrap(),
        )
        .unwrap();
        let batch = DatedBatch {
            date: window.start(),
            id: BatchId::from_bytes([1; 16]),
        };
        let parameters = BatchParameters {
            name: "a".to_owned(),
            bins: 2,
            epsilon: 1.0,
            prime: PRIME,
            number_of_servers: 2,
            hamming_weight: None,
        };
        let claim = Claim {
            parameters,
            accepted: 1,
            digest: Digest::empty(),
        };
        let relisted = Listed::Relisted {
            batch,
            claim,
            verdicts: window,
        };
        // The verdict stays in the file of its window.
        let later = Window::new(window.end(), window.end().plus_minutes(60).unwrap()).unwrap();
        assert!(
            matches!(relisted.relisted_in(later), Some(Listed::Relisted { verdicts, .. }) if verdicts == window)
        );
        let open = Listed::Open {
            batch,
            reason: OpenReason::NoValidation,
        };
        assert!(open.relisted_in(later).is_none());
    }
}
