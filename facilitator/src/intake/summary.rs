//! The summary of an intake.

use crate::prepared::Footer;
use crate::reason::Rejections;
use serde::Serialize;
use std::fmt;
use std::time::Duration;
use tallybox_model::id::{AggregationId, BatchId};
use tallybox_model::role::Role;
use tallybox_model::time::BatchTime;

/// The summary of an intake, for people and (`--json`) machines.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct IntakeSummary {
    /// Always `intake`.
    pub stage: &'static str,
    /// The role of this processor.
    pub role: Role,
    /// The aggregation.
    pub aggregation: AggregationId,
    /// The batch's date.
    pub date: BatchTime,
    /// The batch.
    pub batch: BatchId,
    /// True if an earlier run processed the batch. This run then changed nothing, or only published
    /// what the earlier run had recorded.
    pub done_before: bool,
    /// Packets read.
    pub packets_read: u64,
    /// Packets for which this processor sends a message. Whether such a packet counts depends on
    /// the peer's message.
    pub packets_accepted: u64,
    /// Packets without a message, except duplicates.
    pub packets_rejected: u64,
    /// Rejected packets and duplicates, by reason.
    pub rejected_by_reason: Rejections,
    /// Packets that repeat an earlier one of the batch.
    pub duplicates: u64,
    /// Size of the packet file, in bytes.
    pub bytes: u64,
    /// Duration in seconds.
    pub seconds: f64,
    /// Packets per second.
    pub packets_per_second: f64,
}

impl IntakeSummary {
    pub(super) fn new(role: Role, footer: &Footer, done_before: bool, elapsed: Duration) -> Self {
        let seconds = elapsed.as_secs_f64();
        Self {
            stage: "intake",
            role,
            aggregation: footer.batch.aggregation.clone(),
            date: footer.batch.date,
            batch: footer.batch.id,
            done_before,
            packets_read: footer.packets,
            packets_accepted: footer.messages,
            packets_rejected: footer.rejections.rejected(),
            rejected_by_reason: footer.rejections.clone(),
            duplicates: footer.rejections.duplicates(),
            bytes: footer.ingestion_bytes,
            seconds,
            packets_per_second: footer.packets as f64 / seconds.max(1e-9),
        }
    }
}

impl fmt::Display for IntakeSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            aggregation,
            date,
            batch,
            ..
        } = self;
        let verb = if self.done_before {
            "was processed before"
        } else {
            "processed"
        };
        writeln!(f, "batch {aggregation}/{date}/{batch} {verb}")?;
        writeln!(f, "  packets read       {:>12}", self.packets_read)?;
        writeln!(f, "  message to peer    {:>12}", self.packets_accepted)?;
        writeln!(f, "  rejected           {:>12}", self.packets_rejected)?;
        writeln!(f, "  duplicates         {:>12}", self.duplicates)?;
        write_reasons(f, &self.rejected_by_reason)?;
        writeln!(f, "  bytes              {:>12}", self.bytes)?;
        write!(
            f,
            "  {:.2} s, {:.0} packets/s",
            self.seconds, self.packets_per_second
        )
    }
}

/// Writes one line for each reason.
pub(crate) fn write_reasons(f: &mut fmt::Formatter<'_>, reasons: &Rejections) -> fmt::Result {
    for (reason, count) in reasons.iter() {
        let name = serde_json::to_value(reason).ok();
        let name = name
            .as_ref()
            .and_then(serde_json::Value::as_str)
            .unwrap_or("other");
        writeln!(f, "    {name:<24} {count:>5}")?;
    }
    Ok(())
}
