//! Determines the actual outcome of each hostile packet from the processors' records.

use std::collections::HashMap;

use tallybox_facilitator::intake::find_prepared;
use tallybox_facilitator::prepared::ChunkKind;
use tallybox_facilitator::processor::Processor;
use tallybox_facilitator::reason::PacketReason;
use tallybox_facilitator::sum::AggregateSummary;
use tallybox_model::id::{BatchId, PacketId};
use tallybox_model::path::BatchName;
use tallybox_model::role::Role;

use crate::error::Error;
use crate::hostile::{Attack, Ending, IntakeOutcome, PacketStatus, Sent};
use crate::portal::Total;

/// One processor's records of some batches.
#[derive(Debug, Default)]
pub struct Notes {
    /// Packets for which it sent no verification message.
    rejected: HashMap<(BatchId, PacketId), PacketReason>,
    /// Number of repeated ids in each batch.
    repeated: HashMap<BatchId, u64>,
    /// Number of packets that it did not count because an earlier batch of the window contains
    /// them.
    replayed: u64,
}

impl Notes {
    /// Reads a processor's records of the intake of these batches, and its summary of their
    /// aggregation.
    ///
    /// # Errors
    /// [`Error::Processor`] or [`Error::Internal`] if a record cannot be read or does not exist.
    pub async fn read(
        processor: &Processor,
        batches: impl Iterator<Item = &BatchName>,
        summary: &AggregateSummary,
    ) -> Result<Self, Error> {
        let refuse = |error: tallybox_facilitator::error::Error| Error::Processor {
            role: processor.buckets.role,
            source: Box::new(error),
        };
        let replayed = summary
            .rejected_by_reason
            .count(PacketReason::DuplicateInWindow);
        let mut notes = Self {
            replayed,
            ..Self::default()
        };
        for name in batches {
            let prepared = find_prepared(processor, name).await.map_err(refuse)?;
            let missing =
                || Error::Internal(format!("the prepared batch of {name} does not exist"));
            let prepared = prepared.ok_or_else(missing)?;
            let repeated = prepared
                .footer()
                .rejections
                .count(PacketReason::DuplicateUuid);
            notes.repeated.insert(name.id, repeated);
            for chunk in prepared.chunks(ChunkKind::Rejects) {
                let rejects = prepared
                    .rejects(chunk)
                    .await
                    .map_err(|error| refuse(error.into()))?;
                notes.rejected.extend(
                    rejects
                        .into_iter()
                        .map(|(id, reason)| ((name.id, id), reason)),
                );
            }
        }
        Ok(notes)
    }

    fn answer(&self, sent: &Sent, all: &[Sent]) -> IntakeOutcome {
        let batch = sent.batch.id;
        if sent.attack.repeats_in_batch() {
            // Repeated ids are counted but not listed in the records. If the count is as expected,
            // each of them was detected.
            let expected = count(all, |other| {
                other.batch.id == batch && other.attack.repeats_in_batch()
            });
            if self.repeated.get(&batch) == Some(&expected) {
                return IntakeOutcome::Rejected(PacketReason::DuplicateUuid);
            }
        }
        self.rejected
            .get(&(batch, sent.id))
            .map_or(IntakeOutcome::Message, |reason| {
                IntakeOutcome::Rejected(*reason)
            })
    }
}

/// Returns the outcome of each hostile packet of a metric, in the order in which they were sent.
#[must_use]
pub fn packet_statuses(sent: &[Sent], notes: &[Notes; 2], total: &Total) -> Vec<PacketStatus> {
    let replays = count(sent, |sent| matches!(sent.attack, Attack::Replay { .. }));
    let replays_found = notes.iter().all(|notes| notes.replayed == replays);
    let status = |packet: &Sent| {
        let intake = Role::ALL.map(|role| notes[role.index()].answer(packet, sent));
        let repeated = intake == [IntakeOutcome::Rejected(PacketReason::DuplicateUuid); 2]
            || matches!(packet.attack, Attack::Replay { .. }) && replays_found;
        let ending = match (total.invalid.contains(&packet.id), repeated) {
            (true, _) => Ending::NotCounted,
            (false, true) => Ending::FirstOneCounted,
            (false, false) => Ending::Counted,
        };
        PacketStatus { intake, ending }
    };
    sent.iter().map(status).collect()
}

fn count(sent: &[Sent], which: impl Fn(&Sent) -> bool) -> u64 {
    sent.iter().filter(|sent| which(sent)).count() as u64
}
