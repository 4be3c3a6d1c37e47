//! What a look has seen that a person should know.

use crate::inventory::Known;
use crate::manager::Look;

/// Says what a look has seen that a person should know; of each batch once, while the program stays up.
pub(crate) fn tell(look: &Look, known: &Known) {
    for name in &look.assessment.skipped {
        if known.is_news(&format!("skipped {name}")) {
            tracing::warn!(
                aggregation_id = %name.aggregation, batch_id = %name.id, date = %name.date,
                "the peer has skipped a batch: it is complete here, its window is closed, and there is no validation"
            );
        }
    }
    for name in &look.assessment.late {
        if known.is_news(&format!("late {name}")) {
            tracing::warn!(
                aggregation_id = %name.aggregation, batch_id = %name.id, date = %name.date,
                "a batch came too late for its window"
            );
        }
    }
    let foreign = &look.inventory.foreign;
    if foreign.count > 0 && known.is_news(&format!("foreign {}", foreign.count)) {
        tracing::warn!(count = foreign.count, samples = ?foreign.samples, "objects that are none of ours are passed over");
    }
}
