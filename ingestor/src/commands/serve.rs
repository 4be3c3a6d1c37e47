//! `ingestor serve`: receives reports.

use std::fmt;
use std::sync::Arc;

use clap::Args;
use serde::Serialize;
use tallybox_service::exit::Exit;
use tallybox_service::output::Summary;
use tallybox_service::shell::GlobalOptions;
use tallybox_service::shutdown;

use super::options::ingestor;
use crate::batch::{check_bins, cycle};
use crate::error::Error;
use crate::http::Server;

const AFTER_HELP: &str = "\
Paths for clients (serve.listen):
  POST /v1/{locality}/reports   one report or many, JSON or Avro, gzip or zstd
  GET  /v1/{locality}/config    metrics, keys and limits, signed
  GET  /manifest                public keys that verify batches
  GET  /openapi.json            description of these paths, for machines
  GET  /problems                explanation of each problem type, for people

Paths for operators (serve.operations):
  GET  /healthz                 the process is running
  GET  /readyz                  whether load balancers should send requests here,
                                and if not, the reason: for instance, the spool
                                has not answered for a minute
  GET  /metrics                 metrics, for Prometheus

Signals:
  TERM, INT   accept no more requests, answer those in flight, write the slabs,
              and exit with code 0, within serve.drain-secs
  HUP         reload the metric registry (also done when its file changes)

The answer \"accepted\" means that the report is durable in the spool. Replicas
are independent: start any number of them on one spool, with synchronised
clocks. `ingestor batch` turns the contents of the spool into batches.

Examples:
  ingestor --config ingestor.yaml serve
  curl http://127.0.0.1:8080/openapi.json
  curl http://127.0.0.1:8081/readyz";

/// Receive reports from clients, and store them in the spool until they are batched
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct ServeCommand {
    /// Also batch every window that is due, as `ingestor batch` does; for a single machine without
    /// cron
    #[arg(long)]
    batch: bool,
}

impl ServeCommand {
    pub(super) async fn run(&self, options: &GlobalOptions) -> Result<Exit, Error> {
        let ingestor = Arc::new(ingestor(options)?);
        // The batcher would drop reports under keys of another number of bins, so the server does
        // not accept them in the first place.
        check_bins(&ingestor).await?;
        let server = Server::bind(Arc::clone(&ingestor)).await?;
        let started = Started::from_server(&server)?;
        options.print(&started)?;
        tracing::info!(
            version = started.version,
            listen = started.listen,
            operations = started.operations,
            registry_version = started.registry_version,
            "ingestor is serving requests"
        );
        let shutdown = shutdown::on_signal();
        let metrics = Arc::clone(&server.app().metrics);
        let batching = async {
            if self.batch {
                cycle(&ingestor, &metrics, &shutdown).await;
            }
        };
        tokio::join!(server.run(shutdown.clone()), batching);
        tracing::info!("ingestor has stopped; every acknowledged report is durable");
        Ok(Exit::Done)
    }
}

/// Summary printed when the server has started.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Started {
    ingestor: String,
    version: &'static str,
    listen: String,
    operations: String,
    spool: String,
    registry_version: u64,
    metrics: usize,
    localities: Vec<String>,
}

impl Started {
    fn from_server(server: &Server) -> Result<Self, Error> {
        let ingestor = &server.app().ingestor;
        let scheme = if ingestor.serve.tls.is_some() {
            "https"
        } else {
            "http"
        };
        let registry = ingestor.registry.current();
        Ok(Self {
            ingestor: ingestor.name.clone(),
            version: env!("CARGO_PKG_VERSION"),
            listen: format!("{scheme}://{}", server.address()?),
            operations: format!("http://{}", server.operations_address()?),
            spool: ingestor.spool.location(),
            registry_version: registry.version,
            metrics: registry.metrics.len(),
            localities: ingestor.localities.keys().cloned().collect(),
        })
    }
}

impl Summary for Started {
    fn human(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "ingestor {} {} serves {}",
            self.ingestor, self.version, self.listen
        )?;
        writeln!(f, "  {:<12} {}", "operations", self.operations)?;
        writeln!(f, "  {:<12} {}", "spool", self.spool)?;
        let (version, metrics) = (self.registry_version, self.metrics);
        writeln!(
            f,
            "  {:<12} version {version}, {metrics} metrics",
            "registry"
        )?;
        writeln!(f, "  {:<12} {}", "localities", self.localities.join(", "))?;
        write!(f, "  {:<12} Ctrl-C or SIGTERM", "stop")
    }
}
