//! The long-running sandbox: every program with its queues and schedule, clients that report
//! continuously, and an audit that compares every sum with the reports that were posted. With
//! `--chaos` the programs are child processes that are killed at random.
//!
//! | file | content |
//! |---|---|
//! | `announce` | the text at the start, with commands for client developers |
//! | `client_traffic` | simulated clients: honest, hostile, and some that post twice |
//! | `processes` | the programs as child processes; kills and restarts |
//! | `setup` | the directory, addresses and clients of a new sandbox |
//! | `truth` | the posted reports, and the audit of the sums |
//! | `observer`, `frame` | the progress of each window, and the live screen |
//! | `watch` | the main loop |
//! | `window` | the sum of one window |
//! | `status`, `lookup`, `stored_state` | the status of a report, from all roles' stored state |
//! | `front` | middleware before the ingestor: records refusals, misbehaves on request |
//! | `debug` | the HTTP pages that show the status of reports |
//! | `spool` | the reports that the ingestor has stored |

mod announce;
mod client_traffic;
mod debug;
mod frame;
mod front;
mod lookup;
mod observer;
mod processes;
mod setup;
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

use tallybox_client::post::Options;
use tallybox_client::traffic::Metric;
use tallybox_ingestor::ingestor::Ingestor;
use tallybox_model::role::Role;
use tallybox_model::time::{BatchTime, Window};
use tallybox_service::clock::{Clock, Pace};
use tallybox_service::output::Output;

use crate::attestation::AttestationOptions;
use crate::error::Error;
use crate::ingestor_server::{IngestorServer, reporter};
use crate::roles::{InProcessRoles, RoleProcess, Setting};
use crate::world::World;
pub(crate) use client_traffic::{ClientTraffic, Flow};
use front::Front;
use lookup::Lookup;
use processes::Processes;
use setup::{create, flows, listen_for_questions, mechanisms};
pub(crate) use stored_state::IntakeRecord;
pub(crate) use truth::Posted;
use truth::{Audit, SharedPostedReports};
pub(crate) use window::SummedWindow;

pub use front::Unfriendly;

pub use status::{
    IntakeStatus, ProcessorStatus, ReportBatch, ReportStage, ReportTrace, RosterStatus, SumStatus,
};
pub use truth::{Discrepancies, Discrepancy, FinalReport, Kills, ReportCounts};

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
            spool: Arc::default(),
            processors: [
                Arc::new(setting.processor(&layout.config(Role::First))?),
                Arc::new(setting.processor(&layout.config(Role::Second))?),
            ],
        };
        let posted_reports = SharedPostedReports::create(&layout.posted_reports())?;
        let traffic = ClientTraffic {
            flows: flows(&world, options, seed)?,
            posted_reports: posted_reports.clone(),
            keys: Arc::clone(&world.keys),
            clock: setting.clients_clock(),
            rate: options.traffic,
            seed,
            state: std::sync::Mutex::default(),
        };
        let audit = Audit::new(&world, mechanisms(&traffic.flows)?, posted_reports)?;
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
