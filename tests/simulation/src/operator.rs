//! An operator who sums windows of any length and start manually, concurrently with the workflow
//! manager.

use std::collections::{BTreeMap, BTreeSet};

use tallybox_facilitator::aggregate::{AggregateTask, aggregate};
use tallybox_facilitator::error::Error;
use tallybox_facilitator::progress::no_progress;
use tallybox_model::avro::{FileLimits, decode_one};
use tallybox_model::extensions::ROSTERS_FROM;
use tallybox_model::header::SumPart;
use tallybox_model::id::BatchId;
use tallybox_model::role::Role;
use tallybox_model::time::{BatchTime, Window};
use tallybox_service::clock::Clock;

use crate::dice::Dice;
use crate::evidence::{Batches, objects};
use crate::machine::{Machine, Machines, Storage};
use crate::pool::{METRICS, Pool};
use crate::process::Actor;
use crate::scenario::Scenario;
use crate::time::HOUR_MILLIS;
use crate::trouble::Trouble;

/// The result of a manual sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ManualSum {
    /// The sum part was published, now or before.
    Summed,
    /// The window was refused, because rosters or another window sum some of its batches.
    Refused,
    /// No sum part was published for another reason.
    Nothing,
}

/// Sums a random window on one side. Returns `None` if the drawn window has not ended, or must not
/// be summed yet.
pub async fn sum_window_manually(machines: &Machines<'_>, dice: &mut Dice) -> Option<ManualSum> {
    let (scenario, now) = (machines.scenario, machines.schedule.now());
    let role = if dice.chance(500) {
        Role::First
    } else {
        Role::Second
    };
    let start = scenario.start() - HOUR_MILLIS
        + dice.between(0, (now - scenario.start() + HOUR_MILLIS) / HOUR_MILLIS * 4) * HOUR_MILLIS
            / 4;
    let minutes = dice.between(2, 12) * 15;
    let aggregation = METRICS[dice.size(0, scenario.metrics - 1)].parse().ok()?;
    let start = BatchTime::from_millis(start)?;
    let window = Window::new(start, start.plus_minutes(minutes)?).ok()?;
    let own = &machines.storage.own[role.index()];
    // A processor cannot refuse a window that overlaps those with rosters before it knows when
    // these begin.
    let unknown = scenario
        .rosters_from()
        .is_some_and(|from| window.end() > from)
        && own.made_at(ROSTERS_FROM).is_none();
    if window.end().millis() > now || unknown {
        return None;
    }
    let life = machines.schedule.outsider();
    let Machine::Worker(worker, _) =
        machines.start(Actor::Aggregate(role), &life, &Clock::manual(now))
    else {
        return None;
    };
    let task = AggregateTask {
        aggregation,
        window,
        batches: Vec::new(),
        dry_run: false,
    };
    let result = aggregate(&worker.processor(), &task, no_progress()).await;
    Some(match result.map_err(Error::from) {
        Ok(_) => ManualSum::Summed,
        Err(Error::TouchesRosters { .. } | Error::SummedBefore { .. }) => ManualSum::Refused,
        Err(_) => ManualSum::Nothing,
    })
}

/// Returns the sum parts that a processor has published, with the keys of their headers.
pub(crate) async fn parts(
    storage: &Storage,
    role: Role,
    problems: &mut Vec<String>,
) -> Vec<(String, SumPart)> {
    let header = format!(".sum_{}", role.index());
    let mut parts = Vec::new();
    for (key, bytes) in objects(&storage.sums[role.index()]).await {
        if !key.ends_with(&header) {
            continue;
        }
        match decode_one(&bytes, &FileLimits::default()) {
            Ok(part) => parts.push((key, part)),
            Err(error) => problems.push(format!("{role}: {key}: {error}")),
        }
    }
    parts
}

/// Verifies that no processor publishes a sum for which its peer has ruled out more than the
/// configured fraction of the packets.
pub async fn check_shares(
    scenario: &Scenario,
    storage: &Storage,
    batches: &Batches,
    problems: &mut Vec<String>,
) {
    // With these faults, honest packets may lack a verification message, or may be counted in
    // another window, for other reasons.
    let others = [Trouble::Rotation, Trouble::Copies, Trouble::Replays];
    if others.into_iter().any(|trouble| scenario.has(trouble)) {
        return;
    }
    let reports: BTreeMap<BatchId, &Vec<usize>> =
        batches.iter().map(|(name, all)| (name.id, all)).collect();
    for role in Role::ALL {
        for (key, part) in parts(storage, role, problems).await {
            let all = part
                .batch_uuids
                .iter()
                .filter_map(|id| reports.get(id))
                .copied()
                .flatten();
            let honest: BTreeSet<usize> = all
                .copied()
                .filter(|report| Pool::get().report(*report).counts)
                .collect();
            let counted = u64::try_from(part.total_individual_clients).unwrap_or(0);
            let lost = (honest.len() as u64).saturating_sub(counted);
            if lost as f64 > scenario.maximum_rejected_share * honest.len() as f64 {
                problems.push(format!(
                    "the {role} processor publishes {key}, which lacks {lost} of {} honest packets",
                    honest.len()
                ));
            }
        }
    }
}

/// Verifies that no processor publishes two sum parts of different windows with the same batch,
/// regardless of who started them.
pub async fn check_sums(storage: &Storage, problems: &mut Vec<String>) {
    for role in Role::ALL {
        let mut summed: BTreeMap<BatchId, String> = BTreeMap::new();
        for (key, part) in parts(storage, role, problems).await {
            for batch in part.batch_uuids {
                if let Some(other) = summed.insert(batch, key.clone()) {
                    problems.push(format!(
                        "the {role} processor sums batch {batch} in {other} and in {key}"
                    ));
                }
            }
        }
    }
}
