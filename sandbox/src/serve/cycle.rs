//! What every role does when a window of a minute has ended.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use tallybox_client::RandomisedResponse;
use tallybox_facilitator::aggregate::{AggregateTask, aggregate};
use tallybox_facilitator::error::Error as FacilitatorError;
use tallybox_facilitator::intake::{intake, no_progress};
use tallybox_facilitator::processor::Processor;
use tallybox_ingestor::batch::{BatchOptions, batch};
use tallybox_model::id::AggregationId;
use tallybox_model::path::BatchName;
use tallybox_model::time::{Window, aligned_window};
use tallybox_service::exit::Exit;
use tallybox_service::output::{Output, Summary};

use super::lookup::Lookup;
use super::window::{BatchedWindow, SummedWindow};
use crate::error::Error;
use crate::layout::LOCALITY;
use crate::portal;

/// All roles but the clients. What fails is tried again at the next turn and holds up nothing else.
pub(super) struct Cycle {
    pub(super) lookup: Lookup,
    /// Whether there may be batches that are not known yet.
    behind: bool,
    known: HashSet<BatchName>,
    /// Batches that a processor still has to take in.
    waiting: Vec<BatchName>,
    /// What is summed once all batches of it are taken in.
    due: BTreeSet<(Window, AggregationId)>,
    output: Output,
}

impl Cycle {
    pub(super) fn new(lookup: Lookup, output: Output) -> Self {
        Self {
            lookup,
            behind: false,
            known: HashSet::new(),
            waiting: Vec::new(),
            due: BTreeSet::new(),
            output,
        }
    }

    /// One turn; what failed in it.
    pub(super) async fn turn(&mut self) -> Vec<Error> {
        let mut failures = Vec::new();
        failures.extend(self.batch().await.err());
        self.take_in(&mut failures).await;
        self.sum(&mut failures).await;
        failures
    }

    /// Both processors take in what waits.
    pub(super) async fn take_in(&mut self, failures: &mut Vec<Error>) {
        let mut left = Vec::new();
        for name in std::mem::take(&mut self.waiting) {
            if let Err(error) = self.take_in_one(&name).await {
                failures.push(error);
                left.push(name);
            }
        }
        self.waiting = left;
    }

    /// Both processors and the portal sum what is due.
    async fn sum(&mut self, failures: &mut Vec<Error>) {
        for (window, aggregation) in self.due.clone() {
            let waits = |name: &BatchName| name.aggregation == aggregation && window.contains(name.date);
            if self.waiting.iter().any(waits) {
                continue;
            }
            match self.sum_one(window, &aggregation).await {
                Ok(()) => drop(self.due.remove(&(window, aggregation))),
                Err(error) => failures.push(error),
            }
        }
    }

    /// The ingestor batches; then every batch in the mailboxes belongs to a window that is whole.
    pub(super) async fn batch(&mut self) -> Result<(), Error> {
        let ingestor = Arc::clone(&self.lookup.ingestor);
        let summary = batch(&ingestor, &ingestor.localities[LOCALITY], &BatchOptions::default()).await;
        // What was batched before a failure is not in an answer, so it is looked for.
        self.behind |= summary.is_err();
        let summary = summary.map_err(Error::ingestor)?;
        for ended in summary.windows {
            self.behind |= !ended.batches.is_empty();
            if ended.reports > 0 {
                self.say(&BatchedWindow(ended))?;
            }
        }
        if self.behind {
            self.look().await?;
            self.behind = false;
        }
        Ok(())
    }

    async fn look(&mut self) -> Result<(), Error> {
        let registry = self.lookup.ingestor.registry.current();
        let minutes = self.lookup.ingestor.batches.window_minutes;
        for metric in registry.metrics.keys() {
            for name in self.lookup.batch_names(metric).await? {
                if !self.known.insert(name.clone()) {
                    continue;
                }
                let window = aligned_window(name.date, minutes);
                self.due.extend(window.map(|window| (window, name.aggregation.clone())));
                self.waiting.push(name);
            }
        }
        Ok(())
    }

    async fn take_in_one(&self, name: &BatchName) -> Result<(), Error> {
        for processor in &self.lookup.processors {
            let done = intake(processor, name, no_progress()).await;
            done.map_err(|error| refused(processor, error))?;
        }
        Ok(())
    }

    async fn sum_one(&self, window: Window, aggregation: &AggregationId) -> Result<(), Error> {
        let task = AggregateTask {
            aggregation: aggregation.clone(),
            window,
            batches: Vec::new(),
            dry_run: false,
        };
        for processor in &self.lookup.processors {
            match aggregate(processor, &task, no_progress()).await {
                Ok(_) => {}
                // Nobody's report was good: there is nothing to add, and nothing to wait for.
                Err(error) if error.exit() == Exit::BelowMinimum => return self.no_sum(window, aggregation).await,
                Err(error) => return Err(refused(processor, error)),
            }
        }
        let total = portal::total(&self.lookup.world, aggregation, window).await?;
        let registry = self.lookup.ingestor.registry.current();
        let metric = registry.metrics.get(aggregation);
        let noise = metric.and_then(|metric| RandomisedResponse::new(metric.epsilon).ok());
        self.say(&SummedWindow::of(aggregation, window, total, noise))
    }

    async fn no_sum(&self, window: Window, aggregation: &AggregationId) -> Result<(), Error> {
        let batches = self.lookup.batches(aggregation, window).await?;
        let rejected = batches.iter().map(|batch| batch.len()).sum();
        self.lookup.sumless.add(aggregation, window);
        self.say(&SummedWindow::without_sum(aggregation, window, rejected))
    }

    fn say(&self, summary: &impl Summary) -> Result<(), Error> {
        self.output.summary(summary).map_err(Error::file("stdout"))
    }
}

fn refused(processor: &Processor, error: FacilitatorError) -> Error {
    Error::Processor {
        role: processor.role,
        source: Box::new(error),
    }
}
