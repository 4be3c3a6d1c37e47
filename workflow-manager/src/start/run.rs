//! Starts the due work of one run: in groups, concurrently, and no more than may run.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use tallybox_model::cause::chain;
use tallybox_model::id::AggregationId;
use tallybox_model::task::{QueueKind, TaskName};
use tallybox_model::time::BatchTime;
use tallybox_transport::Created;

use super::{RunningTasks, StartRequest};
use crate::error::Error;
use crate::failure::FailedStart;
use crate::manager::Manager;
use crate::summary::{RunSummary, StartedTask};
use crate::work::Due;

impl Manager {
    /// Starts work in its order, and records the results in the summary.
    pub async fn start(&self, now: BatchTime, due: Vec<Due>, summary: &mut RunSummary) {
        // Without due work, the running tasks need not be listed.
        if due.is_empty() {
            return;
        }
        let running = match self.starter.running().await {
            Ok(running) => running,
            Err(error) => {
                tracing::error!(
                    error = chain(&error),
                    "cannot determine which tasks are running"
                );
                summary.left += due.len();
                summary
                    .failed
                    .push(FailedStart::from_error("running tasks", &error));
                return;
            }
        };
        let groups = self.groups(due, &running);
        let run = Run {
            manager: self,
            now,
            running: &running,
            room: Mutex::new(running.room),
            broken: Mutex::default(),
        };
        let results = stream::iter(groups.into_iter().map(|group| run.group(group)));
        let mut results = results.buffered(self.concurrency.max(1));
        while let Some(result) = results.next().await {
            summary.started.extend(result.started);
            summary.failed.extend(result.failed);
            summary.left += result.left;
        }
    }

    /// Groups consecutive work of the same aggregation and queue that may be started together. Work
    /// that is already running forms its own groups, because only its markers are missing.
    fn groups(&self, due: Vec<Due>, running: &RunningTasks) -> Vec<Vec<Due>> {
        let mut groups: Vec<Vec<Due>> = Vec::new();
        for due in due {
            let queue = due.task.queue();
            let is_running = running.keys.contains(&due.key());
            let fits = groups.last().is_some_and(|group: &Vec<Due>| {
                group.len() < self.starter.together(queue).max(1)
                    && group[0].task.queue() == queue
                    && group[0].task.aggregation() == due.task.aggregation()
                    && running.keys.contains(&group[0].key()) == is_running
            });
            match groups.last_mut() {
                Some(group) if fits => group.push(due),
                _ => groups.push(vec![due]),
            }
        }
        groups
    }
}

/// The starts of one run.
struct Run<'a> {
    manager: &'a Manager,
    now: BatchTime,
    running: &'a RunningTasks,
    room: Mutex<Option<usize>>,
    /// Aggregations with a failed start.
    broken: Mutex<BTreeSet<AggregationId>>,
}

impl Run<'_> {
    /// Starts the tasks of a group. Returns a summary of this group alone.
    async fn group(&self, group: Vec<Due>) -> RunSummary {
        let mut summary = RunSummary::default();
        let Some(first) = group.first() else {
            return summary;
        };
        let aggregation = first.task.aggregation().clone();
        let is_running = self.running.keys.contains(&first.key());
        // After a failure, the rest of the aggregation is left for the next run. A running task
        // needs no slot: only its markers are missing.
        if self.broken().contains(&aggregation) || !(is_running || self.acquire_slot()) {
            summary.left = group.len();
            return summary;
        }
        let what = first.task.object();
        let others = group.len() - 1;
        match self.try_group(group, is_running).await {
            Ok(started) => summary.started = started,
            Err(error) => {
                tracing::error!(
                    aggregation_id = %aggregation,
                    task = what,
                    error = chain(&error),
                    "cannot start work"
                );
                self.broken().insert(aggregation);
                summary.failed.push(FailedStart::from_error(&what, &error));
                summary.left = others;
            }
        }
        summary
    }

    fn broken(&self) -> MutexGuard<'_, BTreeSet<AggregationId>> {
        self.broken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn acquire_slot(&self) -> bool {
        let mut room = self.room.lock().unwrap_or_else(PoisonError::into_inner);
        match room.as_mut() {
            Some(0) => false,
            Some(left) => {
                *left -= 1;
                true
            }
            None => true,
        }
    }

    /// Records what has to be fixed, starts the tasks, and then writes their markers. After a crash
    /// in between, a task is started again, and no task is lost.
    async fn try_group(
        &self,
        group: Vec<Due>,
        is_running: bool,
    ) -> Result<Vec<StartedTask>, Error> {
        let manager = self.manager;
        let mut ready = Vec::with_capacity(group.len());
        for due in group {
            ready.push(self.fixed(due).await?);
        }
        if !is_running {
            let task = |due: &Due| StartRequest {
                key: due.key(),
                message: Bytes::from(due.message(&manager.instance, manager.policy.role)),
            };
            let tasks: Vec<StartRequest> = ready.iter().map(task).collect();
            let queue = ready
                .first()
                .map_or(QueueKind::Intake, |due| due.task.queue());
            manager.starter.start(queue, &tasks).await?;
        }
        let mut started = Vec::with_capacity(ready.len());
        for due in ready {
            // An existing marker is identical except for its time.
            let marker = due.marker(self.now);
            let buckets = &manager.buckets;
            buckets
                .put_record(&marker.name(), marker.text().as_bytes())
                .await?;
            let task = StartedTask::from_due(&due);
            tracing::info!(
                task = task.task,
                kind = task.kind,
                attempt = task.attempt,
                why = task.why,
                "work started"
            );
            started.push(task);
        }
        Ok(started)
    }

    /// Returns the work with its batches fixed in the processor's own bucket, so that every start
    /// of it, by any process, names the same batches.
    async fn fixed(&self, mut due: Due) -> Result<Due, Error> {
        let (TaskName::Window(_, name), Some(batches)) = (&due.task, &due.batches) else {
            return Ok(due);
        };
        // Batches that were chosen at another time come from the record in the bucket.
        if batches.fixed != self.now {
            return Ok(due);
        }
        let buckets = &self.manager.buckets;
        let created = buckets
            .put_record(&name.batches(), &batches.to_json())
            .await?;
        match created {
            Created::New => self.manager.metrics.skipped(batches.skipped.len()),
            // Another run has fixed the batches first.
            Created::Exists => due.batches = Some(buckets.fixed_batches(name).await?),
        }
        Ok(due)
    }
}
