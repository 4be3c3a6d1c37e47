//! An ingestor that seals one side's shares to a key that this side does not hold any more: the other side takes the batch
//! in, and this one never does. Without rosters such a batch must not keep a window from being summed.

use std::collections::BTreeSet;
use std::sync::Arc;

use tallybox_model::id::BatchId;
use tallybox_model::path::BatchName;
use tallybox_model::role::Role;
use tallybox_model::roster::WindowName;
use tallybox_model::task::{TaskBatch, WindowBatches};
use tallybox_model::time::{BatchTime, Window, aligned_window};

use crate::bucket::Shelf;
use crate::dice::Dice;
use crate::evidence::{Batches, objects};
use crate::liar::Copy;
use crate::lies::Lies;
use crate::machine::{Places, own_records};
use crate::pool::Pool;
use crate::scenario::{PERIOD, Scenario};
use crate::schedule::{Millis, Schedule};
use crate::time::HOUR;
use crate::trouble::Trouble;

/// A batch that one side has no key for.
#[derive(Clone, Debug)]
pub struct Stale {
    /// The batch.
    pub name: BatchName,
    /// Whose packet key is retired.
    pub victim: Role,
    /// The batch whose packets are in it.
    of: BatchName,
}

/// What a scheduler of an older version did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fixing {
    /// It has fixed the window's batches, the one without a key among them.
    Named,
    /// There is nothing to fix yet.
    Waits,
    /// The batches of the window were fixed before, or the window is long over.
    TooLate,
}

impl Stale {
    /// Draws one with the packets of a batch that is there, in the window of now; `alone`: in one before all reports, which
    /// has nothing else. `None` if the window has rosters.
    pub fn draw(of: &BatchName, scenario: &Scenario, (now, alone): (Millis, bool), dice: &mut Dice) -> Option<Self> {
        let within = dice.between(0, 59);
        let victim = if dice.chance(500) { Role::First } else { Role::Second };
        let id = BatchId::from_bytes(dice.bytes());
        let time = if alone { scenario.start() - HOUR } else { now };
        let window = aligned_window(BatchTime::from_millis(time)?, PERIOD)?;
        let stale = Self {
            name: BatchName {
                aggregation: of.aggregation.clone(),
                date: window.start().plus_minutes(within)?,
                id,
            },
            victim,
            of: of.clone(),
        };
        scenario.is_without_rosters(window).then_some(stale)
    }

    /// The window that it belongs to.
    pub fn window(&self) -> Option<Window> {
        aligned_window(self.name.date, PERIOD)
    }

    fn window_name(&self) -> Option<WindowName> {
        Some(WindowName {
            aggregation: self.name.aggregation.clone(),
            window: self.window()?,
        })
    }

    /// Writes it where the batch with its packets is not deleted by now; whether any side got it.
    pub async fn write(&self, mailboxes: &[Arc<Shelf>; 2], now: Millis) -> bool {
        let copy = Copy {
            of: self.of.clone(),
            to: self.name.clone(),
            packets: u64::MAX,
            sides: [true, true],
        };
        let mut is_written = false;
        for role in Role::ALL {
            let retired = role == self.victim;
            is_written |= copy.write_one(&mailboxes[role.index()], retired, now).await;
        }
        is_written
    }
}

/// Fixes the batches of a window as versions did that named a batch as soon as the peer had validated it, whether or not
/// their own side had taken it in. What they have fixed holds after an upgrade.
pub async fn fix_as_before(places: &Places, stale: &Stale, is_off: bool, now: Millis) -> Fixing {
    let Some(name) = stale.window_name() else {
        return Fixing::TooLate;
    };
    let side = stale.victim.index();
    let own = &places.own[side];
    if own.made_at(&name.batches()).is_some() || now > name.window.end().millis() + 2 * HOUR {
        return Fixing::TooLate;
    }
    let validated = |batch: &BatchName| {
        let signature = batch.validation(stale.victim.peer()).signature;
        places.validation[side].made_at(&signature).is_some()
    };
    let keys = places.ingestion[side].keys();
    let batches = keys.iter().filter_map(|key| BatchName::from_ingestion_signature(key));
    let batches: Vec<TaskBatch> = batches
        .filter(|batch| batch.aggregation == name.aggregation && name.window.contains(batch.date))
        .filter(|batch| validated(batch))
        .map(|batch| TaskBatch {
            id: batch.id,
            time: batch.date,
        })
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
    let created = records.create(&*own.inner, &name.batches(), &fixed.to_json()).await;
    created.expect("a new object");
    own.note(&name.batches(), now);
    Fixing::Named
}

/// No window without rosters is left unsummed because one of its batches cannot be taken in, if there is another that can.
pub async fn unblocked(
    scenario: &Scenario,
    places: &Places,
    schedule: &Schedule,
    (batches, lies): (&Batches, &Lies),
    problems: &mut Vec<String>,
) {
    let doubtful = lies.doubtful();
    for stale in &lies.stale {
        let Some(name) = stale.window_name() else { continue };
        let (role, own) = (stale.victim, &places.own[stale.victim.index()]);
        let key = name.batches();
        let Some(fixed) = objects(own).await.remove(&key) else {
            continue;
        };
        let Ok(fixed) = WindowBatches::parse(&fixed) else {
            problems.push(format!("{role}: {key} cannot be read"));
            continue;
        };
        let named: BTreeSet<BatchId> = fixed.batches.iter().map(|batch| batch.id).collect();
        let is_summable = |batch: &BatchName| {
            let good = batches[batch].iter().any(|report| Pool::get().report(*report).counts);
            let signature = batch.validation(role.peer()).signature;
            let is_validated = places.validation[role.index()].keys().contains(&signature);
            named.contains(&batch.id) && !doubtful.contains(&batch.id) && good && is_validated
        };
        let summable = batches.keys().any(is_summable);
        if !named.contains(&stale.name.id) || !summable {
            continue;
        }
        let is_made = |key: String| own.made_at(&key).is_some();
        // By hand, a window of another length may have summed the rest.
        let excused = scenario.has(Trouble::ByHand) || is_made(name.held()) || is_made(name.given_up());
        match is_made(name.done()) {
            true => schedule.count("stale-key-batches-left-out"),
            false if excused => {}
            false => problems.push(format!(
                "{name}: stuck: the {role} processor has no key for batch {} and sums none of the others",
                stale.name
            )),
        }
    }
}
