//! What really became of the hostile packets, from the records that the processors left.

use std::collections::HashMap;

use tallybox_facilitator::aggregate::AggregateSummary;
use tallybox_facilitator::intake::find_prepared;
use tallybox_facilitator::prepared::ChunkKind;
use tallybox_facilitator::processor::Processor;
use tallybox_facilitator::reason::PacketReason;
use tallybox_model::id::{BatchId, PacketId};
use tallybox_model::path::BatchName;
use tallybox_model::role::Role;

use crate::error::Error;
use crate::hostile::{Answer, Attack, Ending, Fate, Sent};
use crate::portal::Total;

/// What one processor noted about some batches.
#[derive(Debug, Default)]
pub struct Notes {
    /// Packets that it sent no message about.
    rejected: HashMap<(BatchId, PacketId), PacketReason>,
    /// Repeated identifiers in each batch.
    repeated: HashMap<BatchId, u64>,
    /// Packets that it did not count because an earlier batch of the window holds them.
    replayed: u64,
}

impl Notes {
    /// Reads a processor's own records of the intake of these batches, and its summary of their aggregation.
    ///
    /// # Errors
    /// [`Error::Processor`] if a record is not there.
    pub async fn read(
        processor: &Processor,
        batches: impl Iterator<Item = &BatchName>,
        summary: &AggregateSummary,
    ) -> Result<Self, Error> {
        let refuse = |error: tallybox_facilitator::error::Error| Error::Processor {
            role: processor.role,
            source: Box::new(error),
        };
        let replayed = summary.rejected_by_reason.count(PacketReason::DuplicateInWindow);
        let mut notes = Self {
            replayed,
            ..Self::default()
        };
        for name in batches {
            let prepared = find_prepared(processor, name).await.map_err(refuse)?;
            let missing = || Error::Internal(format!("no prepared batch of {name}"));
            let prepared = prepared.ok_or_else(missing)?;
            let repeated = prepared.footer().rejections.count(PacketReason::DuplicateUuid);
            notes.repeated.insert(name.id, repeated);
            for chunk in prepared.chunks(ChunkKind::Rejects) {
                let rejects = prepared.rejects(chunk).await.map_err(|error| refuse(error.into()))?;
                notes
                    .rejected
                    .extend(rejects.into_iter().map(|(id, reason)| ((name.id, id), reason)));
            }
        }
        Ok(notes)
    }

    fn answer(&self, sent: &Sent, all: &[Sent]) -> Answer {
        let batch = sent.batch.id;
        if sent.attack.repeats_in_batch() {
            // Repetitions are counted, not listed: if the count is right, each of them was seen.
            let expected = count(all, |other| other.batch.id == batch && other.attack.repeats_in_batch());
            if self.repeated.get(&batch) == Some(&expected) {
                return Answer::Rejected(PacketReason::DuplicateUuid);
            }
        }
        self.rejected
            .get(&(batch, sent.id))
            .map_or(Answer::Message, |reason| Answer::Rejected(*reason))
    }
}

/// The fate of each hostile packet of a metric, in the order in which they were sent.
#[must_use]
pub fn fates(sent: &[Sent], notes: &[Notes; 2], total: &Total) -> Vec<Fate> {
    let replays = count(sent, |sent| matches!(sent.attack, Attack::Replay { .. }));
    let replays_seen = notes.iter().all(|notes| notes.replayed == replays);
    let fate = |packet: &Sent| {
        let intake = Role::ALL.map(|role| notes[role.index()].answer(packet, sent));
        let repeated = intake == [Answer::Rejected(PacketReason::DuplicateUuid); 2]
            || matches!(packet.attack, Attack::Replay { .. }) && replays_seen;
        let ending = match (total.invalid.contains(&packet.id), repeated) {
            (true, _) => Ending::NotCounted,
            (false, true) => Ending::FirstOneCounted,
            (false, false) => Ending::Counted,
        };
        Fate { intake, ending }
    };
    sent.iter().map(fate).collect()
}

fn count(sent: &[Sent], which: impl Fn(&Sent) -> bool) -> u64 {
    sent.iter().filter(|sent| which(sent)).count() as u64
}
