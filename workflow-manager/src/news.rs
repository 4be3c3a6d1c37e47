//! Log messages about findings of a scan.

use crate::inventory::ScanCache;
use crate::manager::Observation;

/// Logs findings that an operator should know. The process logs each finding once.
pub(crate) fn tell(look: &Observation, known: &ScanCache) {
    for name in &look.assessment.skipped {
        if known.log_once(&format!("skipped {name}")) {
            tracing::warn!(
                aggregation_id = %name.aggregation, batch_id = %name.id, date = %name.date,
                "the peer has skipped a batch: it is complete, its window is closed, and the peer's \
                 validation is missing"
            );
        }
    }
    for name in &look.assessment.late {
        if known.log_once(&format!("late {name}")) {
            tracing::warn!(
                aggregation_id = %name.aggregation, batch_id = %name.id, date = %name.date,
                "a batch arrived too late for its window"
            );
        }
    }
    let foreign = &look.inventory.unknown_objects;
    if foreign.count > 0 && known.log_once(&format!("foreign {}", foreign.count)) {
        tracing::warn!(count = foreign.count, samples = ?foreign.samples, "objects with unknown names are ignored");
    }
}
