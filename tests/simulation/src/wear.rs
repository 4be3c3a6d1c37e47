//! The audit of failed-proof counters: the failed proofs of each batch are counted once for its
//! packet key, and nothing else is counted.

use std::collections::BTreeSet;

use tallybox_model::path::{BatchName, FailedProofs};
use tallybox_model::role::Role;

use crate::agreement::{AgreementAudit, BatchStatus};
use crate::evidence::{Batches, objects};
use crate::machine::Storage;
use crate::pool::Pool;
use crate::scenario::Scenario;
use crate::schedule::Schedule;
use crate::trouble::Trouble;

/// Compares the counters in the own buckets with the reports that were generated with false proofs.
pub async fn counted_failures(
    scenario: &Scenario,
    storage: &Storage,
    schedule: &Schedule,
    (batches, audit): (&Batches, &AgreementAudit),
    problems: &mut Vec<String>,
) {
    // During a rotation, a processor may receive a new key late. Packets sealed to that key get no
    // verification message, so their proofs do not fail.
    let exact = !scenario.has(Trouble::Rotation);
    let certain = |batch: &BatchName| !audit.doubtful.contains(&batch.id);
    for role in Role::ALL {
        let mut counted: BTreeSet<BatchName> = BTreeSet::new();
        for count in objects(&storage.own[role.index()])
            .await
            .keys()
            .filter_map(|key| FailedProofs::parse(key))
        {
            schedule.count("failed-proofs-counted");
            let expected = false_proofs(batches, &count.batch);
            let wrong = count.failed > expected || (exact && count.failed != expected);
            if certain(&count.batch) && wrong {
                problems.push(format!(
                    "the {role} processor has counted {} failed proofs in batch {}, which contains {expected}",
                    count.failed, count.batch
                ));
            }
            counted.insert(count.batch);
        }
        let summed = audit
            .statuses
            .iter()
            .filter(|(_, status)| matches!(status, BatchStatus::Summed(_)));
        for (batch, _) in summed.filter(|(batch, _)| exact && certain(batch)) {
            if false_proofs(batches, batch) > 0 && !counted.contains(batch) {
                problems.push(format!(
                    "the {role} processor has not counted the failed proofs of batch {batch}"
                ));
            }
        }
    }
}

/// Returns the number of reports of a batch that were generated with a false proof.
fn false_proofs(batches: &Batches, batch: &BatchName) -> u64 {
    let reports: BTreeSet<usize> = batches.get(batch).into_iter().flatten().copied().collect();
    let failing = reports
        .iter()
        .filter(|report| Pool::get().report(**report).false_proof);
    failing.count() as u64
}
