//! The long-running sandbox: every program with its queues and schedule, clients that report
//! continuously, and an audit that compares every sum with the reports that were posted. With
//! `--chaos` the programs are child processes that are killed at random.
//!
//! | file | content |
//! |---|---|
//! | `announce` | the text at the start, with commands for client developers |
//! | `client_traffic` | simulated clients: honest, hostile, and some that post twice |
//! | `processes` | the programs as child processes; kills and restarts |
//! | `truth` | the posted reports, and the audit of the sums |
//! | `observer`, `frame` | the progress of each window, and the live screen |
//! | `watch` | the main loop |
//! | `window` | the sum of one window |
//! | `status`, `lookup`, `stored_state` | the status of a report, from all roles' stored state |
//! | `front` | middleware before the ingestor: records refusals, misbehaves on request |
//! | `debug` | the HTTP pages that show the status of reports |
//! | `spool` | reports that the ingestor has stored and not batched yet |

mod announce;
mod client_traffic;
mod debug;
mod frame;
mod front;
mod lookup;
mod observer;
mod processes;
mod spool;
mod status;
mod stored_state;
mod truth;
mod watch;
mod window;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tallybox_client::RandomisedResponse;
use tallybox_client::post::Options;
use tallybox_client::traffic::{Metric, Traffic};
use tallybox_facilitator::config::Points;
use tallybox_ingestor::ingestor::Ingestor;
use tallybox_model::client_config::ClientConfig;
use tallybox_model::registry::Registry;
use tallybox_model::role::Role;
use tallybox_model::time::{BatchTime, Window};
use tallybox_service::clock::{Clock, Pace};
use tallybox_service::config::load;
use tallybox_service::output::Output;
use tokio::net::TcpListener;

use crate::always::{AlwaysOn, served, window_of};
use crate::attestation::AttestationOptions;
use crate::error::Error;
use crate::ingestor_server::{IngestorServer, reporter};
use crate::keys::bins_of;
use crate::layout::Served;
use crate::lying_ingestor::HONEST_PER_METRIC;
use crate::roles::{InProcessRoles, RoleProcess, Setting};
use crate::world::World;
pub(crate) use client_traffic::{ClientTraffic, Flow};
use front::Front;
use lookup::Lookup;
use processes::Processes;
use spool::SpoolReader;
pub(crate) use stored_state::IntakeRecord;
pub(crate) use truth::Posted;
use truth::{Audit, SharedPostedReports};
pub(crate) use window::SummedWindow;

pub use front::Unfriendly;

pub use status::{
    IntakeStatus, ProcessorStatus, ReportBatch, ReportStage, ReportTrace, RosterStatus, SumStatus,
};
pub use truth::{Discrepancies, Discrepancy, FinalReport, Kills, ReportCounts};

/// Minimum packets of a sum and of a batch with `--chaos`. Without it the minimum is 1, so that a
/// developer's single report is summed.
const CHAOS_MIN_SUM_PACKETS: u64 = 10;
const CHAOS_MIN_BATCH_PACKETS: u64 = 3;
/// Retention of slabs in hours of the sandbox clock: 15 minutes of real time, for the debug pages.
/// With
/// `--chaos` two minutes, because each batch job reads the plans of all retained slabs.
const SLAB_RETENTION_HOURS: u32 = 150;
const CHAOS_SLAB_RETENTION_HOURS: u32 = 20;

/// Options of a long-running sandbox.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    /// The metrics that the ingestor accepts.
    pub metrics: Vec<Metric>,
    /// Epsilon of the randomised response for all metrics; `None` uses the epsilon of each metric.
    pub epsilon: Option<f64>,
    /// Address on which the ingestor accepts reports.
    pub listen: SocketAddr,
    /// Address of the debug pages; there are none if absent.
    pub debug_listen: Option<SocketAddr>,
    /// Seed of all keys, the traffic and the choice of kills.
    pub seed: Option<u64>,
    /// The clock of the sandbox.
    pub time: Time,
    /// Number of honest packets posted at the start.
    pub packets: u64,
    /// Reports per second that the sandbox posts.
    pub traffic: f64,
    /// True if the programs are child processes that are killed, with faults in buckets and queues.
    pub chaos: bool,
    /// The unfriendly responses that one request in four receives, in turn.
    pub unfriendly: Vec<Unfriendly>,
    /// The attestation policy; attestations are not checked if absent.
    pub attestation: Option<AttestationOptions>,
    /// How long the sandbox runs; until it is stopped if absent.
    pub lasting: Option<Duration>,
}

/// The source of the sandbox's time.
#[derive(Debug, Clone)]
pub enum Time {
    /// A clock that runs at a fixed multiple of real time.
    Pace(Pace),
    /// A clock that a test sets.
    Set(Clock),
}

impl Time {
    fn setting(&self) -> Setting {
        match self {
            Self::Pace(pace) => Setting {
                clock: Clock::scaled(*pace),
                rate: pace.rate,
                faults: None,
            },
            Self::Set(clock) => Setting::without_faults(clock),
        }
    }
}

/// Where the programs run.
enum Programs {
    /// Inside this process.
    InProcess {
        server: IngestorServer,
        roles: Arc<InProcessRoles>,
    },
    /// As child processes.
    ChildProcesses(Box<Processes>),
}

/// A running sandbox.
pub struct Serving {
    /// Address on which the ingestor accepts reports.
    pub address: SocketAddr,
    /// Address of the debug pages, if there are any.
    pub debug_address: Option<SocketAddr>,
    /// The sandbox directory and its keys.
    pub world: Arc<World>,
    setting: Setting,
    programs: Programs,
    debug: Option<tokio::task::JoinHandle<()>>,
    pub(crate) lookup: Lookup,
    /// Number of reports that the ingestor dropped, by ingestor window. Kept here because the
    /// ingestor deletes its records after a time.
    dropped: BTreeMap<Window, u64>,
    pub(crate) traffic: Arc<ClientTraffic>,
    spool: SpoolReader,
    pub(crate) audit: Audit,
    /// Seed of traffic and kills.
    seed: u64,
    output: Output,
}

impl Serving {
    /// Creates the sandbox in a new or empty directory, and starts the ingestor and the debug
    /// pages.
    ///
    /// # Errors
    /// [`Error`] if the directory is not empty, an address is in use, or a program cannot be
    /// opened.
    pub async fn start(root: &Path, options: &ServeOptions, output: Output) -> Result<Self, Error> {
        let setting = options.time.setting();
        let world = Arc::new(create(root, options, &setting)?);
        let pages = match options.debug_listen {
            Some(address) => Some(listen_for_questions(address).await?),
            None => None,
        };
        let front = Front::new(Arc::clone(&world.keys), options.unfriendly.clone());
        let (layout, seed) = (&world.layout, options.seed.unwrap_or_else(rand::random));
        let (programs, address, ingestor) = match (&options.time, options.chaos) {
            (Time::Pace(pace), true) => {
                let ingestor: Arc<Ingestor> =
                    Arc::new(setting.ingestor(&RoleProcess::Ingestor.config(layout))?);
                let address = ingestor.serve.listen;
                (
                    Programs::ChildProcesses(Box::new(Processes::start(layout, *pace, seed)?)),
                    address,
                    ingestor,
                )
            }
            (Time::Set(_), true) => {
                return Err(Error::Setting(
                    "--chaos requires a running clock, not one that is set".to_owned(),
                ));
            }
            (_, false) => {
                let mut ingestor = setting.ingestor(&RoleProcess::Ingestor.config(layout))?;
                if let Some(attestation) = &options.attestation {
                    attestation.apply(&mut ingestor);
                }
                let server = IngestorServer::serve(ingestor, |pages| front.before(pages)).await?;
                let roles =
                    Arc::new(InProcessRoles::open(&setting, layout, &server.ingestor).await?);
                let (address, ingestor) = (server.address, Arc::clone(&server.ingestor));
                (Programs::InProcess { server, roles }, address, ingestor)
            }
        };
        let lookup = Lookup {
            world: Arc::clone(&world),
            ingestor,
            front,
            processors: [
                Arc::new(setting.processor(&layout.config(Role::First))?),
                Arc::new(setting.processor(&layout.config(Role::Second))?),
            ],
        };
        let posted_reports = SharedPostedReports::create(&layout.posted_reports())?;
        let registry = load::<Registry>(&layout.root().join("registry.yaml"))?.value;
        let noise = registry.metrics.iter();
        let noise = noise.filter_map(|(name, entry)| {
            Some((name.clone(), RandomisedResponse::new(entry.epsilon).ok()?))
        });
        let audit = Audit::new(&world, noise.collect(), posted_reports.clone())?;
        let traffic = ClientTraffic {
            flows: flows(&world, &registry, options, seed)?,
            posted_reports,
            keys: Arc::clone(&world.keys),
            clock: setting.clients_clock(),
            rate: options.traffic,
            seed,
            state: std::sync::Mutex::default(),
        };
        Ok(Self {
            address,
            debug_address: pages.as_ref().map(|(_, address)| *address),
            debug: pages.map(|(pages, _)| tokio::spawn(debug::serve(pages, lookup.clone()))),
            world,
            setting,
            programs,
            lookup,
            dropped: BTreeMap::new(),
            traffic: Arc::new(traffic),
            spool: SpoolReader::default(),
            audit,
            seed,
            output,
        })
    }

    /// Creates a client of the ingestor.
    pub(crate) fn reporter(&self) -> Result<tallybox_client::post::Reporter, Error> {
        // With continuous traffic, a report without an answer is set aside and posted again later.
        let timeout = match self.setting.rate {
            1 => Options::default().deadline,
            _ => watch::STOP_TIMEOUT,
        };
        let clock = self.setting.clients_clock();
        reporter(&self.world, self.address, clock, timeout)
    }

    /// Returns the programs, if they run inside this process.
    pub(crate) fn in_process(&self) -> Option<&Arc<InProcessRoles>> {
        match &self.programs {
            Programs::InProcess { roles, .. } => Some(roles),
            Programs::ChildProcesses(_) => None,
        }
    }

    pub(crate) fn now(&self) -> BatchTime {
        BatchTime::of_clock(self.setting.clock.millis())
    }

    /// Stops accepting reports, answers the requests in progress, and stops the programs.
    ///
    /// # Errors
    /// [`Error`] if the ingestor fails while it stops.
    pub async fn stop(self) -> Result<(), Error> {
        if let Some(debug) = &self.debug {
            debug.abort();
        }
        match self.programs {
            Programs::InProcess { server, .. } => server.close().await,
            Programs::ChildProcesses(processes) => {
                processes.end().await;
                Ok(())
            }
        }
    }
}

/// Creates keys, configurations and buckets.
fn create(root: &Path, options: &ServeOptions, setting: &Setting) -> Result<World, Error> {
    let world = World::for_bins(
        root,
        options.seed,
        Points::Pinned,
        &bins_of(&options.metrics),
    )?;
    let now = BatchTime::of_clock(setting.clock.millis());
    let since = window_of(now)
        .ok_or_else(|| {
            Error::Internal("the current time is outside the supported range".to_owned())
        })?
        .start();
    let (minimum, least, retention_hours) = match options.chaos {
        true => (
            CHAOS_MIN_SUM_PACKETS,
            CHAOS_MIN_BATCH_PACKETS,
            CHAOS_SLAB_RETENTION_HOURS,
        ),
        false => (1, 1, SLAB_RETENTION_HOURS),
    };
    AlwaysOn { minimum, since }.write(&world)?;
    let attestation = options
        .attestation
        .as_ref()
        .map(AttestationOptions::lines)
        .transpose()?
        .flatten();
    let usual = served(least, retention_hours);
    let served = Served {
        attestation: attestation.unwrap_or(usual.attestation.clone()),
        listen: if options.chaos {
            free(options.listen)?
        } else {
            options.listen
        },
        ..usual
    };
    world
        .layout
        .write_ingestor(&options.metrics, options.epsilon, &served)?;
    Ok(world)
}

/// Resolves port 0 to a free port, so that the ingestor has the same port after each restart.
fn free(address: SocketAddr) -> Result<SocketAddr, Error> {
    let bound = std::net::TcpListener::bind(address).and_then(|listener| listener.local_addr());
    bound.map_err(refused(address))
}

async fn listen_for_questions(address: SocketAddr) -> Result<(TcpListener, SocketAddr), Error> {
    if !address.ip().is_loopback() {
        let problem = "--debug-listen must be a loopback address: the debug pages use the secrets of all roles";
        return Err(Error::Setting(problem.to_owned()));
    }
    let listener = TcpListener::bind(address).await;
    let listener = listener.map_err(refused(address))?;
    let bound = listener.local_addr().map_err(refused(address))?;
    Ok((listener, bound))
}

fn refused(address: SocketAddr) -> impl Fn(std::io::Error) -> Error {
    move |error| Error::Setting(format!("cannot listen on {address}: {error}"))
}

fn flows(
    world: &World,
    registry: &Registry,
    options: &ServeOptions,
    seed: u64,
) -> Result<Vec<Flow>, Error> {
    let client_metrics: BTreeMap<String, _> =
        ClientConfig::metrics_of(registry, |bins| world.keys.client_keys(bins))
            .into_iter()
            .map(|metric| (metric.name.clone(), metric))
            .collect();
    let flow = |metric: &Metric| {
        let missing =
            || Error::Internal(format!("metric {} is missing in the registry", metric.name));
        let epsilon = options.epsilon.unwrap_or(metric.epsilon);
        Ok(Flow {
            traffic: Traffic::new(
                seed,
                metric,
                world.keys.for_clients(metric.bins())?,
                Some(epsilon),
            )?,
            metric: client_metrics
                .get(metric.name)
                .cloned()
                .ok_or_else(missing)?,
            aggregation: metric.name.parse().map_err(|_| missing())?,
            next: HONEST_PER_METRIC.into(),
        })
    };
    options.metrics.iter().map(flow).collect()
}

impl std::fmt::Debug for Serving {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Serving")
            .field("address", &self.address)
            .field("debug_address", &self.debug_address)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod attestation_tests;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests;
