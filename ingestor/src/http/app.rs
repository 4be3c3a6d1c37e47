//! What all requests share, and the routers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::{get, post};
use bytes::Bytes;
use futures::future::join_all;
use rayon::{ThreadPool, ThreadPoolBuilder};
use tallybox_model::report::ProblemKind;
use tallybox_service::cause::chain;
use tallybox_service::operations::{self, Operable};
use tallybox_service::reach::Reach;
use tallybox_transport::probe::Reachable;

use super::budget::{Budget, BudgetLimits};
use super::cors::{self, Origins};
use super::documents::{self, SignedConfig};
use super::network::Networks;
use super::refusal::Refusal;
use super::{openapi, problems, reports};
use crate::config::ServeConfig;
use crate::door::{Door, Memory, Rates};
use crate::error::Error;
use crate::ingestor::Ingestor;
use crate::metrics::Metrics;
use crate::spool::Collector;

/// A server without its sockets: doors, collectors, documents.
pub struct App {
    /// What the configuration opened.
    pub ingestor: Arc<Ingestor>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    pub(super) places: BTreeMap<String, Place>,
    pub(super) budget: Budget,
    pub(super) networks: Networks,
    pub(super) origins: Origins,
    /// Where large bodies are worked on: a thread a core, always the same ones, since each keeps memory of its own.
    pub(super) workers: ThreadPool,
    /// Shared by all answers, so that clients that do not take theirs hold no copies.
    pub(super) manifest: Bytes,
    pub(super) description: Bytes,
    /// Whether the spool answers.
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

/// What belongs to one locality.
pub(super) struct Place {
    pub(super) door: Door,
    pub(super) collector: Collector,
    pub(super) config: SignedConfig,
}

impl App {
    /// Opens the doors: from now on reports that come through the [`router`](Self::router) are made durable.
    ///
    /// # Errors
    /// [`Error::Setting`] for a manifest that cannot be made.
    pub async fn start(ingestor: Arc<Ingestor>) -> Result<Arc<Self>, Error> {
        let metrics = Arc::new(Metrics::new());
        let serve = &ingestor.serve;
        let minutes = ingestor.localities.values();
        let minutes = minutes
            .map(|locality| locality.replay_minutes(&ingestor.acceptance))
            .max();
        let memory = Arc::new(Memory::new(serve.remembered_reports, minutes.unwrap_or(0)));
        let keys = Arc::new(Rates::per_minute(ingestor.acceptance.per_key_per_minute));
        let opening = ingestor.localities.values().map(|locality| async {
            let door = Door::new(&ingestor, &locality.name, &metrics, &memory, &keys);
            let ledger = Arc::clone(&memory) as Arc<dyn crate::spool::Ledger>;
            let collector = Collector::start(&ingestor, locality, &metrics, ledger).await;
            let config = SignedConfig::default();
            (
                locality.name.clone(),
                Place {
                    door,
                    collector,
                    config,
                },
            )
        });
        let places = join_all(opening).await.into_iter().collect();
        metrics.registry_version.set(ingestor.registry.current().version);
        Ok(Arc::new(Self {
            places,
            budget: budget(serve, &metrics),
            networks: Networks::new(serve.behind_proxy.clone(), ingestor.acceptance.per_network_per_minute),
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

    /// The pages for clients. Requests without a [`Peer`](super::Peer) extension count as of one network.
    pub fn router(self: &Arc<Self>) -> Router {
        Router::new()
            .route("/v1/{locality}/reports", post(reports::post))
            .route("/v1/{locality}/config", get(documents::config))
            .route("/manifest", get(documents::manifest_page))
            .route("/openapi.json", get(openapi::page))
            .route("/problems", get(problems::page))
            .fallback(not_found)
            .method_not_allowed_fallback(method_not_allowed)
            .layer(from_fn_with_state(Arc::clone(self), observe))
            .layer(from_fn_with_state(Arc::clone(self), cors::allow))
            // Bodies have limits of their own, which the budget knows.
            .layer(DefaultBodyLimit::disable())
            .with_state(Arc::clone(self))
    }

    /// The pages for operators.
    pub fn operations(self: &Arc<Self>) -> Router {
        let program = Arc::clone(self) as Arc<dyn Operable>;
        operations::router(program)
            .fallback(not_found)
            .method_not_allowed_fallback(method_not_allowed)
    }

    /// Reads the registry again; one that cannot be read leaves the old one in force.
    ///
    /// # Errors
    /// [`Error::Config`] that names what is wrong.
    pub fn reload_registry(&self) -> Result<bool, Error> {
        let changed = self.ingestor.reload_registry()?;
        if changed {
            let version = self.ingestor.registry.current().version;
            self.metrics.registry_version.set(version);
            tracing::info!(registry_version = version, "registry reloaded");
        }
        Ok(changed)
    }

    /// Says at `/readyz` that nothing more should be sent here.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::SeqCst);
    }

    pub(super) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::SeqCst)
    }

    /// Writes what was accepted, answers it, and takes no more.
    pub async fn close(&self) {
        self.drain();
        join_all(self.places.values().map(|place| place.collector.close())).await;
    }

    /// Looks for the newest plan of each locality now; done by itself every minute.
    pub async fn look_at_plans(&self) {
        join_all(self.places.values().map(|place| place.collector.look())).await;
    }

    /// Asks the spool again and again whether it answers, with or without requests; what lasts shows at `/readyz`.
    pub async fn watch_spool(&self) {
        let reachable = Reachable::default();
        let ask = || async {
            let asked = reachable.ask(&*self.ingestor.spool).await;
            asked.map_err(|error| chain(&error))
        };
        self.reach.watch("the spool", ask).await;
    }

    pub(super) fn place(&self, locality: &str) -> Result<&Place, Refusal> {
        let unknown = || Refusal::new(ProblemKind::UnknownLocality, "nobody counts here for this locality");
        self.places.get(locality).ok_or_else(unknown)
    }
}

/// The budget of the configuration. Large requests leave a quarter of the memory to small ones, as far as there is room for
/// the largest.
fn budget(serve: &ServeConfig, metrics: &Metrics) -> Budget {
    let all = serve.memory_bytes;
    let for_small = (all / 4).min(all.saturating_sub(2 * serve.body_bytes));
    let limits = BudgetLimits {
        all,
        large: all - for_small,
        of_a_network: serve.memory_per_network(),
    };
    Budget::new(limits, metrics.memory.clone(), metrics.bodies_evicted.clone())
}

fn workers() -> Result<ThreadPool, Error> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    ThreadPoolBuilder::new()
        .num_threads(cores)
        .thread_name(|index| format!("body-{index}"))
        .panic_handler(|_| tracing::error!("a body made the program panic; it is given up"))
        .build()
        .map_err(|error| Error::Internal(format!("cannot start threads: {error}")))
}

/// Counts requests and how long they take.
async fn observe(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let response = next.run(request).await;
    app.metrics.request_seconds.observe(begun.elapsed().as_secs_f64());
    if let Some(kind) = response.extensions().get::<ProblemKind>() {
        app.metrics.refused(*kind).inc();
    }
    response
}

async fn not_found() -> Refusal {
    Refusal::new(
        ProblemKind::NotFound,
        "there is no such page; /openapi.json names them all",
    )
}

async fn method_not_allowed() -> Refusal {
    Refusal::new(
        ProblemKind::MethodNotAllowed,
        "the page knows other methods; /openapi.json names them",
    )
}
