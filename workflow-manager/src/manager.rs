//! The manager: scans the buckets, reports its findings, and starts the work that is due.

use std::sync::Arc;

use tallybox_model::id::{AggregationId, Instance};
use tallybox_model::roster::WindowName;
use tallybox_model::time::BatchTime;
use tallybox_service::clock::Clock;
use tallybox_transport::Created;

use crate::due::{Assessment, assess};
use crate::error::Error;
use crate::findings::log_findings;
use crate::inventory::{Inventory, ManagerBuckets, ScanCache, scan};
use crate::metrics::Metrics;
use crate::policy::{Policy, Scope};
use crate::start::Starter;
use crate::summary::RunSummary;
use crate::switch::{Announcements, SwitchState};

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
}
