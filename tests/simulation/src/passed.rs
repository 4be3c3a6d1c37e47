//! The audit of windows that were never summed: each one that has passed the horizon is marked as
//! such, and the status shows it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tallybox_model::path::BatchName;
use tallybox_model::role::Role;
use tallybox_model::roster::WindowName;
use tallybox_model::time::aligned_window;
use tallybox_service::clock::Clock;

use crate::machine::{Machine, Machines, Storage};
use crate::process::Actor;
use crate::scenario::{PERIOD_MINUTES, Scenario};
use crate::schedule::{Millis, Schedule};
use crate::time::{HOUR_MILLIS, MINUTE_MILLIS};

/// Finds windows that contain a batch, are not done, have passed the horizon while a workflow
/// manager ran, and have no mark or are missing in the status.
pub async fn passed(
    scenario: &Scenario,
    storage: &Storage,
    schedule: &Arc<Schedule>,
    problems: &mut Vec<String>,
) {
    let horizon = i64::from(scenario.horizon_minutes()) * MINUTE_MILLIS;
    if scenario.start() + horizon > scenario.end() {
        return;
    }
    let machines = Machines {
        scenario,
        storage,
        schedule,
    };
    for role in Role::ALL {
        let shown = shown(&machines, role, problems).await;
        for (name, held_since) in windows(storage, role) {
            let own = &storage.own[role.index()];
            if own.made_at(&name.given_up()).is_some() {
                schedule.count("windows-given-up");
            }
            // A window that passed the horizon while clocks were wrong, or while no workflow
            // manager ran, may be too old to be listed by now.
            let passes = name.window.start().millis() + horizon;
            let from = passes.max(scenario.faults_end()).max(held_since);
            let must_be_marked = from + 2 * HOUR_MILLIS <= (passes + horizon).min(scenario.end());
            if own.made_at(&name.done()).is_some() || !must_be_marked {
                continue;
            }
            if own.made_at(&name.given_up()).is_none() {
                problems.push(format!(
                    "{name}: the window was never summed, but the {role} processor has not marked it so"
                ));
            } else if !shown.contains(&name) {
                problems.push(format!(
                    "{name}: the window is marked as never summed, but the {role} processor's status does not show it"
                ));
            }
        }
    }
}

/// Returns the windows of the batches that a processor has in its mailbox or has taken in, with the
/// time since which it has had the first of them.
fn windows(storage: &Storage, role: Role) -> BTreeMap<WindowName, Millis> {
    let mut windows = BTreeMap::new();
    for bucket in [&storage.ingestion[role.index()], &storage.own[role.index()]] {
        for key in bucket.keys() {
            let batch = BatchName::from_ingestion_signature(&key)
                .or_else(|| BatchName::from_prepared(&key));
            let name = batch.and_then(|batch| {
                Some(WindowName {
                    window: aligned_window(batch.date, PERIOD_MINUTES)?,
                    aggregation: batch.aggregation,
                })
            });
            if let (Some(name), Some(made)) = (name, bucket.made_at(&key)) {
                let since = windows.entry(name).or_insert(made);
                *since = made.min(*since);
            }
        }
    }
    windows
}

/// Returns the windows that a processor's status shows as never summed.
async fn shown(
    machines: &Machines<'_>,
    role: Role,
    problems: &mut Vec<String>,
) -> BTreeSet<WindowName> {
    let (life, clock) = (
        machines.schedule.outsider(),
        Clock::manual(machines.schedule.now()),
    );
    let Machine::Manager(manager) = machines.start(Actor::Manager(role), &life, &clock) else {
        return BTreeSet::new();
    };
    match manager.observe(manager.policy.scope(manager.now())).await {
        Ok(observation) => observation.assessment.given_up.into_iter().collect(),
        Err(error) => {
            problems.push(format!(
                "the {role} processor's status cannot be determined: {error}"
            ));
            BTreeSet::new()
        }
    }
}
