//! Repeated starts at an operator's request: a batch or a window, regardless of its markers.

use tallybox_model::extensions::Mode;
use tallybox_model::path::BatchName;
use tallybox_model::roster::WindowName;
use tallybox_model::task::{TaskName, WindowBatches, WindowKind};
use tallybox_model::time::BatchTime;

use super::window::choose;
use crate::inventory::{Inventory, Started, StartedAt};
use crate::work::{Due, Why};

/// Returns the intake task of a batch.
///
/// # Errors
/// A message that states why the intake cannot be started.
pub fn plan_batch_restart(inventory: &Inventory, name: &BatchName) -> Result<Due, String> {
    let aggregation = inventory.aggregations.get(&name.aggregation);
    let batch = aggregation.and_then(|found| found.batches.get(&(name.date, name.id)));
    match batch {
        Some(batch) if batch.ready() => {
            let task = TaskName::Intake(name.clone());
            Ok(requested(task, None, batch.started))
        }
        Some(_) => Err(format!(
            "{name}: the batch is incomplete; wait for the ingestor to write the rest"
        )),
        None => Err(format!("{name}: unknown batch")),
    }
}

/// Returns the current task of a window, or its last one if the window is done.
///
/// # Errors
/// A message that states why no task can be started.
pub fn plan_window_restart(
    inventory: &Inventory,
    name: &WindowName,
    now: BatchTime,
) -> Result<Due, String> {
    let Some(aggregation) = inventory.aggregations.get(&name.aggregation) else {
        return Err(format!("{name}: unknown aggregation"));
    };
    let state = aggregation
        .windows
        .get(&name.window)
        .cloned()
        .unwrap_or_default();
    let (kind, batches) = match inventory.rosters.mode(name.window.start()) {
        Mode::Undecided => {
            return Err(format!(
                "{name}: the use of rosters is undecided, because the peer's announcement cannot be read"
            ));
        }
        Mode::Roster if state.agreed => (WindowKind::Aggregate, None),
        Mode::Roster if state.our_roster && state.peer_roster => (WindowKind::Agree, None),
        Mode::Roster => (WindowKind::Roster, None),
        Mode::Enpa => {
            let batches = state
                .fixed
                .clone()
                .unwrap_or_else(|| choose(aggregation, name, now));
            if batches.batches.is_empty() {
                return Err(format!(
                    "{name}: no batch is complete, processed by our intake and validated by the peer"
                ));
            }
            (WindowKind::Aggregate, Some(batches))
        }
    };
    let task = TaskName::Window(kind, name.clone());
    Ok(requested(task, batches, state.started.get(&kind).copied()))
}

fn requested(task: TaskName, batches: Option<WindowBatches>, started: Option<Started>) -> Due {
    let last = started.and_then(|started| match started.at {
        StartedAt::Time(at) => Some(at),
        StartedAt::Since(_) | StartedAt::Predecessor => None,
    });
    Due {
        task,
        batches,
        attempt: started.map_or(1, |started| started.attempt.saturating_add(1)),
        why: Why::Asked,
        last,
    }
}
