//! The manager: scans the buckets, reports its findings, and starts the work that is due.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use tallybox_model::id::{AggregationId, Instance};
use tallybox_model::roster::WindowName;
use tallybox_model::task::{QueueKind, TaskMarker, TaskName, WindowBatches};
use tallybox_model::time::BatchTime;
use tallybox_service::cause::chain;
use tallybox_service::clock::Clock;
use tallybox_transport::Created;

use crate::due::{Assessment, assess};
use crate::error::Error;
use crate::findings::log_findings;
use crate::inventory::{Inventory, ManagerBuckets, ScanCache, fixed_batches, scan};
use crate::metrics::Metrics;
use crate::policy::{Policy, Scope};
use crate::start::{RunningTasks, StartRequest, Starter};
use crate::summary::{FailedStart, RunSummary, StartedTask};
use crate::switch::{Announcements, SwitchState};
use crate::work::Due;

/// Everything that a run needs.
#[derive(Debug)]
pub struct Manager {
    /// The instance, a pair of locality and ingestor.
    pub instance: Instance,
    /// The buckets of batches, rosters and markers.
    pub buckets: ManagerBuckets,
    /// The method of starting work.
    pub starter: Arc<dyn Starter>,
    /// The durations of the schedule.
    pub policy: Policy,
    /// The announcements of both processors.
    pub announcements: Announcements,
    /// Limit of concurrent starts. With 1, a run works sequentially.
    pub concurrency: usize,
    /// The clock.
    pub clock: Clock,
    /// A cache of objects that earlier runs have read.
    pub scan_cache: ScanCache,
    /// The metrics.
    pub metrics: Metrics,
}

/// The result of one scan.
#[derive(Debug)]
pub struct Observation {
    /// The time of the scan.
    pub now: BatchTime,
    /// The state of the buckets.
    pub inventory: Inventory,
    /// The assessment of that state.
    pub assessment: Assessment,
    /// The windows for which rosters are used.
    pub switch: SwitchState,
}

impl Manager {
    /// Returns the current time, to the minute.
    #[must_use]
    pub fn now(&self) -> BatchTime {
        BatchTime::of_clock(self.clock.millis())
    }

    /// Scans the usual scope, reports the findings, and starts the work that is due. A failed start
    /// ends the work for its aggregation, but not for the others.
    ///
    /// # Errors
    /// [`Error`], if nothing could be scanned. Failures after the scan are in the summary.
    pub async fn run_once(&self) -> Result<RunSummary, Error> {
        self.run(self.policy.scope(self.now())).await
    }

    /// Does the same as [`Self::run_once`], for another scope.
    ///
    /// # Errors
    /// As [`Self::run_once`].
    pub async fn run(&self, scope: Scope) -> Result<RunSummary, Error> {
        let result = self.try_run(scope).await;
        match &result {
            Ok(summary) => self.metrics.run(summary, self.clock.millis()),
            Err(_) => self.metrics.failed_run(),
        }
        result
    }

    async fn try_run(&self, scope: Scope) -> Result<RunSummary, Error> {
        let now = self.now();
        let switch = self
            .announcements
            .fix_switch(&self.buckets, self.policy.period_minutes, now)
            .await?;
        let observation = self.assess(scope, now, switch).await?;
        log_findings(&observation, &self.scan_cache);
        self.give_up(&observation).await?;
        self.metrics.record(&observation);
        self.count_rejected(&observation).await;
        let mut summary = RunSummary::from_observation(&observation);
        let due = observation.assessment.due;
        self.start(now, due, &mut summary).await;
        Ok(summary)
    }

    /// Records the windows that have passed the horizon without being done as given up. The run
    /// that records a window reports it.
    async fn give_up(&self, observation: &Observation) -> Result<(), Error> {
        for name in &observation.assessment.passed {
            let text = format!("{{\"given-up\":\"{}\"}}", observation.now);
            if self
                .buckets
                .put_record(&name.given_up(), text.as_bytes())
                .await?
                == Created::New
            {
                self.metrics.given_up();
                tracing::warn!(
                    aggregation_id = %name.aggregation, window = %name.window,
                    "a window has passed the horizon without being summed: it is not started again; `backfill` starts it, \
                     `acknowledge` removes it from the status"
                );
            }
        }
        Ok(())
    }

    /// Records that an operator has acknowledged windows that were given up: those that
    /// contain this minute, or all.
    ///
    /// # Errors
    /// [`Error::Nothing`] if there is no such window, and errors of the processor's own bucket.
    pub async fn acknowledge(
        &self,
        aggregation: &AggregationId,
        minute: Option<BatchTime>,
    ) -> Result<Vec<WindowName>, Error> {
        let observation = self.observe(self.policy.scope(self.now())).await?;
        let given_up = observation.assessment.given_up.into_iter();
        let wanted: Vec<WindowName> = given_up
            .filter(|name| name.aggregation == *aggregation)
            .filter(|name| minute.is_none_or(|minute| name.window.contains(minute)))
            .collect();
        if wanted.is_empty() {
            let which =
                minute.map_or_else(String::new, |minute| format!(" that contains {minute}"));
            return Err(Error::Nothing(format!(
                "{aggregation}: no unacknowledged window{which} that was given up; see `given-up` in `status --json`"
            )));
        }
        for name in &wanted {
            let text = format!("{{\"acknowledged\":\"{}\"}}", observation.now);
            self.buckets
                .put_record(&name.acknowledged(), text.as_bytes())
                .await?;
        }
        Ok(wanted)
    }

    /// Scans everything and writes nothing.
    ///
    /// # Errors
    /// As [`Self::run_once`].
    pub async fn observe(&self, scope: Scope) -> Result<Observation, Error> {
        let now = self.now();
        let switch = self
            .announcements
            .observe(&self.buckets, self.policy.period_minutes, now)
            .await?;
        self.assess(scope, now, switch).await
    }

    async fn assess(
        &self,
        scope: Scope,
        now: BatchTime,
        switch: SwitchState,
    ) -> Result<Observation, Error> {
        let (buckets, policy) = (&self.buckets, &self.policy);
        let inventory = scan(
            buckets,
            policy,
            scope,
            switch.rosters,
            now,
            &self.scan_cache,
        )
        .await?;
        let assessment = assess(&inventory, now, policy);
        Ok(Observation {
            now,
            inventory,
            assessment,
            switch,
        })
    }

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
            match result {
                GroupResult::Started(tasks) => summary.started.extend(tasks),
                GroupResult::Left(count) => summary.left += count,
                GroupResult::Failed { failure, left } => {
                    summary.failed.push(failure);
                    summary.left += left;
                }
            }
        }
    }

    /// Groups consecutive work of the same aggregation and queue that may be started together. Work
    /// that is already running forms its own groups, because only its markers are missing.
    fn groups(&self, due: Vec<Due>, running: &RunningTasks) -> Vec<Vec<Due>> {
        let mut groups: Vec<Vec<Due>> = Vec::new();
        for due in due {
            let (queue, is_running) = (due.task.queue(), running.keys.contains(&due.key()));
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

enum GroupResult {
    Started(Vec<StartedTask>),
    Left(usize),
    Failed { failure: FailedStart, left: usize },
}

impl Run<'_> {
    async fn group(&self, group: Vec<Due>) -> GroupResult {
        let Some(first) = group.first() else {
            return GroupResult::Left(0);
        };
        let aggregation = first.task.aggregation().clone();
        let broken = |set: &Mutex<BTreeSet<AggregationId>>| {
            set.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .contains(&aggregation)
        };
        // After a failure, the rest of the aggregation is left for the next run.
        if broken(&self.broken) {
            return GroupResult::Left(group.len());
        }
        let is_running = self.running.keys.contains(&first.key());
        // A running task needs no room: only its markers are missing.
        if !is_running && !self.acquire_slot() {
            return GroupResult::Left(group.len());
        }
        let (what, left) = (first.task.object(), group.len() - 1);
        match self.try_group(group, is_running).await {
            Ok(started) => GroupResult::Started(started),
            Err(error) => {
                tracing::error!(
                    aggregation_id = %aggregation,
                    task = what,
                    error = chain(&error),
                    "cannot start work"
                );
                let mut set = self.broken.lock().unwrap_or_else(PoisonError::into_inner);
                set.insert(aggregation);
                GroupResult::Failed {
                    failure: FailedStart::from_error(&what, &error),
                    left,
                }
            }
        }
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
            self.mark(&due.marker(self.now)).await?;
            let (task, why) = (due.task.object(), due.reason());
            tracing::info!(
                task,
                kind = due.task.kind(),
                attempt = due.attempt,
                why,
                "work started"
            );
            started.push(StartedTask::from_due(&due));
        }
        Ok(started)
    }

    /// Returns the work with its batches fixed in the processor's own bucket, so that every start
    /// of it, by any process, names the same batches.
    async fn fixed(&self, due: Due) -> Result<Due, Error> {
        let (TaskName::Window(_, name), Some(batches)) = (&due.task, &due.batches) else {
            return Ok(due);
        };
        // Batches that were chosen at another time come from the record in the bucket.
        if batches.fixed != self.now {
            return Ok(due);
        }
        let fixed = self.fix(name, batches).await?;
        Ok(Due {
            batches: Some(fixed),
            ..due
        })
    }

    async fn fix(
        &self,
        name: &WindowName,
        batches: &WindowBatches,
    ) -> Result<WindowBatches, Error> {
        let buckets = &self.manager.buckets;
        match buckets
            .put_record(&name.batches(), &batches.to_json())
            .await?
        {
            Created::New => {
                self.manager.metrics.skipped(batches.skipped.len());
                Ok(batches.clone())
            }
            Created::Exists => Ok(fixed_batches(buckets, name).await?),
        }
    }

    async fn mark(&self, marker: &TaskMarker) -> Result<(), Error> {
        // An existing marker is identical except for its time.
        let buckets = &self.manager.buckets;
        buckets
            .put_record(&marker.name(), marker.text().as_bytes())
            .await?;
        Ok(())
    }
}
