//! How many packets of a window the peer rules out: above a share the sum part is held until an operator releases it.
//!
//! The peer chooses who is in a sum: a packet whose message it leaves out or spoils does not count. It cannot be kept from
//! that, but a sum from which it has taken nearly all packets is not released without a person having looked.

use super::{AggregateSummary, BatchVerdict};
use crate::error::Error;
use crate::processor::Processor;
use crate::reason::PacketReason;
use serde::Serialize;
use std::collections::BTreeMap;
use tallybox_model::id::AggregationId;
use tallybox_model::roster::WindowName;
use tallybox_service::fault;
use tallybox_transport::BucketError;

/// Above this share a window is reported.
const ALARM_SHARE: f64 = 0.05;
/// The largest release that is read.
const RELEASE_BYTES: u64 = 4 << 10;

/// Of the packets for which we have a message, those that do not count because of the peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct PeerRejections {
    /// Packets for which we have a message.
    pub messages: u64,
    /// Those of which the peer has sent no message, or none with which the proof holds.
    pub rejected: u64,
}

impl PeerRejections {
    /// Takes a batch that has been judged.
    pub fn add(&mut self, verdict: &BatchVerdict) {
        let count = |reason| verdict.rejections.count(reason);
        let reasons = [
            PacketReason::NoPeerMessage,
            PacketReason::BadPeerMessage,
            PacketReason::InvalidProof,
        ];
        let rejected: u64 = reasons.into_iter().map(count).sum();
        self.messages += verdict.accepted + count(PacketReason::DuplicateInWindow) + rejected;
        self.rejected += rejected;
    }

    /// Takes a batch of which the peer rules out every packet.
    pub fn all_of(&mut self, messages: u64) {
        self.messages += messages;
        self.rejected += messages;
    }

    /// The share of the packets with a message that do not count; 0 if there is none.
    #[must_use]
    pub fn share(&self) -> f64 {
        match self.messages {
            0 => 0.0,
            messages => self.rejected as f64 / messages as f64,
        }
    }

    /// Whether the share is worth a report.
    #[must_use]
    pub fn is_alarming(&self) -> bool {
        self.share() > ALARM_SHARE
    }

    /// The object that releases a window with exactly these counts.
    fn release(&self, name: &WindowName) -> String {
        name.released(self.rejected, self.messages)
    }
}

/// Above which share of rejected packets a sum part is held.
#[derive(Clone, Debug, PartialEq)]
pub struct RejectionLimits {
    /// For every metric that has no limit of its own.
    pub default: f64,
    /// By metric.
    pub by_metric: BTreeMap<AggregationId, f64>,
}

impl RejectionLimits {
    fn of(&self, aggregation: &AggregationId) -> f64 {
        self.by_metric.get(aggregation).copied().unwrap_or(self.default)
    }
}

/// Reports a window of which the peer rules out more than a few packets.
pub(crate) fn alarm(name: &WindowName, summary: &AggregateSummary) {
    let rejections = &summary.rejections;
    if rejections.is_alarming() {
        tracing::warn!(
            window = %name,
            messages = rejections.messages,
            rejected = rejections.rejected,
            share = rejections.share(),
            reasons = ?summary.rejected_by_reason,
            "the peer's messages rule out many packets of a window: compare with the peer's summaries"
        );
    }
}

/// Checks that the share of rejected packets is within the metric's limit, or that an operator has released the window with
/// exactly these counts. A window that is held is marked, so that it is seen and not started again.
///
/// # Errors
/// [`Error::Held`]; the own bucket's.
pub(crate) async fn check_share(
    processor: &Processor,
    name: &WindowName,
    summary: &AggregateSummary,
    dry_run: bool,
) -> Result<(), Error> {
    let (rejections, maximum) = (summary.rejections, processor.rejection_limits.of(&name.aggregation));
    if rejections.share() <= maximum || is_released(processor, name, rejections).await? || fault::is_on("never-held") {
        return Ok(());
    }
    if !dry_run {
        mark_held(processor, name, rejections).await?;
    }
    Err(Error::Held {
        window: name.window.to_string(),
        rejections,
        maximum,
        summary: Box::new(summary.clone()),
    })
}

async fn mark_held(processor: &Processor, name: &WindowName, rejections: PeerRejections) -> Result<(), Error> {
    let text = serde_json::to_vec(&rejections).map_err(|error| Error::Internal(error.to_string()))?;
    match processor.create_record(&name.held(), &text).await {
        // One that was held before with other counts is held.
        Ok(_) | Err(BucketError::Conflict { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Releases a window that is held, for exactly these counts: the next run sums it.
///
/// # Errors
/// The own bucket's.
pub async fn release(processor: &Processor, name: &WindowName, rejections: PeerRejections) -> Result<(), Error> {
    let text = release_text(name, rejections)?;
    processor.create_record(&rejections.release(name), &text).await?;
    Ok(())
}

async fn is_released(processor: &Processor, name: &WindowName, rejections: PeerRejections) -> Result<bool, Error> {
    let object = rejections.release(name);
    match processor.read_record(&object, RELEASE_BYTES).await? {
        None => Ok(false),
        Some(text) if text == release_text(name, rejections)? => Ok(true),
        Some(_) => Err(Error::Internal(format!("{object} in the own bucket is malformed"))),
    }
}

fn release_text(name: &WindowName, rejections: PeerRejections) -> Result<Vec<u8>, Error> {
    #[derive(Serialize)]
    #[serde(rename_all = "kebab-case")]
    struct Release {
        window: String,
        #[serde(flatten)]
        rejections: PeerRejections,
    }
    let release = Release {
        window: name.to_string(),
        rejections,
    };
    serde_json::to_vec(&release).map_err(|error| Error::Internal(error.to_string()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_share_is_of_packets_with_a_message() {
        let mut rejections = PeerRejections::default();
        assert!((rejections.share() - 0.0).abs() < f64::EPSILON && !rejections.is_alarming());
        rejections.all_of(5);
        rejections.messages += 95;
        assert!(!rejections.is_alarming(), "exactly the share");
        rejections.all_of(1);
        assert!(rejections.is_alarming());
        assert_eq!((rejections.messages, rejections.rejected), (101, 6));
    }

    #[test]
    fn a_metric_has_a_limit_of_its_own() {
        let limits = RejectionLimits {
            default: 0.75,
            by_metric: [("a".parse().unwrap(), 0.5)].into(),
        };
        assert!((limits.of(&"a".parse().unwrap()) - 0.5).abs() < f64::EPSILON);
        assert!((limits.of(&"b".parse().unwrap()) - 0.75).abs() < f64::EPSILON);
    }
}
