//! The command `workflow-manager serve`.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tallybox_service::exit::Exit;
use tallybox_service::operations::{Operations, router};
use tallybox_service::output::Summary;
use tallybox_service::shell::GlobalOptions;
use tallybox_service::shutdown::on_signal;

use super::options::load_config;
use crate::config::{LeaderConfig, LeaseConfig, ManagerServeConfig};
use crate::error::Error;
use crate::leader::{Alone, BucketLock, Election};
use crate::manager::Manager;
use crate::serve::{RunHeartbeat, Scheduler};

pub(super) const AFTER_HELP: &str = "\
Paths for operators (serve.operations):
  GET  /healthz   200 while the process makes progress; 503 if a run hangs
  GET  /readyz    readiness; warnings list the failures of the last run; not
                  ready if a bucket or queue is out of reach for a minute
  GET  /metrics   metrics, for Prometheus

Start any number of processes: one leads (serve.leader), the others wait.
Ctrl-C and SIGTERM stop the process immediately; the next run continues from the
state of the buckets.

Examples:
  workflow-manager --config workflow-manager.yaml serve
  curl http://127.0.0.1:8083/readyz";

pub(super) async fn run(options: &GlobalOptions) -> Result<Exit, Error> {
    let config = load_config(options)?;
    let manager = Manager::open(&config).await?;
    let settings = &config.value.serve;
    let shutdown = on_signal();
    let listen = |source| Error::Listen {
        address: settings.operations.to_string(),
        source,
    };
    let page = Operations::bind(settings.operations)
        .await
        .map_err(listen)?;
    let operations = page.address().map_err(listen)?;
    let election = election(settings, &manager).await?;
    let started = Started {
        instance: manager.instance.to_string(),
        version: env!("CARGO_PKG_VERSION"),
        operations: format!("http://{operations}"),
        leader: election.location(),
        poll_secs: settings.poll_secs,
    };
    options.print(&started)?;
    let scheduler = Arc::new(Scheduler {
        manager,
        election,
        poll: Duration::from_secs(settings.poll_secs),
        lease: Duration::from_secs(u64::from(settings.lease_secs)),
        stuck: Duration::from_secs(settings.stuck_secs),
        heartbeat: RunHeartbeat::default(),
    });
    tracing::info!(
        version = started.version,
        instance = started.instance,
        "workflow manager started"
    );
    tokio::join!(
        page.run(router(scheduler.clone()), shutdown.clone()),
        scheduler.run(&shutdown),
        shutdown.run_until_cancelled(scheduler.watch_own_bucket())
    );
    tracing::info!("workflow manager stopped");
    Ok(Exit::Done)
}

async fn election(
    settings: &ManagerServeConfig,
    manager: &Manager,
) -> Result<Arc<dyn Election>, Error> {
    match &settings.leader {
        LeaderConfig::Alone => Ok(Arc::new(Alone)),
        LeaderConfig::Bucket => Ok(Arc::new(BucketLock {
            own: manager.buckets.own.clone(),
            records: manager.buckets.records.clone(),
            holder: holder(manager),
            lease_millis: i64::from(settings.lease_secs) * 1000,
            clock: manager.clock.clone(),
        })),
        LeaderConfig::Lease(lease) => by_lease(lease, settings, manager).await,
    }
}

/// Returns an identity that is unique to this process: host, process id and start time.
fn holder(manager: &Manager) -> String {
    let host = std::env::var("HOSTNAME").unwrap_or_else(|_| "host".to_owned());
    format!("{host}-{}-{}", std::process::id(), manager.clock.millis())
}

#[cfg(feature = "kubernetes")]
async fn by_lease(
    lease: &LeaseConfig,
    settings: &ManagerServeConfig,
    manager: &Manager,
) -> Result<Arc<dyn Election>, Error> {
    let election =
        crate::kubernetes::KubernetesLease::open(lease, settings.lease_secs, holder(manager))
            .await?;
    Ok(Arc::new(election.on(manager.clock.clone())))
}

#[cfg(not(feature = "kubernetes"))]
#[allow(clippy::unused_async, reason = "one form with the feature and without")]
async fn by_lease(
    _: &LeaseConfig,
    _: &ManagerServeConfig,
    _: &Manager,
) -> Result<Arc<dyn Election>, Error> {
    Err(Error::Setting(
        "serve.leader: this build does not support Kubernetes Leases; build with the cargo feature \"kubernetes\""
            .to_owned(),
    ))
}

/// The summary that is printed at the start.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Started {
    instance: String,
    version: &'static str,
    operations: String,
    leader: String,
    poll_secs: u64,
}

impl Summary for Started {
    fn human(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "workflow-manager {} serves {}",
            self.version, self.instance
        )?;
        writeln!(f, "  {:<12} {}", "operations", self.operations)?;
        writeln!(f, "  {:<12} {}", "leader by", self.leader)?;
        write!(
            f,
            "  {:<12} every {} seconds; stop with Ctrl-C or SIGTERM",
            "scans", self.poll_secs
        )
    }
}
