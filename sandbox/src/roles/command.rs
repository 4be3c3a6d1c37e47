//! `tallybox-sandbox role`: one program as a process of its own, on the clock and in the weather of a sandbox. The
//! sandbox starts itself so, that what it kills is a process.

use std::io::Read as _;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use tallybox_facilitator::worker::{Kind, run};
use tallybox_ingestor::batch::cycle;
use tallybox_ingestor::http::Server;
use tallybox_ingestor::metrics::Metrics;
use tallybox_service::clock::{Clock, Pace};
use tallybox_service::shutdown;
use tokio_util::sync::CancellationToken;

use super::Setting;
use super::part::Program;
use crate::error::Error;
use crate::rough::{Chances, Weather};

/// What is logged, if the environment does not say.
const LOG: &str = "warn";

/// One program of a sandbox.
#[derive(Debug, Args)]
pub struct RoleArgs {
    /// Which
    #[arg(value_enum)]
    program: Program,
    /// Its configuration file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// How its clock runs
    #[arg(long, value_name = "ORIGIN:REAL:RATE")]
    clock: Pace,
    /// Delays, failures, and messages that come twice, by these dice
    #[arg(long, value_name = "SEED")]
    rough: Option<u64>,
    #[command(flatten)]
    log: tallybox_service::log::LogOptions,
}

impl RoleArgs {
    /// Runs until it is told to stop, by a signal or by the end of its standard input: it does not outlive the sandbox.
    ///
    /// # Errors
    /// What keeps it from starting.
    pub(crate) async fn run(&self) -> Result<(), Error> {
        self.log
            .init(LOG)
            .map_err(|error| Error::Internal(format!("logs: {error}")))?;
        let setting = Setting {
            clock: Clock::scaled(self.clock),
            rate: self.clock.rate,
            weather: self.rough.map(|seed| Arc::new(Weather::new(Chances::CHAOS, seed))),
        };
        let stop = shutdown::on_signal();
        stop_at_end_of_input(stop.clone());
        match self.program {
            Program::IngestorServe => {
                let ingestor = Arc::new(setting.ingestor(&self.config)?);
                let server = Server::bind(ingestor).await.map_err(Error::ingestor)?;
                server.run(stop).await;
            }
            Program::IngestorBatch => cycle(&setting.ingestor(&self.config)?, &Metrics::new(), &stop).await,
            Program::Worker => run(setting.worker(&self.config)?, &Kind::ALL, stop).await,
            Program::WorkflowManager => setting.scheduler(&self.config).await?.run(&stop).await,
        }
        Ok(())
    }
}

fn stop_at_end_of_input(stop: CancellationToken) {
    // A thread of its own: reading cannot be broken off, and must not hold up the end of the runtime.
    std::thread::spawn(move || {
        let mut rest = Vec::new();
        let _ = std::io::stdin().lock().read_to_end(&mut rest);
        stop.cancel();
    });
}
