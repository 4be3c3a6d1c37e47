//! `facilitator worker`

use crate::client_keys;
use crate::error::Error;
use crate::worker::{Source, Worker, run, watch, watch_buckets};
use clap::{Args, ValueEnum};
use serde::Serialize;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tallybox_model::task::QueueKind;
use tallybox_service::operations::{Operable, Operations, router};
use tallybox_service::output::Summary;
use tallybox_service::shell::GlobalOptions;
use tallybox_service::shutdown::{self, Reload};
use tokio::time::timeout;

const AFTER_HELP: &str = "\
Examples:
  facilitator --config first.yaml worker all
  facilitator --config first.yaml worker intake
  curl http://127.0.0.1:8082/readyz

Tasks come from the queues of the configuration (queues.intake,
queues.aggregate), to which a workflow manager publishes them. Each message is:
  acknowledged   done, in this run or in an earlier one; also if the window has
                 too few packets
  given back     for a later retry: an object is missing or a service does not
                 answer; the delay grows with each attempt (worker.retry-delay)
  rejected       no retry can succeed, or the message is not a task: it moves to
                 the queue's rejected messages, with the reason

Paths for operators (worker.operations, or --operations):
  GET /healthz   200 while all tasks make progress; 503 lists the stuck ones
  GET /readyz    200 if the worker takes tasks; 503 gives the reason: a queue
                 fails, or a bucket has not answered for a minute
  GET /metrics   metrics, for Prometheus

Signals:
  TERM, INT   take no more tasks, let running tasks finish for a moment, give
              the others back, and exit with code 0 within five seconds
  HUP         reload configuration and keys (also done when a file changes);
              if they cannot be read, the old ones stay in force

Any number of workers may share the same queues and buckets: two workers that do
the same task write the same bytes. See docs/operating.md.";

/// Take tasks from queues, several at once, until a signal stops the worker
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct WorkerCommand {
    /// The queues to serve
    #[arg(value_enum)]
    tasks: Tasks,
    /// The address that serves the pages for operators, instead of worker.operations; port 0 picks
    /// a free port
    #[arg(long, value_name = "ADDRESS:PORT")]
    operations: Option<SocketAddr>,
}

/// The queues that a worker serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Tasks {
    /// Intake of batches
    Intake,
    /// Rosters and sums of windows
    Aggregate,
    /// Both queues
    All,
}

impl Tasks {
    fn kinds(self) -> &'static [QueueKind] {
        match self {
            Self::Intake => &[QueueKind::Intake],
            Self::Aggregate => &[QueueKind::Aggregate],
            Self::All => &QueueKind::ALL,
        }
    }
}

impl WorkerCommand {
    pub(super) async fn run(&self, options: &GlobalOptions) -> Result<(), Error> {
        let source = Source::new(options.config_file()?);
        let config = source.load()?;
        let (settings, kinds) = (config.value.worker.clone(), self.tasks.kinds());
        let missing = || {
            Error::Setting(
                "the configuration has no section `queues`; a worker needs it".to_owned(),
            )
        };
        let queues = config.value.queues.as_ref().ok_or_else(missing)?;
        let open = |kind: &QueueKind| Ok((*kind, queues.open(*kind, &config.directory)?));
        let queues = kinds.iter().map(open).collect::<Result<Vec<_>, Error>>()?;
        let address = self.operations.unwrap_or(settings.operations);
        let page = Operations::bind(address).await;
        let page = page.map_err(|error| {
            Error::Setting(format!(
                "cannot serve the pages for operators at {address}: {error}; change worker.operations"
            ))
        })?;
        let bound = page.address();
        let bound = bound.map_err(|error| {
            Error::Internal(format!(
                "the listening socket has no local address: {error}"
            ))
        })?;
        let started = Started {
            tasks: kinds.iter().map(|kind| kind.as_str()).collect(),
            version: env!("CARGO_PKG_VERSION"),
            operations: format!("http://{bound}"),
            queues: queues.iter().map(|(_, queue)| queue.location()).collect(),
            concurrency: settings.concurrency,
        };
        let reload_every = Duration::from_secs(settings.reload_secs);
        let worker = Worker::new(source.open()?, queues, settings);

        let stop = shutdown::on_signal();
        let reloading = watch(
            Arc::clone(&worker),
            source.clone(),
            Reload::on_hangup(),
            reload_every,
        );
        let reloading = tokio::spawn(reloading);
        let comparing = tokio::spawn(client_keys::watch(Arc::clone(&worker), source));
        let reaching = tokio::spawn(watch_buckets(Arc::clone(&worker)));
        let serving = page.run(
            router(Arc::clone(&worker) as Arc<dyn Operable>),
            stop.child_token(),
        );
        let serving = tokio::spawn(serving);
        options.print(&started)?;
        tracing::info!(
            version = started.version,
            operations = started.operations,
            queues = ?started.queues,
            concurrency = started.concurrency,
            "worker started"
        );
        run(worker, kinds, stop).await;
        reloading.abort();
        comparing.abort();
        reaching.abort();
        // Pages in progress get a moment, which still fits into the five seconds of a shutdown.
        let _ = timeout(Duration::from_millis(200), serving).await;
        tracing::info!("worker stopped");
        Ok(())
    }
}

/// The summary that the worker prints when it has started.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Started {
    tasks: Vec<&'static str>,
    version: &'static str,
    operations: String,
    queues: Vec<String>,
    concurrency: usize,
}

impl Summary for Started {
    fn human(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "facilitator {} serves {}",
            self.version,
            self.tasks.join(" and ")
        )?;
        self.queues
            .iter()
            .try_for_each(|queue| writeln!(f, "  {:<12} {queue}", "queue"))?;
        writeln!(f, "  {:<12} {}", "operations", self.operations)?;
        writeln!(
            f,
            "  {:<12} up to {} tasks of each queue",
            "at once", self.concurrency
        )?;
        write!(f, "  {:<12} Ctrl-C or SIGTERM", "stop")
    }
}
