//! The audit, which verifies the properties that have to hold at the end of every run, regardless
//! of its faults.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tallybox_ingestor::batch::records;
use tallybox_model::id::BatchId;
use tallybox_model::path::BatchName;
use tallybox_model::role::Role;
use tallybox_model::roster::WindowName;
use tallybox_model::time::{BatchTime, Window};
use tallybox_sandbox::exactly_once::Occurrences;
use tallybox_sandbox::portal::Parts;
use tallybox_service::clock::Clock;

use crate::agreement::{AgreementAudit, audit_agreement};
use crate::evidence::{Batches, batches, digest, keys_of_other_bins, objects};
use crate::keyring::{INSTANCE, Keyring, LOCALITY};
use crate::machine::{Machine, Machines, Storage};
use crate::once::evaluated_once;
use crate::operator::{check_shares, check_sums};
use crate::oversize::oversized_in_no_sum;
use crate::passed::passed;
use crate::pool::{METRICS, Pool};
use crate::process::Actor;
use crate::scenario::Scenario;
use crate::schedule::Schedule;
use crate::stale::unblocked;
use crate::violations::Violations;
use crate::wear::counted_failures;

/// The result of the audit.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// The violated properties, in sentences.
    pub problems: Vec<String>,
    /// A digest of every present object.
    pub digest: u64,
}

/// Verifies all properties.
pub async fn check(
    scenario: &Scenario,
    storage: &Storage,
    schedule: &Arc<Schedule>,
    violations: &Violations,
) -> Findings {
    let mut problems = Vec::new();
    let digest = digest(storage).await;
    let copied: BTreeSet<&BatchName> = violations.copies.iter().map(|copy| &copy.to).collect();
    let mut sides = Vec::new();
    for role in Role::ALL {
        let mut objects = objects(&storage.ingestion[role.index()]).await;
        let is_garbage = |key: &str| {
            let name = BatchName::from_ingestion_object(key);
            name.is_some_and(|name| violations.is_no_batch(&name))
        };
        objects.retain(|key, _| !is_garbage(key));
        let batches = batches(&objects, role, &mut problems);
        for name in batches.keys().filter(|name| !copied.contains(name)) {
            problems.extend(keys_of_other_bins(&objects, name, role));
        }
        sides.push(batches);
    }
    // Copies of a dishonest ingestor may be in one mailbox only.
    let honest = |batches: &Batches| -> Batches {
        let own = batches.iter().filter(|(name, _)| !copied.contains(name));
        own.map(|(name, reports)| (name.clone(), reports.clone()))
            .collect()
    };
    let own = honest(&sides[0]);
    if own != honest(&sides[1]) {
        problems.push("the ingestor gave the processors different batches".to_owned());
    }
    ingested(scenario, storage, schedule, &own, &mut problems).await;
    evaluated_once(storage, &mut problems).await;
    let mut batches = sides.swap_remove(0);
    batches.extend(sides.swap_remove(0));
    for (name, reports) in &mut batches {
        // A packet in a batch of another metric does not count.
        reports.retain(|report| {
            METRICS[Pool::get().report(*report).metric] == name.aggregation.as_str()
        });
    }
    let batches = &batches;
    let audit = audit_agreement(
        scenario,
        storage,
        schedule,
        (batches, violations),
        &mut problems,
    )
    .await;
    summed(
        scenario,
        storage,
        schedule,
        (batches, &audit),
        &mut problems,
    )
    .await;
    undamaged(storage, &mut problems);
    counted_failures(
        scenario,
        storage,
        schedule,
        (batches, &audit),
        &mut problems,
    )
    .await;
    check_sums(storage, &mut problems).await;
    oversized_in_no_sum(scenario, storage, violations, &mut problems).await;
    unblocked(
        scenario,
        storage,
        schedule,
        (batches, violations),
        &mut problems,
    )
    .await;
    passed(scenario, storage, schedule, &mut problems).await;
    check_shares(scenario, storage, batches, &mut problems).await;
    Findings { problems, digest }
}

/// Verifies that no ingestion batch was rejected as damaged. No party damages one, and a single bad
/// read must not be treated as damage.
fn undamaged(storage: &Storage, problems: &mut Vec<String>) {
    const DAMAGE_REASONS: [&str; 4] = ["malformed", "unknown-key", "bad-signature", "bad-digest"];
    for (_, reason) in storage.intake.iter().flat_map(|queue| queue.rejected()) {
        if DAMAGE_REASONS
            .iter()
            .any(|damage| reason.starts_with(damage))
        {
            problems.push(format!("an ingestion batch was rejected: {reason}"));
        }
    }
}

/// Verifies that every accepted report is in exactly one batch, or is counted as dropped.
async fn ingested(
    scenario: &Scenario,
    storage: &Storage,
    schedule: &Arc<Schedule>,
    batches: &Batches,
    problems: &mut Vec<String>,
) {
    let accepted: BTreeSet<usize> = scenario
        .slabs
        .iter()
        .flat_map(|slab| &slab.reports)
        .copied()
        .collect();
    let posted: u64 = scenario
        .slabs
        .iter()
        .map(|slab| slab.reports.len() as u64)
        .sum();
    let batched = batches.values().flatten().copied();
    let reports = Occurrences::count(&accepted, &accepted, batched);
    for (report, times) in &reports.repeated {
        problems.push(format!("report {report} is in {times} batches"));
    }
    for report in &reports.unknown {
        problems.push(format!(
            "report {report} is in a batch, but was never accepted"
        ));
    }
    let left = reports.missing.len() as u64;
    let machines = Machines {
        scenario,
        storage,
        schedule,
    };
    let auditor = schedule.outsider();
    let Machine::Ingestor(ingestor) =
        machines.start(Actor::Batcher, &auditor, &Clock::manual(schedule.now()))
    else {
        return;
    };
    match records(&ingestor, &ingestor.localities[LOCALITY]).await {
        Ok(records) => {
            let summaries = records.iter().map(|record| &record.summary);
            let dropped: u64 = summaries
                .map(|summary| summary.dropped + summary.other_bins)
                .sum();
            // The ingestor treats a dropped report that is posted again as a new one, which may be
            // dropped again or put into a batch. So the count of dropped reports may exceed the
            // number of missing ones.
            let reposted = posted - accepted.len() as u64;
            if dropped < left || dropped > left + reposted {
                problems.push(format!(
                    "{left} accepted reports are in no batch, but {dropped} are reported as dropped"
                ));
            }
            for record in &records {
                let summary = &record.summary;
                let parts = summary.batched
                    + summary.replays.report
                    + summary.replays.ciphertext
                    + summary.carried
                    + summary.dropped
                    + summary.other_bins;
                if parts != summary.reports {
                    problems.push(format!(
                        "{}: the ingestor's record states {} reports, but its parts add up to {parts}",
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

/// Verifies that both sum parts of every window exist, name the same batches and counts, and add up
/// to the expected sum, and that no batch is in two windows.
async fn summed(
    scenario: &Scenario,
    storage: &Storage,
    schedule: &Schedule,
    (batches, audit): (&Batches, &AgreementAudit),
    problems: &mut Vec<String>,
) {
    let keyring = Keyring::get();
    let parts = Parts {
        instance: INSTANCE.parse().expect("an instance"),
        mailboxes: Role::ALL.map(|role| Arc::clone(&storage.sums[role.index()].inner)),
        trusted: Role::ALL.map(|role| keyring.trusted(role)),
    };
    let ids: BTreeMap<BatchId, &BatchName> = batches.keys().map(|name| (name.id, name)).collect();
    let mut windows: BTreeMap<WindowName, BTreeSet<Role>> = BTreeMap::new();
    for role in Role::ALL {
        for key in objects(&storage.sums[role.index()]).await.keys() {
            if let Some(window) = sum_part_window(key) {
                windows.entry(window).or_default().insert(role);
            }
        }
    }
    let agreed = audit
        .windows
        .iter()
        .filter(|(_, agreed)| !agreed.batches.is_empty());
    for (name, _) in agreed {
        windows.entry(name.clone()).or_default();
    }
    let mut counted: Vec<BatchId> = Vec::new();
    for (name, roles) in &windows {
        if audit
            .split
            .get(&name.aggregation)
            .is_some_and(|from| *from <= name.window)
        {
            continue;
        }
        let by_roster = scenario
            .rosters_from()
            .is_some_and(|from| from <= name.window.start());
        let total = match parts.total(&name.aggregation, name.window).await {
            Ok(total) if roles.len() == 2 => total,
            // Without rosters, each side sums the batches that it finds, so the two sum parts may
            // not match.
            _ if !by_roster => {
                schedule.count("windows-unsummable-enpa");
                continue;
            }
            Ok(_) => continue,
            Err(_) if audit.held.contains(name) => continue,
            Err(error) => {
                problems.push(format!("{name}: sum parts of {roles:?}: {error}"));
                continue;
            }
        };
        schedule.count_many("windows-summed", 1);
        schedule.count_many("batches-summed", total.batches.len() as u64);
        let named: BTreeSet<BatchId> = total.batches.iter().copied().collect();
        let wanted = audit
            .windows
            .get(name)
            .map(|agreed| agreed.batches.iter().map(|entry| entry.batch.id));
        match wanted.map(Iterator::collect::<BTreeSet<BatchId>>) {
            Some(wanted) if wanted != named => problems.push(format!(
                "{name}: the sum parts name other batches than the agreed set"
            )),
            None if by_roster => problems.push(format!(
                "{name}: the window was summed without an agreed set"
            )),
            _ => {}
        }
        let mut reports: BTreeSet<usize> = BTreeSet::new();
        for id in &named {
            counted.push(*id);
            match ids.get(id) {
                Some(name) => reports.extend(&batches[*name]),
                None => problems.push(format!("{name}: batch {id} is not a batch of the ingestor")),
            }
        }
        reports.retain(|report| Pool::get().report(*report).counts);
        let mut all = sum_of(reports.iter(), total.sums.len());
        let mut sure = all.clone();
        if by_roster {
            let before = audit.counted_before(name, batches, |_| true);
            all = sum_of(reports.difference(&before), total.sums.len());
            let before =
                audit.counted_before(name, batches, |batch| !audit.doubtful.contains(&batch.id));
            sure = sum_of(reports.difference(&before), total.sums.len());
        }
        // If a processor tampered with verification messages, their packets need not count, and may
        // count when they are repeated in a later window. No other packets may count.
        let is_doubtful = named.iter().any(|id| audit.doubtful.contains(id));
        let found = (total.accepted, total.sums.clone());
        if (is_doubtful || all != sure) && at_most(&found, &sure) {
            schedule.count("windows-lied-about");
        } else if found != all {
            problems.push(format!(
                "{name}: the reports add up to {all:?}, but the sum parts to {found:?}"
            ));
        }
        let minimum = scenario.minimum[0].max(scenario.minimum[1]);
        if by_roster && total.accepted < minimum {
            problems.push(format!(
                "{name}: a sum of {} packets was published, although the minimum is {minimum}",
                total.accepted
            ));
        }
    }
    let written = ids.into_keys().collect();
    let summed = Occurrences::count(&written, &written, counted);
    for (id, times) in &summed.repeated {
        problems.push(format!("batch {id} is summed {times} times"));
    }
    let left = batches
        .keys()
        .filter(|name| summed.missing.contains(&name.id));
    schedule.count_many("batches", batches.len() as u64);
    schedule.count_many("batches-left", left.count() as u64);
}

/// Returns the number of reports, and the sum of their bits.
fn sum_of<'r>(reports: impl Iterator<Item = &'r usize>, bins: usize) -> (u64, Vec<u64>) {
    let mut sum = (0, vec![0; bins]);
    for report in reports {
        sum.0 += 1;
        for (sum, bit) in sum.1.iter_mut().zip(&Pool::get().report(*report).bits) {
            *sum += u64::from(*bit);
        }
    }
    sum
}

fn at_most(found: &(u64, Vec<u64>), most: &(u64, Vec<u64>)) -> bool {
    found.0 <= most.0
        && found
            .1
            .iter()
            .zip(&most.1)
            .all(|(found, most)| found <= most)
}

/// Returns the window of a sum part from the key of its header; `None` for any other key.
fn sum_part_window(key: &str) -> Option<WindowName> {
    let rest = key.strip_prefix(INSTANCE)?.strip_prefix('/')?;
    let (aggregation, file) = rest.split_once('/')?;
    let (window, suffix) = file.split_once('.')?;
    let (start, end) = window.split_once('-')?;
    let header = suffix == "sum_0" || suffix == "sum_1";
    let time = |text| BatchTime::from_compact(text).ok();
    let name = WindowName {
        aggregation: aggregation.parse().ok()?,
        window: Window::new(time(start)?, time(end)?).ok()?,
    };
    (header && METRICS.contains(&aggregation)).then_some(name)
}
