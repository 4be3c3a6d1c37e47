//! What has to hold at the end of a run, whatever happened in it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tallybox_ingestor::batch::records;
use tallybox_model::id::{AggregationId, BatchId};
use tallybox_model::path::BatchName;
use tallybox_model::role::Role;
use tallybox_model::time::{BatchTime, Window};
use tallybox_sandbox::portal::Parts;
use tallybox_service::clock::Clock;

use crate::cast::Part;
use crate::evidence::{Batches, batches, digest, objects};
use crate::keyring::{INSTANCE, Keyring, LOCALITY};
use crate::machine::{Machine, Machines, Places};
use crate::pool::{METRICS, Pool};
use crate::scenario::Scenario;
use crate::schedule::Schedule;

/// What a check found.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// What is wrong, in sentences.
    pub problems: Vec<String>,
    /// A digest of every object.
    pub digest: u64,
}

/// Checks everything.
pub async fn check(scenario: &Scenario, places: &Places, schedule: &Arc<Schedule>) -> Findings {
    let mut problems = Vec::new();
    let digest = digest(places).await;
    let mut sides = Vec::new();
    for role in Role::ALL {
        let objects = objects(&places.ingestion[role.index()]).await;
        sides.push(batches(&objects, role, &mut problems));
    }
    if sides[0] != sides[1] {
        problems.push("the ingestor gave the processors different batches".to_owned());
    }
    let batches = &sides[0];
    ingested(scenario, places, schedule, batches, &mut problems).await;
    summed(places, schedule, batches, &mut problems).await;
    Findings { problems, digest }
}

/// Every accepted report stands in exactly one batch, or is counted as dropped.
async fn ingested(
    scenario: &Scenario,
    places: &Places,
    schedule: &Arc<Schedule>,
    batches: &Batches,
    problems: &mut Vec<String>,
) {
    let accepted: BTreeSet<usize> = scenario.slabs.iter().flat_map(|slab| &slab.reports).copied().collect();
    let posted: u64 = scenario.slabs.iter().map(|slab| slab.reports.len() as u64).sum();
    let mut times: BTreeMap<usize, usize> = BTreeMap::new();
    for report in batches.values().flatten() {
        *times.entry(*report).or_default() += 1;
    }
    for (report, times) in &times {
        if *times > 1 {
            problems.push(format!("report {report} stands in {times} batches"));
        }
        if !accepted.contains(report) {
            problems.push(format!("report {report} was batched, but never accepted"));
        }
    }
    let left = accepted.iter().filter(|report| !times.contains_key(report)).count() as u64;
    let machines = Machines {
        scenario,
        places,
        schedule,
    };
    let auditor = schedule.outsider();
    let Machine::Ingestor(ingestor) = machines.start(Part::Batcher, &auditor, &Clock::manual(schedule.now())) else {
        return;
    };
    match records(&ingestor, &ingestor.localities[LOCALITY]).await {
        Ok(records) => {
            let dropped: u64 = records.iter().map(|record| record.summary.dropped).sum();
            // A report that was dropped and comes again is a new one, and may be dropped once more or batched.
            let again = posted - accepted.len() as u64;
            if dropped < left || dropped > left + again {
                problems.push(format!(
                    "{left} reports are in no batch, {dropped} are reported as dropped"
                ));
            }
            for record in &records {
                let summary = &record.summary;
                let parts = summary.batched
                    + summary.replays.report
                    + summary.replays.ciphertext
                    + summary.carried
                    + summary.dropped;
                if parts != summary.reports {
                    problems.push(format!(
                        "{}: {} reports became {parts}",
                        summary.window, summary.reports
                    ));
                }
            }
        }
        Err(error) => problems.push(format!("the ingestor's records cannot be read: {error}")),
    }
    schedule.count_many("accepted", accepted.len() as u64);
    schedule.count_many("dropped-too-few", left);
}

/// Both sum parts of a window are there, of the same batches and counts, and add up to the truth; no batch is in two.
async fn summed(places: &Places, schedule: &Schedule, batches: &Batches, problems: &mut Vec<String>) {
    let keyring = Keyring::get();
    let parts = Parts {
        instance: INSTANCE.parse().expect("an instance"),
        mailboxes: Role::ALL.map(|role| Arc::clone(&places.sums[role.index()].inner)),
        trusted: Role::ALL.map(|role| keyring.trusted(role)),
    };
    let by_id: BTreeMap<BatchId, (&BatchName, &Vec<usize>)> = batches
        .iter()
        .map(|(name, reports)| (name.id, (name, reports)))
        .collect();
    let mut windows: BTreeMap<(AggregationId, BatchTime, BatchTime), BTreeSet<Role>> = BTreeMap::new();
    for role in Role::ALL {
        for key in objects(&places.sums[role.index()]).await.keys() {
            if let Some(window) = sum_part_window(key) {
                windows.entry(window).or_default().insert(role);
            }
        }
    }
    let mut counted: BTreeMap<BatchId, usize> = BTreeMap::new();
    for ((aggregation, start, end), roles) in &windows {
        let name = format!("{aggregation}/{start}");
        if roles.len() < 2 {
            problems.push(format!("{name}: only one sum part, of {roles:?}"));
            continue;
        }
        let window = Window::new(*start, *end).expect("a window");
        let total = match parts.total(aggregation, window).await {
            Ok(total) => total,
            Err(error) => {
                problems.push(format!("{name}: {error}"));
                continue;
            }
        };
        schedule.count_many("windows-summed", 1);
        schedule.count_many("batches-summed", total.batches.len() as u64);
        let mut truth = vec![0; total.sums.len()];
        let mut accepted = 0;
        for id in &total.batches {
            *counted.entry(*id).or_default() += 1;
            let Some((_, reports)) = by_id.get(id) else {
                problems.push(format!("{name}: batch {id} is not the ingestor's"));
                continue;
            };
            for report in reports
                .iter()
                .map(|report| Pool::get().report(*report))
                .filter(|report| report.counts)
            {
                accepted += 1;
                for (sum, bit) in truth.iter_mut().zip(&report.bits) {
                    *sum += u64::from(*bit);
                }
            }
        }
        if (accepted, &truth) != (total.accepted, &total.sums) {
            problems.push(format!(
                "{name}: {accepted} reports come to {truth:?}, but the sum parts to {} and {:?}",
                total.accepted, total.sums
            ));
        }
    }
    for (id, times) in &counted {
        if *times > 1 {
            problems.push(format!("batch {id} is summed {times} times"));
        }
    }
    let left = batches.keys().filter(|name| !counted.contains_key(&name.id)).count() as u64;
    schedule.count_many("batches", batches.len() as u64);
    schedule.count_many("batches-left", left);
}

/// The window of the header of a sum part, by its name.
fn sum_part_window(key: &str) -> Option<(AggregationId, BatchTime, BatchTime)> {
    let rest = key.strip_prefix(INSTANCE)?.strip_prefix('/')?;
    let (aggregation, file) = rest.split_once('/')?;
    let (window, suffix) = file.split_once('.')?;
    let (start, end) = window.split_once('-')?;
    let header = suffix == "sum_0" || suffix == "sum_1";
    let times = (BatchTime::from_compact(start).ok()?, BatchTime::from_compact(end).ok()?);
    let known = METRICS.contains(&aggregation);
    (header && known).then_some((aggregation.parse().ok()?, times.0, times.1))
}
