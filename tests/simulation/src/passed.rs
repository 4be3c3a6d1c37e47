//! Whether windows that were never summed vanish: each that has passed the horizon is marked, and stays in the status.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tallybox_model::path::BatchName;
use tallybox_model::role::Role;
use tallybox_model::roster::WindowName;
use tallybox_model::time::aligned_window;
use tallybox_service::clock::Clock;

use crate::cast::Part;
use crate::machine::{Machine, Machines, Places};
use crate::scenario::{PERIOD, Scenario};
use crate::schedule::{Millis, Schedule};
use crate::time::{HOUR, MINUTE};

/// Looks for windows that hold something, are not done, have passed the horizon while somebody looked, and have no mark.
pub async fn passed(scenario: &Scenario, places: &Places, schedule: &Arc<Schedule>, problems: &mut Vec<String>) {
    let horizon = i64::from(scenario.horizon_minutes()) * MINUTE;
    if scenario.start() + horizon > scenario.end() {
        return;
    }
    let machines = Machines {
        scenario,
        places,
        schedule,
    };
    for role in Role::ALL {
        let shown = shown(&machines, role, problems).await;
        for (name, held_since) in windows(places, role) {
            let own = &places.own[role.index()];
            if own.made_at(&name.given_up()).is_some() {
                schedule.count("windows-given-up");
            }
            // A window that passed while clocks were wrong, or nobody looked, may be older than what is listed by now.
            let passes = name.window.start().millis() + horizon;
            let from = passes.max(scenario.calm()).max(held_since);
            let seen = from + 2 * HOUR <= (passes + horizon).min(scenario.end());
            if own.made_at(&name.done()).is_some() || !seen {
                continue;
            }
            if own.made_at(&name.given_up()).is_none() {
                problems.push(format!(
                    "{name}: it was never summed, and the {role} processor has not marked it as given up"
                ));
            } else if !shown.contains(&name) {
                problems.push(format!(
                    "{name}: it was given up, and the {role} processor's status does not show it"
                ));
            }
        }
    }
}

/// The windows of the batches that a processor has in its mailbox or has taken in, and since when it has any of them.
fn windows(places: &Places, role: Role) -> BTreeMap<WindowName, Millis> {
    let mut windows = BTreeMap::new();
    for shelf in [&places.ingestion[role.index()], &places.own[role.index()]] {
        for key in shelf.keys() {
            let batch = BatchName::from_ingestion_signature(&key).or_else(|| BatchName::from_prepared(&key));
            let name = batch.and_then(|batch| {
                Some(WindowName {
                    window: aligned_window(batch.date, PERIOD)?,
                    aggregation: batch.aggregation,
                })
            });
            if let (Some(name), Some(made)) = (name, shelf.made_at(&key)) {
                let since = windows.entry(name).or_insert(made);
                *since = made.min(*since);
            }
        }
    }
    windows
}

/// The windows that a processor's status shows as given up.
async fn shown(machines: &Machines<'_>, role: Role, problems: &mut Vec<String>) -> BTreeSet<WindowName> {
    let (life, clock) = (machines.schedule.outsider(), Clock::manual(machines.schedule.now()));
    let Machine::Manager(manager) = machines.start(Part::Manager(role), &life, &clock) else {
        return BTreeSet::new();
    };
    match manager.look(manager.policy.scope(manager.now())).await {
        Ok(look) => look.assessment.given_up.into_iter().collect(),
        Err(error) => {
            problems.push(format!("the {role} processor's status cannot be shown: {error}"));
            BTreeSet::new()
        }
    }
}
