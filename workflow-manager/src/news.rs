//! Log messages about findings of a scan.

use crate::inventory::Known;
use crate::manager::Look;

/// Logs findings that an operator should know. The process logs each finding once.
pub(crate) fn tell(look: &Look, known: &Known) {
    for name in &look.assessment.skipped {
        if known.is_news(&format!("skipped {name}")) {
            tracing::warn!(
                aggregation_id = %name.aggregation, batch_id = %name.id, date = %name.date,
                "the peer has skipped a batch: it is complete, its window is closed, and the peer's \
                 validation is missing"
            );
        }
    }
    for name in &look.assessment.late {
        if known.is_news(&format!("late {name}")) {
            tracing::warn!(
                aggregation_id = %name.aggregation, batch_id = %name.id, date = %name.date,
                "a batch arrived too late for its window"
            );
        }
    }
    let foreign = &look.inventory.foreign;
    if foreign.count > 0 && known.is_news(&format!("foreign {}", foreign.count)) {
        tracing::warn!(count = foreign.count, samples = ?foreign.samples, "objects with unknown names are ignored");
    }
}
