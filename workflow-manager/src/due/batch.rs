//! The status of one batch: whether it is complete, whether its intake is done, and what it waits
//! for.

use tallybox_model::id::BatchId;
use tallybox_model::task::TaskName;
use tallybox_model::time::BatchTime;

use super::report::{BatchReport, BatchStage};
use super::{AggregationAssessor, Assessment, Turn};
use crate::inventory::{BatchState, batch_name};
use crate::work::{Due, Why};

impl AggregationAssessor<'_> {
    /// Assesses a batch. Its intake is due if the batch is complete and no prepared batch exists.
    pub(super) fn batch(
        &self,
        date: BatchTime,
        id: BatchId,
        batch: &BatchState,
        all: &mut Assessment,
    ) {
        let name = batch_name(self.name, date, id);
        let (stage, attempt) = if batch.prepared {
            let stage = match batch.validated {
                true => BatchStage::Both,
                false => BatchStage::IntakeDone,
            };
            (stage, 0)
        } else if batch.ready() {
            match self.turn(batch.started) {
                Turn::Now { attempt, last } => {
                    all.due.push(Due {
                        task: TaskName::Intake(name.clone()),
                        batches: None,
                        attempt,
                        why: Why::Complete,
                        last,
                    });
                    (BatchStage::Due, attempt)
                }
                Turn::Running { attempt, at } => (BatchStage::Started { at }, attempt),
            }
        } else {
            (BatchStage::Incomplete, 0)
        };
        all.batches.push(BatchReport {
            name,
            stage,
            attempt,
            validated: batch.validated,
            missing: batch.missing(),
        });
    }
}

impl BatchState {
    /// Returns the objects that an incomplete batch lacks.
    fn missing(&self) -> Vec<&'static str> {
        let parts = [
            (self.header, "header"),
            (self.packets, "packets"),
            (self.signature, "signature"),
        ];
        parts
            .iter()
            .filter(|(exists, _)| !exists)
            .map(|(_, object)| *object)
            .collect()
    }
}
