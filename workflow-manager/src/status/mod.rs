//! The status of every window and batch, and what it waits for: tables for people, JSON for
//! machines.

mod show;

use std::collections::HashMap;
use std::fmt;

use serde::Serialize;
use tallybox_model::extensions::{Bound, Sighting};
use tallybox_model::path::BatchName;
use tallybox_model::roster::WindowName;
use tallybox_model::time::BatchTime;
use tallybox_queue::Depth;

use crate::due::{BatchCounts, BatchReport, BatchStage, WindowReport, WindowStage, mode_name};
use crate::failure::FailedStart;
use crate::inventory::UnknownObjects;
use crate::manager::Observation;
use crate::rejected::{Rejected, RejectedTasks, open_tasks};
use crate::summary::to_lines;
use tallybox_model::task::QueueKind;

/// The status of everything in the buckets.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Status {
    /// The time of the scan.
    pub(crate) now: String,
    /// A description of the windows that use rosters.
    pub(crate) rosters: String,
    /// Windows, by aggregation, oldest first.
    pub(crate) windows: Vec<WindowStatus>,
    /// Batches that wait for something, or all of them on request.
    pub(crate) batches: Vec<BatchStatus>,
    /// Rejected tasks whose work has not been done since, each once.
    pub(crate) rejected: Vec<RejectedStatus>,
    /// Windows that passed the horizon without being summed, and that no operator has acknowledged.
    pub(crate) given_up: Vec<GivenUp>,
    /// The queues.
    pub(crate) queues: Vec<QueueStatus>,
    /// Aggregations that could not be scanned.
    pub(crate) failed: Vec<FailedStart>,
    /// Objects with unknown names, which were ignored.
    #[serde(rename = "foreign")]
    pub(crate) unknown_objects: UnknownObjects,
    /// Number of windows that are left out because they are done or empty.
    #[serde(skip)]
    hidden: usize,
}

/// The status of a window.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct WindowStatus {
    /// The aggregation.
    pub(crate) aggregation: String,
    /// The first minute of the window.
    pub(crate) start: String,
    /// The first minute after the window.
    pub(crate) end: String,
    /// `enpa`, `roster` or `undecided`.
    pub(crate) mode: &'static str,
    /// The stage.
    pub(crate) stage: &'static str,
    /// The task that is due or started.
    pub(crate) task: Option<&'static str>,
    /// The number of starts.
    pub(crate) attempt: u32,
    /// Minutes since the end of the window; negative before it.
    pub(crate) age_minutes: i64,
    /// What the window waits for.
    pub(crate) waits_for: Option<String>,
    /// The reason why workers rejected its task.
    pub(crate) rejected: Option<String>,
    /// Counts of its batches.
    pub(crate) batches: BatchCounts,
    /// Without rosters: the number of batches that its task names.
    pub(crate) named: Option<usize>,
    /// Without rosters: batches that the peer has skipped.
    pub(crate) skipped_by_peer: Vec<String>,
    /// Without rosters: batches that arrived too late.
    pub(crate) late: Vec<String>,
}

/// A window that passed the horizon without being summed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct GivenUp {
    /// The aggregation.
    pub(crate) aggregation: String,
    /// The first minute of the window.
    pub(crate) start: String,
    /// The first minute after the window.
    pub(crate) end: String,
}

impl fmt::Display for GivenUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} to {}", self.aggregation, self.start, self.end)
    }
}

impl GivenUp {
    fn from_name(name: &WindowName) -> Self {
        Self {
            aggregation: name.aggregation.to_string(),
            start: name.window.start().to_string(),
            end: name.window.end().to_string(),
        }
    }
}

/// The status of a batch.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct BatchStatus {
    /// The full name.
    pub(crate) batch: String,
    /// The stage; `rejected` if workers rejected its intake.
    pub(crate) stage: &'static str,
    /// The progress of our intake.
    pub(crate) ours: &'static str,
    /// The progress of the peer: `validated` or `silent`.
    pub(crate) peer: &'static str,
    /// The reason why workers rejected its intake.
    pub(crate) rejected: Option<String>,
    /// The number of starts of its intake.
    pub(crate) attempt: u32,
    /// Minutes since the date in its name.
    pub(crate) age_minutes: i64,
    /// True if the peer has validated the batch.
    pub(crate) validated: bool,
    /// What the batch waits for.
    pub(crate) waits_for: Option<String>,
}

/// The status of a queue.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct QueueStatus {
    /// The kind of queue.
    pub(crate) queue: QueueKind,
    /// The location.
    #[serde(rename = "place")]
    pub(crate) location: String,
    /// Messages that wait, if the queue reports it.
    pub(crate) ready: Option<u64>,
    /// Messages that a worker is processing.
    pub(crate) held: Option<u64>,
    /// Rejected messages, without those whose work has been done since.
    pub(crate) rejected: Option<u64>,
    /// The reason why the rejected messages cannot be read.
    pub(crate) rejected_problem: Option<String>,
}

impl QueueStatus {
    /// Creates the status of a queue from its depth and its rejected messages, as far as they can
    /// be read.
    pub(crate) fn new(
        queue: QueueKind,
        location: String,
        depth: Option<Depth>,
        rejected: Option<&Result<Vec<Rejected>, String>>,
    ) -> Self {
        let depth = depth.unwrap_or_default();
        let mut status = Self {
            queue,
            location,
            ready: depth.ready,
            held: depth.held,
            rejected: depth.rejected,
            rejected_problem: None,
        };
        match rejected {
            Some(Ok(messages)) => {
                let done = messages.iter().filter(|message| message.done).count() as u64;
                let all = depth.rejected.unwrap_or(messages.len() as u64);
                status.rejected = Some(all.saturating_sub(done));
            }
            Some(Err(problem)) => status.rejected_problem = Some(problem.clone()),
            None => {}
        }
        status
    }
}

/// A task that workers rejected.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct RejectedStatus {
    /// The queue of the task.
    pub(crate) queue: QueueKind,
    /// The batch or window, or the start of a message that does not parse.
    pub(crate) task: String,
    /// The reason.
    pub(crate) reason: String,
}

impl Status {
    /// Returns the status from a scan and the rejected tasks. With `all`, the status includes
    /// batches that wait for nothing and windows that are done.
    #[must_use]
    pub(crate) fn from_observation(
        observation: &Observation,
        queues: Vec<QueueStatus>,
        rejected: &RejectedTasks,
        all: bool,
    ) -> Self {
        let rejected: Vec<&Rejected> = rejected
            .values()
            .flatten()
            .flat_map(|messages| open_tasks(messages).into_values())
            .collect();
        let batch_reasons: HashMap<&BatchName, &str> = rejected
            .iter()
            .filter_map(|message| Some((message.batch()?, message.reason.as_str())))
            .collect();
        let window_reasons: HashMap<&WindowName, &str> = rejected
            .iter()
            .filter_map(|message| Some((message.window()?, message.reason.as_str())))
            .collect();
        let windows = observation.assessment.windows.iter();
        let batches = observation.assessment.batches.iter();
        let unfinished = |batch: &&BatchReport| all || batch.stage != BatchStage::Both;
        let shown = |window: &&WindowReport| {
            let quiet = matches!(window.stage, WindowStage::Done | WindowStage::Empty)
                && window.late.is_empty();
            all || !quiet
        };
        let given_up = observation
            .assessment
            .given_up
            .iter()
            .chain(&observation.assessment.passed);
        let shown: Vec<&WindowReport> = windows.filter(shown).collect();
        let mut batches: Vec<BatchStatus> = batches
            .filter(unfinished)
            .map(|batch| {
                BatchStatus::from_report(
                    batch,
                    observation.now,
                    batch_reasons.get(&batch.name).copied(),
                )
            })
            .collect();
        // Rejected batches come first, because the output for people is truncated.
        batches.sort_by_key(|batch| batch.rejected.is_none());
        Self {
            now: observation.now.to_string(),
            rosters: rosters(observation),
            hidden: observation.assessment.windows.len() - shown.len(),
            windows: shown
                .into_iter()
                .map(|window| {
                    WindowStatus::from_report(
                        window,
                        observation.now,
                        window_reasons.get(&window.name).copied(),
                    )
                })
                .collect(),
            batches,
            rejected: rejected
                .into_iter()
                .map(RejectedStatus::from_message)
                .collect(),
            given_up: given_up.map(GivenUp::from_name).collect(),
            queues,
            failed: observation.inventory.failed.clone(),
            unknown_objects: observation.inventory.unknown_objects.clone(),
        }
    }
}

impl fmt::Display for RejectedStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<9} {}: {}", self.queue, self.task, self.reason)
    }
}

impl RejectedStatus {
    fn from_message(message: &Rejected) -> Self {
        Self {
            queue: message.queue,
            task: message.task.clone(),
            reason: message.reason.clone(),
        }
    }
}

/// Returns the text that a rejected task waits for.
fn operator(reason: &str) -> String {
    format!("an operator, `replay rejected`: {reason}")
}

impl WindowStatus {
    fn from_report(window: &WindowReport, now: BatchTime, rejected: Option<&str>) -> Self {
        Self {
            aggregation: window.name.aggregation.to_string(),
            start: window.name.window.start().to_string(),
            end: window.name.window.end().to_string(),
            mode: mode_name(window.mode),
            stage: window.stage.as_str(),
            task: match window.stage {
                WindowStage::Due { task }
                | WindowStage::Started { task, .. }
                | WindowStage::WithLater { task, .. } => Some(task.as_str()),
                _ => None,
            },
            attempt: window.attempt,
            age_minutes: minutes(window.name.window.end(), now),
            waits_for: rejected.map(operator).or_else(|| window.waits_for()),
            rejected: rejected.map(str::to_owned),
            batches: window.counts,
            named: window.named,
            skipped_by_peer: to_lines(&window.skipped),
            late: to_lines(&window.late),
        }
    }
}

impl BatchStatus {
    fn from_report(batch: &BatchReport, now: BatchTime, rejected: Option<&str>) -> Self {
        let ours = match batch.stage {
            BatchStage::Both => BatchStage::IntakeDone.as_str(),
            stage if rejected.is_none() => stage.as_str(),
            _ => "rejected",
        };
        Self {
            batch: batch.name.to_string(),
            stage: if rejected.is_some() {
                "rejected"
            } else {
                batch.stage.as_str()
            },
            ours,
            peer: if batch.validated {
                "validated"
            } else {
                "silent"
            },
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

/// Describes the windows that use rosters.
pub(crate) fn rosters(observation: &Observation) -> String {
    let (rosters, peer) = (observation.switch.rosters, observation.switch.peer);
    let until = match rosters.until {
        None => String::new(),
        Some(Bound::Known(switch)) => format!(", and not from {} on", switch.window),
        Some(Bound::Open(window)) => {
            format!(", possibly not from {window} on: the peer's announcement cannot be read")
        }
    };
    match (rosters.from, peer) {
        (Some(Bound::Known(switch)), _) => format!("used from {} on{until}", switch.window),
        (Some(Bound::Open(window)), _) => {
            format!("possibly used from {window} on: the peer's announcement cannot be read")
        }
        (None, None) => "not used: this processor announces no rosters".to_owned(),
        (None, Some(Sighting::Absent)) => "not used: the peer has no announcement".to_owned(),
        (None, Some(_)) => "not used: the peer announces no rosters".to_owned(),
    }
}
