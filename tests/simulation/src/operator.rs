//! An operator who sums windows by hand: of any length and from any minute on, whatever the scheduler does meanwhile.

use std::collections::{BTreeMap, BTreeSet};

use tallybox_facilitator::aggregate::{AggregateTask, aggregate};
use tallybox_facilitator::error::Error;
use tallybox_facilitator::intake::no_progress;
use tallybox_model::avro::{Limits, decode_one};
use tallybox_model::extensions::ROSTERS_FROM;
use tallybox_model::header::SumPart;
use tallybox_model::id::BatchId;
use tallybox_model::role::Role;
use tallybox_model::time::{BatchTime, Window};
use tallybox_service::clock::Clock;

use crate::cast::Part;
use crate::dice::Dice;
use crate::evidence::{Batches, objects};
use crate::machine::{Machine, Machines, Places};
use crate::pool::{METRICS, Pool};
use crate::scenario::Scenario;
use crate::time::HOUR;
use crate::trouble::Trouble;

/// What came of a sum by hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByHand {
    /// A sum part was published, now or before.
    Summed,
    /// The window was refused: rosters or another window sum some of its batches.
    Refused,
    /// Anything else.
    Nothing,
}

/// Sums one window on one side, if there is one that has passed.
pub async fn sum_by_hand(machines: &Machines<'_>, dice: &mut Dice) -> Option<ByHand> {
    let (scenario, now) = (machines.scenario, machines.schedule.now());
    let role = if dice.chance(500) { Role::First } else { Role::Second };
    let start = scenario.start() - HOUR + dice.between(0, (now - scenario.start() + HOUR) / HOUR * 4) * HOUR / 4;
    let minutes = dice.between(2, 12) * 15;
    let aggregation = METRICS[dice.size(0, scenario.metrics - 1)].parse().ok()?;
    let start = BatchTime::from_millis(start)?;
    let window = Window::new(start, start.plus_minutes(minutes)?).ok()?;
    let own = &machines.places.own[role.index()];
    // Before it knows that there will be rosters, a processor cannot refuse what overlaps them.
    let unknown =
        scenario.rosters_from().is_some_and(|from| window.end() > from) && own.made_at(ROSTERS_FROM).is_none();
    if window.end().millis() > now || unknown {
        return None;
    }
    let life = machines.schedule.outsider();
    let Machine::Worker(worker, _) = machines.start(Part::Aggregate(role), &life, &Clock::manual(now)) else {
        return None;
    };
    let task = AggregateTask {
        aggregation,
        window,
        batches: Vec::new(),
        dry_run: false,
    };
    Some(match aggregate(&worker.processor(), &task, no_progress()).await {
        Ok(_) => ByHand::Summed,
        Err(Error::TouchesRosters { .. } | Error::SummedBefore { .. }) => ByHand::Refused,
        Err(_) => ByHand::Nothing,
    })
}

/// The sum parts that a processor has published, by the names of their headers.
pub(crate) async fn parts(places: &Places, role: Role, problems: &mut Vec<String>) -> Vec<(String, SumPart)> {
    let header = format!(".sum_{}", role.index());
    let mut parts = Vec::new();
    for (key, bytes) in objects(&places.sums[role.index()]).await {
        if !key.ends_with(&header) {
            continue;
        }
        match decode_one(&bytes, &Limits::default()) {
            Ok(part) => parts.push((key, part)),
            Err(error) => problems.push(format!("{role}: {key}: {error}")),
        }
    }
    parts
}

/// No processor publishes a sum from which its peer has taken more than the configured share of the packets.
pub async fn check_shares(scenario: &Scenario, places: &Places, batches: &Batches, problems: &mut Vec<String>) {
    // In such worlds honest packets are without a message, or counted elsewhere, for other reasons.
    let others = [Trouble::Rotation, Trouble::Copies, Trouble::Replays];
    if others.into_iter().any(|trouble| scenario.has(trouble)) {
        return;
    }
    let reports: BTreeMap<BatchId, &Vec<usize>> = batches.iter().map(|(name, all)| (name.id, all)).collect();
    for role in Role::ALL {
        for (key, part) in parts(places, role, problems).await {
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
                    "the {role} processor publishes {key} without {lost} of {} good packets",
                    honest.len()
                ));
            }
        }
    }
}

/// No processor publishes two sum parts of different windows that hold the same batch, whoever asked for them.
pub async fn check_sums(places: &Places, problems: &mut Vec<String>) {
    for role in Role::ALL {
        let mut summed: BTreeMap<BatchId, String> = BTreeMap::new();
        for (key, part) in parts(places, role, problems).await {
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
