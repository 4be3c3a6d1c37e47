//! What every role does when a window of a minute has ended.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use tallybox_facilitator::aggregate::{AggregateTask, aggregate};
use tallybox_facilitator::intake::{intake, no_progress};
use tallybox_facilitator::processor::Processor;
use tallybox_ingestor::batch::{BatchOptions, batch};
use tallybox_ingestor::ingestor::Ingestor;
use tallybox_model::id::AggregationId;
use tallybox_model::path::BatchName;
use tallybox_model::role::Role;
use tallybox_model::time::Window;
use tallybox_service::output::{Output, Summary};

use super::fate::Lookup;
use crate::error::Error;
use crate::layout::LOCALITY;
use crate::portal;
use crate::world::World;

/// All roles but the clients.
pub(super) struct Cycle {
    world: Arc<World>,
    ingestor: Arc<Ingestor>,
    processors: [Arc<Processor>; 2],
    /// Batches that a processor still has to take in.
    waiting: Vec<(BatchName, Window)>,
    /// What is summed when nothing waits.
    due: BTreeSet<(Window, AggregationId)>,
    output: Output,
}

/// What came out of a window.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct WindowLine {
    window: Window,
    metric: AggregationId,
    accepted: u64,
    rejected: usize,
    sums: Vec<u64>,
}

impl Cycle {
    pub(super) fn new(world: &Arc<World>, ingestor: &Arc<Ingestor>, output: Output) -> Result<Self, Error> {
        Ok(Self {
            world: Arc::clone(world),
            ingestor: Arc::clone(ingestor),
            processors: [world.processor(Role::First)?, world.processor(Role::Second)?],
            waiting: Vec::new(),
            due: BTreeSet::new(),
            output,
        })
    }

    /// What looks up fates beside it.
    pub(super) fn lookup(&self) -> Lookup {
        Lookup {
            world: Arc::clone(&self.world),
            ingestor: Arc::clone(&self.ingestor),
            processors: self.processors.clone(),
        }
    }

    pub(super) async fn turn(&mut self) -> Result<(), Error> {
        self.batch().await?;
        while let Some((name, _)) = self.waiting.first() {
            for processor in &self.processors {
                let done = intake(processor, name, no_progress()).await;
                done.map_err(|error| refused(processor, error))?;
            }
            self.waiting.remove(0);
        }
        while let Some((window, aggregation)) = self.due.first().cloned() {
            self.sum(window, &aggregation).await?;
            self.due.remove(&(window, aggregation));
        }
        Ok(())
    }

    async fn batch(&mut self) -> Result<(), Error> {
        let locality = &self.ingestor.localities[LOCALITY];
        let summary = batch(&self.ingestor, locality, &BatchOptions::default()).await;
        for ended in summary.map_err(Error::ingestor)?.windows {
            for batch in ended.batches {
                let name = BatchName {
                    aggregation: batch.aggregation,
                    date: ended.window.start(),
                    id: batch.id,
                };
                self.due.insert((ended.window, name.aggregation.clone()));
                self.waiting.push((name, ended.window));
            }
        }
        Ok(())
    }

    async fn sum(&self, window: Window, aggregation: &AggregationId) -> Result<(), Error> {
        let task = AggregateTask {
            aggregation: aggregation.clone(),
            window,
            batches: Vec::new(),
            dry_run: false,
        };
        for processor in &self.processors {
            match aggregate(processor, &task, no_progress()).await {
                Ok(_) => {}
                // Nobody's report was good: there is nothing to add, and nothing to wait for.
                Err(error) if error.exit() == tallybox_service::exit::Exit::BelowMinimum => return Ok(()),
                Err(error) => return Err(refused(processor, error)),
            }
        }
        let total = portal::total(&self.world, aggregation, window).await?;
        let line = WindowLine {
            window,
            metric: aggregation.clone(),
            accepted: total.accepted,
            rejected: total.invalid.len(),
            sums: total.sums,
        };
        self.output.summary(&line).map_err(|source| Error::File {
            path: "stdout".into(),
            source,
        })
    }
}

impl Summary for WindowLine {
    fn human(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            window,
            metric,
            accepted,
            rejected,
            sums,
        } = self;
        let start = window.start();
        write!(
            f,
            "{start}  {metric}: {accepted} counted, {rejected} not; sums {sums:?}"
        )
    }
}

fn refused(processor: &Processor, error: tallybox_facilitator::error::Error) -> Error {
    Error::Processor {
        role: processor.role,
        source: Box::new(error),
    }
}
