//! The markers of started tasks, and the times in them.

use futures::TryStreamExt as _;
use tallybox_model::task::{TaskMarker, TaskName, WindowKind};
use tallybox_model::time::BatchTime;
use tallybox_transport::{BucketError, RecordFault};

use super::buckets::list_keys;
use super::scan::Scanner;
use super::{Started, StartedAt, batch_name, window_name};

/// Largest marker that is read, in bytes.
const MARKER_LIMIT: u64 = 4096;

impl Scanner<'_> {
    pub(super) async fn intake_markers(
        &mut self,
        from: BatchTime,
        until: BatchTime,
    ) -> Result<(), BucketError> {
        let range = TaskMarker::intakes(self.aggregation, from, until);
        let mut keys = list_keys(&*self.buckets.own, TaskMarker::DIRECTORY, range).await?;
        while let Some(key) = keys.try_next().await? {
            // A marker without a batch means nothing. The range may also contain markers of an
            // aggregation with a longer name.
            if let Some(marker) = TaskMarker::parse(&key)
                && let TaskName::Intake(name) = &marker.task
                && name.aggregation == *self.aggregation
                && let Some(batch) = self.found.batches.get_mut(&(name.date, name.id))
            {
                batch.started = Some(later_start(batch.started, &marker, name.date));
            }
        }
        Ok(())
    }

    pub(super) async fn window_markers(&mut self, kind: WindowKind) -> Result<(), BucketError> {
        let (from, until) = self.window_times();
        let range = TaskMarker::windows(kind, self.aggregation, from, until);
        let mut keys = list_keys(&*self.buckets.own, TaskMarker::DIRECTORY, range).await?;
        while let Some(key) = keys.try_next().await? {
            if let Some(marker) = TaskMarker::parse(&key)
                && let TaskName::Window(found_kind, name) = &marker.task
                && *found_kind == kind
                && name.aggregation == *self.aggregation
            {
                let started = &mut self.window(name.window).started;
                let previous = started.get(&kind).copied();
                started.insert(kind, later_start(previous, &marker, name.window.end()));
            }
        }
        Ok(())
    }

    /// Reads the times of first markers where they matter: tasks without an outcome that may be due
    /// again.
    pub(super) async fn read_marker_times(&mut self) -> Result<(), BucketError> {
        for task in self.restartable_tasks() {
            let at = self.marker_time(&task).await?;
            let started = match &task {
                TaskName::Intake(name) => {
                    let batch = self.found.batches.get_mut(&(name.date, name.id));
                    batch.and_then(|batch| batch.started.as_mut())
                }
                TaskName::Window(kind, name) => {
                    let window = self.found.windows.get_mut(&name.window);
                    window.and_then(|window| window.started.get_mut(kind))
                }
            };
            if let Some(started) = started {
                started.at = at;
            }
        }
        Ok(())
    }

    /// Returns the tasks without an outcome that would be due again if they had been started at the
    /// earliest possible time.
    fn restartable_tasks(&self) -> Vec<TaskName> {
        let may_be_due = |started: &Started| match started.at {
            StartedAt::Since(at) => self.policy.restarts(at) <= self.now,
            StartedAt::Time(_) | StartedAt::Predecessor => false,
        };
        let mut tasks = Vec::new();
        for ((date, id), batch) in &self.found.batches {
            if batch.ready() && !batch.prepared && batch.started.as_ref().is_some_and(may_be_due) {
                tasks.push(TaskName::Intake(batch_name(self.aggregation, *date, *id)));
            }
        }
        for (window, state) in &self.found.windows {
            for (kind, started) in &state.started {
                if !state.done && may_be_due(started) {
                    let name = window_name(self.aggregation, *window);
                    tasks.push(TaskName::Window(*kind, name));
                }
            }
        }
        tasks
    }

    /// Returns when a task was first started, from the text of its first marker.
    async fn marker_time(&self, task: &TaskName) -> Result<StartedAt, BucketError> {
        let marker = TaskMarker {
            task: task.clone(),
            attempt: 1,
            at: None,
        };
        let name = marker.name();
        if let Some(at) = self.cache.markers().get(&name) {
            return Ok(*at);
        }
        let text = match self.buckets.read_record(&name, MARKER_LIMIT).await {
            Ok(text) => String::from_utf8_lossy(&text.unwrap_or_default()).into_owned(),
            // Markers of ENPA's workflow manager are not authenticated records. A record of ours
            // that does not verify is an error.
            Err(
                BucketError::TooLarge { .. }
                | BucketError::Unverified {
                    source: RecordFault::NoTrailer,
                    ..
                },
            ) => String::new(),
            Err(error) => return Err(error),
        };
        let at = TaskMarker::time_of(&text).map_or(StartedAt::Predecessor, StartedAt::Time);
        self.cache.markers().insert(name, at);
        Ok(at)
    }
}

/// Returns the later of a task's previous marker and another marker. A first marker was not written
/// before `earliest`.
fn later_start(previous: Option<Started>, marker: &TaskMarker, earliest: BatchTime) -> Started {
    let found = Started {
        attempt: marker.attempt,
        at: marker
            .at
            .map_or(StartedAt::Since(earliest), StartedAt::Time),
    };
    let rank = |started: &Started| match started.at {
        StartedAt::Time(at) => (started.attempt, Some(at)),
        StartedAt::Since(_) | StartedAt::Predecessor => (started.attempt, None),
    };
    match previous {
        Some(previous) if rank(&previous) >= rank(&found) => previous,
        _ => found,
    }
}
