//! Where every window and batch stands, and what it waits for: a table for people, JSON for machines.

mod show;

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;
use tallybox_model::extensions::{Bound, Sighting};
use tallybox_model::path::BatchName;
use tallybox_model::roster::WindowName;
use tallybox_model::time::BatchTime;
use tallybox_queue::Depth;

use crate::due::{BatchReport, BatchStage, Counts, WindowReport, WindowStage, mode_word};
use crate::inventory::Foreign;
use crate::manager::Look;
use crate::rejected::{Rejected, SetAside};
use crate::summary::FailedStart;
use crate::work::QueueKind;

/// Everything that stands in the buckets, and what it waits for.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Status {
    /// When it was looked at.
    pub now: String,
    /// From when rosters are used, in words.
    pub rosters: String,
    /// Windows, by aggregation, oldest first.
    pub windows: Vec<WindowStatus>,
    /// Batches that wait for something; all of them, if that was asked for.
    pub batches: Vec<BatchStatus>,
    /// Tasks that workers have set aside and whose work has not been done since, each once.
    pub rejected: Vec<RejectedStatus>,
    /// Windows that passed the horizon without being summed, and that no operator has acknowledged.
    pub given_up: Vec<GivenUp>,
    /// The queues.
    pub queues: Vec<QueueStatus>,
    /// Aggregations that could not be looked at.
    pub failed: Vec<FailedStart>,
    /// Objects that were passed over.
    pub foreign: Foreign,
    /// Windows that are done and are not shown to people.
    #[serde(skip)]
    hidden: usize,
}

/// A window.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct WindowStatus {
    /// The aggregation.
    pub aggregation: String,
    /// Its first minute.
    pub start: String,
    /// The first minute after it.
    pub end: String,
    /// `enpa`, `roster` or `undecided`.
    pub mode: &'static str,
    /// How far it has come.
    pub stage: &'static str,
    /// The task that is due or started.
    pub task: Option<&'static str>,
    /// How many times it has been started.
    pub attempt: u32,
    /// Minutes since its end; negative before it.
    pub age_minutes: i64,
    /// What it waits for.
    pub waits_for: Option<String>,
    /// Why workers have set its task aside.
    pub rejected: Option<String>,
    /// Its batches.
    pub batches: Counts,
    /// Without rosters: how many its task names.
    pub named: Option<usize>,
    /// Without rosters: batches that the peer has skipped.
    pub skipped_by_peer: Vec<String>,
    /// Without rosters: batches that came too late.
    pub late: Vec<String>,
}

/// A window that passed the horizon without being summed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct GivenUp {
    /// The aggregation.
    pub aggregation: String,
    /// Its first minute.
    pub start: String,
    /// The first minute after it.
    pub end: String,
}

impl GivenUp {
    fn of(name: &WindowName) -> Self {
        Self {
            aggregation: name.aggregation.to_string(),
            start: name.window.start().to_string(),
            end: name.window.end().to_string(),
        }
    }
}

/// A batch.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct BatchStatus {
    /// Its name.
    pub batch: String,
    /// How far it has come; `rejected` if workers have set its intake aside.
    pub stage: &'static str,
    /// What this side says of it: how far our intake is.
    pub ours: &'static str,
    /// What the peer says of it: `validated`, or `silent`.
    pub peer: &'static str,
    /// Why workers have set its intake aside.
    pub rejected: Option<String>,
    /// How many times its intake has been started.
    pub attempt: u32,
    /// Minutes since the date in its name.
    pub age_minutes: i64,
    /// Whether the peer has validated it.
    pub validated: bool,
    /// What it waits for.
    pub waits_for: Option<String>,
}

/// A queue.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct QueueStatus {
    /// Which.
    pub queue: QueueKind,
    /// Where it is.
    pub place: String,
    /// Messages that wait, as far as the queue says.
    pub ready: Option<u64>,
    /// Messages that are worked on.
    pub held: Option<u64>,
    /// Messages that were set aside, less those that are known to be done since.
    pub rejected: Option<u64>,
    /// Why the messages that were set aside cannot be read.
    pub rejected_problem: Option<String>,
}

impl QueueStatus {
    /// One with its depth, if that could be read.
    #[must_use]
    pub fn of(queue: QueueKind, place: String, depth: Option<Depth>) -> Self {
        let depth = depth.unwrap_or_default();
        Self {
            queue,
            place,
            ready: depth.ready,
            held: depth.held,
            rejected: depth.rejected,
            rejected_problem: None,
        }
    }

    /// Takes what is known of the messages that were set aside.
    fn set_aside(&mut self, set_aside: &SetAside) {
        match &set_aside.messages {
            Ok(messages) => {
                let done = messages.iter().filter(|message| message.done).count() as u64;
                let all = self.rejected.unwrap_or(messages.len() as u64);
                self.rejected = Some(all.saturating_sub(done));
            }
            Err(problem) => self.rejected_problem = Some(problem.clone()),
        }
    }
}

/// A task that workers have set aside.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct RejectedStatus {
    /// Which queue it was on.
    pub queue: QueueKind,
    /// The batch or window, or what could be read of the message.
    pub task: String,
    /// Why.
    pub reason: String,
}

/// The rejected tasks whose work has not been done since, each once; the last reason counts.
fn open_rejected(set_aside: &[SetAside]) -> BTreeMap<(QueueKind, &str), &Rejected> {
    let messages = set_aside
        .iter()
        .flat_map(|set_aside| set_aside.messages.iter().flatten());
    let open = messages.filter(|message| !message.done);
    open.map(|message| ((message.queue, message.task.as_str()), message))
        .collect()
}

impl Status {
    /// What a look says, and what the queues have set aside; with `all`, also of batches that wait for nothing and windows
    /// that are done.
    #[must_use]
    pub fn of(look: &Look, mut queues: Vec<QueueStatus>, set_aside: &[SetAside], all: bool) -> Self {
        for queue in &mut queues {
            let set_aside = set_aside.iter().find(|set_aside| set_aside.queue == queue.queue);
            set_aside.into_iter().for_each(|set_aside| queue.set_aside(set_aside));
        }
        let rejected = open_rejected(set_aside);
        let of_batch: HashMap<&BatchName, &str> = rejected
            .values()
            .filter_map(|message| Some((message.batch()?, message.reason.as_str())))
            .collect();
        let of_window: HashMap<&WindowName, &str> = rejected
            .values()
            .filter_map(|message| Some((message.window()?, message.reason.as_str())))
            .collect();
        let windows = look.assessment.windows.iter();
        let batches = look.assessment.batches.iter();
        let unfinished = |batch: &&BatchReport| all || batch.stage != BatchStage::Both;
        let shown = |window: &&WindowReport| {
            let quiet = matches!(window.stage, WindowStage::Done | WindowStage::Empty) && window.late.is_empty();
            all || !quiet
        };
        let unseen = look.inventory.failed.iter().map(FailedStart::unseen);
        let given_up = look.assessment.given_up.iter().chain(&look.assessment.passed);
        let shown: Vec<&WindowReport> = windows.filter(shown).collect();
        let mut batches: Vec<BatchStatus> = batches
            .filter(unfinished)
            .map(|batch| BatchStatus::of(batch, look.now, of_batch.get(&batch.name).copied()))
            .collect();
        // People see the first ones.
        batches.sort_by_key(|batch| batch.rejected.is_none());
        Self {
            now: look.now.to_string(),
            rosters: rosters(look),
            hidden: look.assessment.windows.len() - shown.len(),
            windows: shown
                .into_iter()
                .map(|window| WindowStatus::of(window, look.now, of_window.get(&window.name).copied()))
                .collect(),
            batches,
            rejected: rejected.values().map(|message| RejectedStatus::of(message)).collect(),
            given_up: given_up.map(GivenUp::of).collect(),
            queues,
            failed: unseen.collect(),
            foreign: look.inventory.foreign.clone(),
        }
    }
}

impl RejectedStatus {
    fn of(message: &Rejected) -> Self {
        Self {
            queue: message.queue,
            task: message.task.clone(),
            reason: message.reason.clone(),
        }
    }
}

/// What is waited for when workers have set a task aside.
fn operator(reason: &str) -> String {
    format!("an operator, `replay rejected`: {reason}")
}

impl WindowStatus {
    fn of(window: &WindowReport, now: BatchTime, rejected: Option<&str>) -> Self {
        let names = |names: &[BatchName]| names.iter().map(ToString::to_string).collect();
        Self {
            aggregation: window.name.aggregation.to_string(),
            start: window.name.window.start().to_string(),
            end: window.name.window.end().to_string(),
            mode: mode_word(window.mode),
            stage: window.stage.word(),
            task: match window.stage {
                WindowStage::Due { task } | WindowStage::Started { task, .. } | WindowStage::WithLater { task, .. } => {
                    Some(task.word())
                }
                _ => None,
            },
            attempt: window.attempt,
            age_minutes: minutes(window.name.window.end(), now),
            waits_for: rejected.map(operator).or_else(|| window.waits_for()),
            rejected: rejected.map(str::to_owned),
            batches: window.counts,
            named: window.named,
            skipped_by_peer: names(&window.skipped),
            late: names(&window.late),
        }
    }
}

impl BatchStatus {
    fn of(batch: &BatchReport, now: BatchTime, rejected: Option<&str>) -> Self {
        let ours = match batch.stage {
            BatchStage::Both => BatchStage::TakenIn.word(),
            stage if rejected.is_none() => stage.word(),
            _ => "rejected",
        };
        Self {
            batch: batch.name.to_string(),
            stage: if rejected.is_some() {
                "rejected"
            } else {
                batch.stage.word()
            },
            ours,
            peer: if batch.validated { "validated" } else { "silent" },
            rejected: rejected.map(str::to_owned),
            attempt: batch.attempt,
            age_minutes: minutes(batch.name.date, now),
            validated: batch.validated,
            waits_for: rejected.map(operator).or_else(|| batch.waits_for()),
        }
    }
}

fn minutes(from: BatchTime, until: BatchTime) -> i64 {
    (until.millis() - from.millis()) / 60_000
}

/// From when rosters are used, in words.
pub(crate) fn rosters(look: &Look) -> String {
    let (rosters, peer) = (look.switch.rosters, look.switch.peer);
    let until = match rosters.until {
        None => String::new(),
        Some(Bound::Known(switch)) => format!(", and not from {} on", switch.window),
        Some(Bound::Open(window)) => format!(", perhaps not from {window} on: the peer's announcement cannot be read"),
    };
    match (rosters.from, peer) {
        (Some(Bound::Known(switch)), _) => format!("used from {} on{until}", switch.window),
        (Some(Bound::Open(window)), _) => {
            format!("perhaps used from {window} on: the peer's announcement cannot be read")
        }
        (None, None) => "not used: we announce nothing".to_owned(),
        (None, Some(Sighting::Absent)) => "not used: the peer has no announcement".to_owned(),
        (None, Some(_)) => "not used: the peer's announcement has none".to_owned(),
    }
}
