//! An ingestor that seals one side's shares to a key that this side no longer has. The other side
//! takes the batch in, this one never does. Without rosters, such a batch must not prevent its
//! window from being summed.

use std::collections::BTreeSet;
use std::sync::Arc;

use tallybox_model::id::BatchId;
use tallybox_model::path::BatchName;
use tallybox_model::role::Role;
use tallybox_model::roster::WindowName;
use tallybox_model::task::WindowBatches;
use tallybox_model::time::{BatchTime, Window, aligned_window};

use crate::bucket::StoredBucket;
use crate::dice::Dice;
use crate::dishonest_ingestor::CopiedBatch;
use crate::evidence::{Batches, objects};
use crate::machine::{Storage, own_records};
use crate::pool::Pool;
use crate::scenario::{PERIOD_MINUTES, Scenario};
use crate::schedule::{Millis, Schedule};
use crate::time::HOUR_MILLIS;
use crate::trouble::Trouble;
use crate::violations::Violations;

/// A batch for which one side has no packet key.
#[derive(Clone, Debug)]
pub struct Stale {
    /// The name of the batch.
    pub name: BatchName,
    /// The processor that does not have the packet key.
    pub victim: Role,
    /// The batch from which the packets were copied.
    original: BatchName,
}

/// The result of a step of a workflow manager of an older version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fixing {
    /// The window's batches were fixed, including the one without a key.
    Named,
    /// The batches cannot be fixed yet.
    Waits,
    /// The batches of the window were fixed before, or the window ended more than two hours ago.
    TooLate,
}

impl Stale {
    /// Draws a batch with the packets of an existing one, in the current window. With `alone`, the
    /// batch is in a window before all reports, which contains no other batch. Returns `None` if
    /// the window has rosters.
    pub fn draw(
        original: &BatchName,
        scenario: &Scenario,
        (now, alone): (Millis, bool),
        dice: &mut Dice,
    ) -> Option<Self> {
        let within = dice.between(0, 59);
        let victim = if dice.chance(500) {
            Role::First
        } else {
            Role::Second
        };
        let id = BatchId::from_bytes(dice.bytes());
        let time = if alone {
            scenario.start() - HOUR_MILLIS
        } else {
            now
        };
        let window = aligned_window(BatchTime::from_millis(time)?, PERIOD_MINUTES)?;
        let stale = Self {
            name: BatchName {
                aggregation: original.aggregation.clone(),
                date: window.start().plus_minutes(within)?,
                id,
            },
            victim,
            original: original.clone(),
        };
        scenario.is_without_rosters(window).then_some(stale)
    }

    /// Returns the window of the batch.
    pub fn window(&self) -> Option<Window> {
        aligned_window(self.name.date, PERIOD_MINUTES)
    }

    fn window_name(&self) -> Option<WindowName> {
        Some(WindowName {
            aggregation: self.name.aggregation.clone(),
            window: self.window()?,
        })
    }

    /// Writes the batch to each mailbox that still contains the original one. Returns whether any
    /// side received it.
    pub async fn write(&self, mailboxes: &[Arc<StoredBucket>; 2], now: Millis) -> bool {
        let copy = CopiedBatch {
            original: self.original.clone(),
            to: self.name.clone(),
            packets: u64::MAX,
            sides: [true, true],
        };
        let mut is_written = false;
        for role in Role::ALL {
            let retired = role == self.victim;
            is_written |= copy
                .write_to_mailbox(&mailboxes[role.index()], retired, now)
                .await;
        }
        is_written
    }
}

/// Fixes the batches of a window as older versions did: they named a batch as soon as the peer had
/// validated it, even if their own side had not taken it in. The fixed batches remain valid after
/// an upgrade.
pub async fn fix_as_before(storage: &Storage, stale: &Stale, is_off: bool, now: Millis) -> Fixing {
    let Some(name) = stale.window_name() else {
        return Fixing::TooLate;
    };
    let side = stale.victim.index();
    let own = &storage.own[side];
    if own.made_at(&name.batches()).is_some() || now > name.window.end().millis() + 2 * HOUR_MILLIS
    {
        return Fixing::TooLate;
    }
    let validated = |batch: &BatchName| {
        let signature = batch.validation(stale.victim.peer()).signature;
        storage.validation[side].made_at(&signature).is_some()
    };
    let keys = storage.ingestion[side].keys();
    let batches = keys
        .iter()
        .filter_map(|key| BatchName::from_ingestion_signature(key));
    let batches: Vec<BatchName> = batches
        .filter(|batch| batch.aggregation == name.aggregation && name.window.contains(batch.date))
        .filter(|batch| validated(batch))
        .collect();
    let is_named = batches.iter().any(|batch| batch.id == stale.name.id);
    if is_off || !is_named || batches.len() < 2 {
        return Fixing::Waits;
    }
    let fixed = WindowBatches {
        fixed: BatchTime::of_clock(now),
        batches,
        skipped: Vec::new(),
    };
    let records = own_records(stale.victim);
    let created = records
        .create(&*own.inner, &name.batches(), &fixed.to_json())
        .await;
    created.expect("a new object");
    own.note(&name.batches(), now);
    Fixing::Named
}

/// Verifies that every window without rosters is summed although one of its batches cannot be taken
/// in, if another one can.
pub async fn unblocked(
    scenario: &Scenario,
    storage: &Storage,
    schedule: &Schedule,
    (batches, violations): (&Batches, &Violations),
    problems: &mut Vec<String>,
) {
    let doubtful = violations.doubtful();
    for stale in &violations.stale {
        let Some(name) = stale.window_name() else {
            continue;
        };
        let (role, own) = (stale.victim, &storage.own[stale.victim.index()]);
        let key = name.batches();
        let Some(fixed) = objects(own).await.remove(&key) else {
            continue;
        };
        let Ok(fixed) = WindowBatches::parse(&name.aggregation, &fixed) else {
            problems.push(format!("{role}: object {key} cannot be parsed"));
            continue;
        };
        let named: BTreeSet<BatchId> = fixed.batches.iter().map(|batch| batch.id).collect();
        let is_summable = |batch: &BatchName| {
            let good = batches[batch]
                .iter()
                .any(|report| Pool::get().report(*report).counts);
            let signature = batch.validation(role.peer()).signature;
            let is_validated = storage.validation[role.index()].keys().contains(&signature);
            named.contains(&batch.id) && !doubtful.contains(&batch.id) && good && is_validated
        };
        let summable = batches.keys().any(is_summable);
        if !named.contains(&stale.name.id) || !summable {
            continue;
        }
        let is_made = |key: String| own.made_at(&key).is_some();
        // An operator may have summed the other batches manually in a window of another length.
        let excused =
            scenario.has(Trouble::ManualSum) || is_made(name.held()) || is_made(name.given_up());
        match is_made(name.done()) {
            true => schedule.count("stale-key-batches-left-out"),
            false if excused => {}
            false => problems.push(format!(
                "{name}: stuck: the {role} processor has no key for batch {}, and does not sum the other batches",
                stale.name
            )),
        }
    }
}
