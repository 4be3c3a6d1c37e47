//! The limit on packets of a window that are lost because of the peer: above it the sum part is
//! held until an operator releases it.
//!
//! The peer influences which packets are in a sum: a packet whose verification message it omits or
//! corrupts does not count. No check can prevent that. But a sum from which the peer has removed
//! nearly all packets is not released until a person has examined it.

use super::{AggregateSummary, BatchResult};
use crate::error::Error;
use crate::processor::Processor;
use crate::reason::PacketReason;
use serde::Serialize;
use tallybox_model::roster::WindowName;
use tallybox_transport::BucketError;

/// The fraction above which a window is reported in the log.
const ALARM_SHARE: f64 = 0.05;
/// The largest size of a release record, in bytes.
const RELEASE_BYTES: u64 = 4 << 10;

/// The number of packets for which this processor has a message, and how many of them do not count
/// because of the peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct PeerRejections {
    /// Packets for which we have a message.
    pub messages: u64,
    /// Packets for which the peer sent no message, or only messages with which the proof is not
    /// valid.
    pub rejected: u64,
}

impl PeerRejections {
    /// Adds the counts of a batch.
    pub fn add(&mut self, result: &BatchResult) {
        let count = |reason| result.rejections.count(reason);
        let reasons = [
            PacketReason::NoPeerMessage,
            PacketReason::BadPeerMessage,
            PacketReason::InvalidProof,
        ];
        let rejected: u64 = reasons.into_iter().map(count).sum();
        self.messages += result.accepted + count(PacketReason::DuplicateInWindow) + rejected;
        self.rejected += rejected;
    }

    /// Adds a batch of which the peer rejects every packet.
    pub fn all_of(&mut self, messages: u64) {
        self.messages += messages;
        self.rejected += messages;
    }

    /// Returns the fraction of the packets with a message that do not count; 0 without messages.
    #[must_use]
    pub fn share(&self) -> f64 {
        match self.messages {
            0 => 0.0,
            messages => self.rejected as f64 / messages as f64,
        }
    }

    /// Returns whether the fraction is high enough for a report in the log.
    #[must_use]
    pub fn is_alarming(&self) -> bool {
        self.share() > ALARM_SHARE
    }

    /// Returns the name of the object that releases a window with exactly these counts.
    fn release(&self, name: &WindowName) -> String {
        name.released(self.rejected, self.messages)
    }
}

/// Logs a warning for a window in which more than a few packets are lost because of the peer.
pub(crate) fn alarm(name: &WindowName, summary: &AggregateSummary) {
    let rejections = &summary.rejections;
    if rejections.is_alarming() {
        tracing::warn!(
            window = %name,
            messages = rejections.messages,
            rejected = rejections.rejected,
            share = rejections.share(),
            reasons = ?summary.rejected_by_reason,
            "many packets of a window do not count because of the peer's messages; compare with \
             the peer's summaries"
        );
    }
}

/// Checks that the fraction of rejected packets is within the metric's limit, or that an operator
/// has released the window with exactly these counts. A window above the limit is marked as held,
/// so that it is visible and not started again.
///
/// # Errors
/// [`Error::Held`], or an error of the own bucket.
pub(crate) async fn check_share(
    processor: &Processor,
    name: &WindowName,
    summary: &AggregateSummary,
    dry_run: bool,
) -> Result<(), Error> {
    let (rejections, maximum) = (
        summary.rejections,
        processor.limits.rejections.maximum_share(&name.aggregation),
    );
    if rejections.share() <= maximum || is_released(processor, name, rejections).await? {
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

async fn mark_held(
    processor: &Processor,
    name: &WindowName,
    rejections: PeerRejections,
) -> Result<(), Error> {
    let text =
        serde_json::to_vec(&rejections).map_err(|error| Error::Internal(error.to_string()))?;
    match processor.buckets.create_record(&name.held(), &text).await {
        // The window is already marked as held, with other counts.
        Ok(_) | Err(BucketError::Conflict { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Releases a held window for exactly these counts; the next run sums it.
///
/// # Errors
/// An error of the own bucket.
pub async fn release(
    processor: &Processor,
    name: &WindowName,
    rejections: PeerRejections,
) -> Result<(), Error> {
    let text = release_text(name, rejections)?;
    processor
        .buckets
        .create_record(&rejections.release(name), &text)
        .await?;
    Ok(())
}

async fn is_released(
    processor: &Processor,
    name: &WindowName,
    rejections: PeerRejections,
) -> Result<bool, Error> {
    let object = rejections.release(name);
    match processor
        .buckets
        .read_record(&object, RELEASE_BYTES)
        .await?
    {
        None => Ok(false),
        Some(text) if text == release_text(name, rejections)? => Ok(true),
        Some(_) => Err(Error::Internal(format!(
            "{object} in the own bucket is malformed"
        ))),
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
    use crate::reason::Rejections;
    use tallybox_crypto::prio2::Sum;
    use tallybox_model::digest::Digest;
    use tallybox_model::path::BatchName;
    use tallybox_model::time::Window;

    #[test]
    fn the_share_is_of_packets_with_a_message() {
        let mut rejections = PeerRejections::default();
        assert!((rejections.share() - 0.0).abs() < f64::EPSILON && !rejections.is_alarming());
        rejections.all_of(5);
        rejections.messages += 95;
        assert!(!rejections.is_alarming(), "exactly at the limit");
        rejections.all_of(1);
        assert!(rejections.is_alarming());
        assert_eq!((rejections.messages, rejections.rejected), (101, 6));
    }

    #[test]
    fn a_packet_with_a_message_counts_once_whatever_becomes_of_it() {
        let mut verdict = BatchResult {
            name: BatchName::parse("a/2026/01/31/12/00/00112233-4455-4677-8899-aabbccddeeff")
                .unwrap(),
            packets: 100,
            accepted: 10,
            both_messages: 14,
            sum: Sum::new(2),
            invalid: Vec::new(),
            rejections: Rejections::default(),
            inputs: [Digest::empty(); 2],
        };
        // The last two reasons arise before a message exists.
        for (reason, count) in [
            (PacketReason::DuplicateInWindow, 1),
            (PacketReason::NoPeerMessage, 2),
            (PacketReason::BadPeerMessage, 3),
            (PacketReason::InvalidProof, 4),
            (PacketReason::KeyWornOut, 5),
            (PacketReason::PointChanged, 6),
        ] {
            (0..count).for_each(|_| verdict.rejections.add(reason));
        }
        let mut rejections = PeerRejections::default();
        for _ in 0..2 {
            rejections.add(&verdict);
        }
        assert_eq!((rejections.messages, rejections.rejected), (2 * 20, 2 * 9));
    }

    #[test]
    fn a_release_names_the_window_and_the_counts() {
        let name = WindowName {
            aggregation: "a".parse().unwrap(),
            window: Window::new(
                "2026/01/31/12/00".parse().unwrap(),
                "2026/01/31/13/00".parse().unwrap(),
            )
            .unwrap(),
        };
        let rejections = PeerRejections {
            messages: 7,
            rejected: 5,
        };
        let text: serde_json::Value =
            serde_json::from_slice(&release_text(&name, rejections).unwrap()).unwrap();
        let expected =
            serde_json::json!({ "window": name.to_string(), "messages": 7, "rejected": 5 });
        assert_eq!(text, expected);
    }
}
