//! State that all requests share.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use futures::future::join_all;
use rayon::{ThreadPool, ThreadPoolBuilder};
use tallybox_model::cause::chain;
use tallybox_model::report::ProblemKind;
use tallybox_service::reach::Reach;
use tallybox_transport::probe::Reachable;

use super::budget::{Budget, BudgetLimits};
use super::cors::Origins;
use super::documents::{self, SignedConfig};
use super::network::Networks;
use super::openapi;
use super::refusal::Refusal;
use crate::admission::{AdmissionControl, Rates, ReportCache};
use crate::config::ServeConfig;
use crate::error::Error;
use crate::ingestor::Ingestor;
use crate::metrics::Metrics;
use crate::spool::Collector;

/// The server without its sockets: admission, collectors and documents.
pub struct App {
    /// The ingestor as configured.
    pub ingestor: Arc<Ingestor>,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    pub(super) localities: BTreeMap<String, LocalityService>,
    pub(super) budget: Budget,
    pub(super) networks: Networks,
    pub(super) origins: Origins,
    /// Threads for large bodies, one per core. The pool is fixed because each thread keeps memory
    /// for decoding.
    pub(super) workers: ThreadPool,
    /// Documents in memory. All answers share them, so that clients that read slowly hold no
    /// copies.
    pub(super) manifest: Bytes,
    pub(super) description: Bytes,
    /// Reachability of the spool.
    pub(super) reach: Reach,
    draining: AtomicBool,
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App")
            .field("ingestor", &self.ingestor.name)
            .finish_non_exhaustive()
    }
}

/// The state of one locality.
pub(super) struct LocalityService {
    pub(super) admission: AdmissionControl,
    pub(super) collector: Collector,
    pub(super) config: SignedConfig,
}

impl App {
    /// Starts the collectors. From now on, reports that arrive through the [`router`](Self::router)
    /// are made durable.
    ///
    /// # Errors
    /// [`Error::Setting`] if the manifest cannot be built from the configuration.
    pub async fn start(ingestor: Arc<Ingestor>) -> Result<Arc<Self>, Error> {
        let metrics = Arc::new(Metrics::new());
        let serve = &ingestor.serve;
        let minutes = ingestor.localities.values();
        let minutes = minutes
            .map(|locality| locality.replay_minutes(&ingestor.acceptance))
            .max();
        let report_cache = Arc::new(ReportCache::new(
            serve.remembered_reports,
            minutes.unwrap_or(0),
        ));
        let keys = Arc::new(Rates::per_minute(ingestor.acceptance.per_key_per_minute));
        let opening = ingestor.localities.values().map(|locality| async {
            let admission =
                AdmissionControl::new(&ingestor, &locality.name, &metrics, &report_cache, &keys);
            let observer = Arc::clone(&report_cache) as Arc<dyn crate::spool::DurabilityObserver>;
            let collector = Collector::start(&ingestor, locality, &metrics, observer).await;
            let config = SignedConfig::default();
            (
                locality.name.clone(),
                LocalityService {
                    admission,
                    collector,
                    config,
                },
            )
        });
        let localities = join_all(opening).await.into_iter().collect();
        metrics
            .registry_version
            .set(ingestor.registry.current().version);
        Ok(Arc::new(Self {
            localities,
            budget: budget(serve, &metrics),
            networks: Networks::new(
                serve.behind_proxy.clone(),
                ingestor.acceptance.per_network_per_minute,
            ),
            origins: Origins::new(&serve.cors_origins),
            workers: workers()?,
            manifest: documents::manifest(&ingestor)?.into(),
            description: openapi::description(&ingestor).into(),
            reach: Reach::default(),
            draining: AtomicBool::new(false),
            metrics,
            ingestor,
        }))
    }

    /// Reads the registry again. If it cannot be read or is rejected, the old registry stays in
    /// force.
    ///
    /// # Errors
    /// [`Error`] that names the file and the cause.
    pub fn reload_registry(&self) -> Result<bool, Error> {
        let changed = self.ingestor.reload_registry()?;
        if changed {
            let version = self.ingestor.registry.current().version;
            self.metrics.registry_version.set(version);
            tracing::info!(registry_version = version, "registry reloaded");
        }
        Ok(changed)
    }

    /// Makes `/readyz` report that load balancers should send no more requests here.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::SeqCst);
    }

    pub(super) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::SeqCst)
    }

    /// Accepts no more reports, writes the accepted ones and answers their requests.
    pub async fn close(&self) {
        self.drain();
        join_all(
            self.localities
                .values()
                .map(|service| service.collector.close()),
        )
        .await;
    }

    /// Scans the spool for the newest plan of each locality now. The server also does so every
    /// minute.
    pub async fn refresh_windows(&self) {
        join_all(
            self.localities
                .values()
                .map(|service| service.collector.refresh_windows()),
        )
        .await;
    }

    /// Checks periodically whether the spool answers, with or without requests. `/readyz` reports a
    /// failure that persists.
    pub async fn watch_spool(&self) {
        let reachable = Reachable::default();
        let ask = || async {
            let asked = reachable.ask(&*self.ingestor.spool).await;
            asked.map_err(|error| chain(&error))
        };
        self.reach.watch("the spool", ask).await;
    }

    pub(super) fn locality(&self, locality: &str) -> Result<&LocalityService, Refusal> {
        let unknown = || {
            Refusal::new(
                ProblemKind::UnknownLocality,
                "unknown locality; check the URL of the request",
            )
        };
        self.localities.get(locality).ok_or_else(unknown)
    }
}

/// Builds the budget of the configuration. Large requests leave a quarter of the memory to small
/// ones, as far as the largest body still fits.
fn budget(serve: &ServeConfig, metrics: &Metrics) -> Budget {
    let all = serve.memory_bytes;
    let for_small = (all / 4).min(all.saturating_sub(2 * serve.body_bytes));
    let limits = BudgetLimits {
        all,
        large: all - for_small,
        per_network: serve.memory_per_network(),
    };
    Budget::new(
        limits,
        metrics.memory.clone(),
        metrics.bodies_evicted.clone(),
    )
}

fn workers() -> Result<ThreadPool, Error> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    ThreadPoolBuilder::new()
        .num_threads(cores)
        .thread_name(|index| format!("body-{index}"))
        .panic_handler(|_| {
            tracing::error!("decoding a body panicked; its request is answered with an error")
        })
        .build()
        .map_err(|error| Error::Internal(format!("cannot start threads: {error}")))
}
