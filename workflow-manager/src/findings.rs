//! Log messages about findings of a scan.

use crate::inventory::ScanCache;
use crate::manager::Observation;

/// Logs findings that an operator should know. The process logs each finding once.
pub(crate) fn log_findings(observation: &Observation, cache: &ScanCache) {
    for name in &observation.assessment.skipped {
        if cache.log_once(&format!("skipped {name}")) {
            tracing::warn!(
                aggregation_id = %name.aggregation, batch_id = %name.id, date = %name.date,
                "the peer has skipped a batch: it is complete, its window is closed, and the peer's \
                 validation is missing"
            );
        }
    }
    for name in &observation.assessment.late {
        if cache.log_once(&format!("late {name}")) {
            tracing::warn!(
                aggregation_id = %name.aggregation, batch_id = %name.id, date = %name.date,
                "a batch arrived too late for its window"
            );
        }
    }
    let unknown = &observation.inventory.unknown_objects;
    if unknown.count > 0 && cache.log_once(&format!("unknown objects {}", unknown.count)) {
        tracing::warn!(count = unknown.count, samples = ?unknown.samples, "objects with unknown names are ignored");
    }
}
