//! `facilitator worker`

use super::Arguments;
use crate::client_keys;
use crate::error::Error;
use crate::worker::{Kind, Source, Worker, run, watch, watch_buckets};
use clap::{Args, ValueEnum};
use serde::Serialize;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tallybox_service::operations::{Operable, Operations, router};
use tallybox_service::output::Summary;
use tallybox_service::shutdown::{self, Reload};
use tokio::time::timeout;

const AFTER_HELP: &str = "\
Examples:
  facilitator --config first.yaml worker all
  facilitator --config first.yaml worker intake
  curl http://127.0.0.1:8082/readyz

Tasks come from the queues of the configuration (queues.intake,
queues.aggregate), where a workflow manager puts them. What becomes of one:
  acknowledged   done, now or before; also a window with too few packets
  given back     not there yet, or something is out of reach: it comes back,
                 later each time (worker.retry-delay)
  rejected       it never can be done, or no task can be read in it: it goes to
                 the queue's rejected messages, with the reason

Pages for operators (worker.operations, or --operations):
  GET /healthz   the worker gets on; 503 names what is stuck
  GET /readyz    it takes tasks, or why not: a queue fails, or a bucket has not
                 answered for a minute
  GET /metrics   counters and histograms, for Prometheus

Signals:
  TERM, INT   take no more tasks, give those in hand a moment to end, give the
              others back, and end with exit code 0, within five seconds
  HUP         read configuration and keys again (also done when a file changes);
              what cannot be read leaves the old ones in force

Start as many as you like on the same queues and buckets: two that do the same
task write the same bytes. docs/operating.md says more.";

/// Take tasks from queues, several at once, until told to stop
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct WorkerCommand {
    /// Which queue's tasks
    #[arg(value_enum)]
    tasks: Tasks,
    /// Where the pages for operators are served, in place of worker.operations; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT")]
    operations: Option<SocketAddr>,
}

/// Which queues a worker serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Tasks {
    /// Take batches in
    Intake,
    /// Rosters and sums of windows
    Aggregate,
    /// Both
    All,
}

impl Tasks {
    fn kinds(self) -> &'static [Kind] {
        match self {
            Self::Intake => &[Kind::Intake],
            Self::Aggregate => &[Kind::Aggregate],
            Self::All => &Kind::ALL,
        }
    }
}

impl WorkerCommand {
    pub(super) async fn run(&self, arguments: &Arguments) -> Result<(), Error> {
        let source = Source::new(arguments.config_file()?);
        let config = source.load()?;
        let (settings, kinds) = (config.value.worker.clone(), self.tasks.kinds());
        let missing = || Error::Setting("queues are missing in the configuration: a worker needs them".to_owned());
        let queues = config.value.queues.as_ref().ok_or_else(missing)?;
        let open = |kind: &Kind| Ok((*kind, queues.open(*kind, &config.directory)?));
        let queues = kinds.iter().map(open).collect::<Result<Vec<_>, Error>>()?;
        let address = self.operations.unwrap_or(settings.operations);
        let page = Operations::bind(address).await;
        let page = page.map_err(|error| Error::Setting(format!("pages for operators: {address}: {error}")))?;
        let bound = page.address();
        let bound = bound.map_err(|error| Error::Internal(format!("a socket has no address: {error}")))?;
        let started = Started {
            tasks: kinds.iter().map(|kind| kind.name()).collect(),
            version: env!("CARGO_PKG_VERSION"),
            operations: format!("http://{bound}"),
            queues: queues.iter().map(|(_, queue)| queue.location()).collect(),
            concurrency: settings.concurrency,
        };
        let reload_every = Duration::from_secs(settings.reload_secs);
        let worker = Worker::new(source.open()?, queues, settings);

        let stop = shutdown::on_signal();
        let reloading = watch(Arc::clone(&worker), source.clone(), Reload::on_hangup(), reload_every);
        let reloading = tokio::spawn(reloading);
        let comparing = tokio::spawn(client_keys::watch(Arc::clone(&worker), source));
        let reaching = tokio::spawn(watch_buckets(Arc::clone(&worker)));
        let serving = page.run(router(Arc::clone(&worker) as Arc<dyn Operable>), stop.child_token());
        let serving = tokio::spawn(serving);
        arguments.print(&started)?;
        tracing::info!(
            version = started.version,
            operations = started.operations,
            queues = ?started.queues,
            concurrency = started.concurrency,
            "worker starts"
        );
        run(worker, kinds, stop).await;
        reloading.abort();
        comparing.abort();
        reaching.abort();
        let _ = timeout(Duration::from_millis(200), serving).await;
        tracing::info!("worker has ended");
        Ok(())
    }
}

/// What is said when the worker is up.
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
        writeln!(f, "facilitator {} works on {}", self.version, self.tasks.join(" and "))?;
        self.queues
            .iter()
            .try_for_each(|queue| writeln!(f, "  {:<12} {queue}", "queue"))?;
        writeln!(f, "  {:<12} {}", "operations", self.operations)?;
        writeln!(f, "  {:<12} {} tasks of a queue", "at once", self.concurrency)?;
        write!(f, "  {:<12} Ctrl-C, or SIGTERM", "end")
    }
}
