//! `tallybox-sandbox role`: one program as a process, with the sandbox clock and fault injection.
//! The sandbox runs this command for its child processes, so that each can be killed.

use std::io::Read as _;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use tallybox_facilitator::worker::run;
use tallybox_ingestor::batch::cycle;
use tallybox_ingestor::http::Server;
use tallybox_ingestor::metrics::Metrics;
use tallybox_model::task::QueueKind;
use tallybox_service::clock::{Clock, Pace};
use tallybox_service::shutdown;
use tokio_util::sync::CancellationToken;

use super::{RoleProcess, Setting};
use crate::error::Error;
use crate::fault_injection::{FaultInjector, FaultProfile};
use crate::layout::Layout;

/// Log filter if the environment does not set one.
const DEFAULT_LOG_FILTER: &str = "warn";

/// Options of one program of a sandbox.
#[derive(Debug, Args)]
pub struct RoleArgs {
    /// Program to run
    process: RoleProcess,
    /// Directory of the sandbox
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Clock of the sandbox
    #[arg(long, value_name = "ORIGIN:REAL:RATE")]
    clock: Pace,
    /// Inject delays, failures and duplicate messages, with this seed
    #[arg(long = "rough", value_name = "SEED")]
    fault_seed: Option<u64>,
    #[command(flatten)]
    log: tallybox_service::log::LogOptions,
}

impl RoleArgs {
    /// Runs until a signal, or until the end of standard input, so that the process does not
    /// outlive the sandbox.
    ///
    /// # Errors
    /// [`Error`] if the program cannot be started.
    pub(crate) async fn run(&self) -> Result<(), Error> {
        self.log
            .init(DEFAULT_LOG_FILTER)
            .map_err(|error| Error::Internal(format!("logging cannot be set up: {error}")))?;
        let setting = Setting {
            clock: Clock::scaled(self.clock),
            rate: self.clock.rate,
            faults: self
                .fault_seed
                .map(|seed| Arc::new(FaultInjector::new(FaultProfile::CHAOS, seed))),
        };
        let stop = shutdown::on_signal();
        stop_at_end_of_input(stop.clone());
        let config = self.process.config(&Layout::at(&self.dir));
        match self.process {
            RoleProcess::Ingestor => {
                let ingestor = Arc::new(setting.ingestor(&config)?);
                let server = Server::bind(ingestor).await.map_err(Error::ingestor)?;
                server.run(stop).await;
            }
            RoleProcess::Batcher => {
                cycle(&setting.ingestor(&config)?, &Metrics::new(), &stop).await
            }
            RoleProcess::Worker(_) => run(setting.worker(&config)?, &QueueKind::ALL, stop).await,
            RoleProcess::Manager(_) => setting.scheduler(&config).await?.run(&stop).await,
        }
        Ok(())
    }
}

fn stop_at_end_of_input(stop: CancellationToken) {
    // A thread outside the runtime: a blocking read cannot be cancelled, and would delay the
    // runtime's shutdown.
    std::thread::spawn(move || {
        let mut rest = Vec::new();
        let _ = std::io::stdin().lock().read_to_end(&mut rest);
        stop.cancel();
    });
}
