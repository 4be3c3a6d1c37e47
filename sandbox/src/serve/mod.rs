//! A sandbox that stays up: every program by queue and scheduler, clients that report all the time, and somebody who
//! knows the truth. With chaos, the programs are processes that are killed.
//!
//! | file | holds |
//! |---|---|
//! | `announce` | what a client developer pastes |
//! | `crowd` | clients: honest ones, hostile ones, and some that post twice |
//! | `crew` | the programs as processes, killed and started again |
//! | `truth` | the ledger of reports, and whether the sums agree with it |
//! | `look`, `frame` | how every window stands, and the live screen |
//! | `watch` | the loop around all of it |
//! | `window` | what came out of a window |
//! | `fate`, `lookup`, `books` | what became of one report, looked up in what every role left behind |
//! | `front` | what is in front of the ingestor: remembers refusals, is unfriendly on request |
//! | `debug` | the pages that say it |
//! | `spool` | what the ingestor keeps and has not batched yet |

mod announce;
mod books;
mod crew;
mod crowd;
mod debug;
mod fate;
mod frame;
mod front;
mod look;
mod lookup;
mod spool;
mod truth;
mod watch;
mod window;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tallybox_client::RandomisedResponse;
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
use crate::attestation::Attestation;
use crate::door::{Door, reporter};
use crate::error::Error;
use crate::keys::bins_of;
use crate::layout::Served;
use crate::roles::{Company, Part, Setting};
use crate::world::World;
use crew::Crew;
use crowd::{Crowd, Flow};
use front::Front;
use lookup::Lookup;
use spool::SpoolReader;
use truth::{Audit, SharedLedger};

pub use front::Unfriendly;

pub use fate::{BatchFate, Fate, ProcessorFate, RosterFate, Stage, SumFate, Verdict as IntakeVerdict};
pub use truth::{Fault, Faults, Kills, ReportCounts, Verdict};

/// The fewest packets of a sum, and of a batch, with chaos; without it a single report counts.
const CHAOS_MINIMUM: u64 = 10;
const CHAOS_BATCH: u64 = 3;
/// For how long slabs are kept, in hours of the sandbox: for a quarter of an hour for those who ask what became of their
/// reports; with chaos for two minutes, since a batch job reads the plans of all that are there.
const KEEP_HOURS: u32 = 150;
const CHAOS_KEEP_HOURS: u32 = 20;

/// How a sandbox serves.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    /// The metrics that may be reported.
    pub metrics: Vec<Metric>,
    /// Parameter of the randomised response; each metric's own if not given.
    pub epsilon: Option<f64>,
    /// Where clients post.
    pub listen: SocketAddr,
    /// Where they ask what became of a report.
    pub debug_listen: SocketAddr,
    /// Makes all keys reproducible, and traffic and kills begin the same way.
    pub seed: Option<u64>,
    /// What time it is.
    pub time: Time,
    /// Honest packets that are posted at the start, so that there is something to see.
    pub packets: u64,
    /// Reports a second that are posted all the time.
    pub traffic: f64,
    /// Whether programs are processes that are killed, on buckets and queues that fail.
    pub chaos: bool,
    /// What one request of four meets.
    pub unfriendly: Vec<Unfriendly>,
    /// By what attestations are checked; nobody looks at them if not given.
    pub attestation: Option<Attestation>,
    /// For how long it is up; until it is told to stop, if not given.
    pub lasting: Option<Duration>,
}

/// The time in a sandbox.
#[derive(Debug, Clone)]
pub enum Time {
    /// It goes by itself.
    Pace(Pace),
    /// A test sets it.
    Set(Clock),
}

impl Time {
    fn setting(&self) -> Setting {
        match self {
            Self::Pace(pace) => Setting {
                clock: Clock::scaled(*pace),
                rate: pace.rate,
                weather: None,
            },
            Self::Set(clock) => Setting::calm(clock),
        }
    }
}

/// Who does the work.
enum Staff {
    /// The programs in this process.
    Here { door: Door, company: Arc<Company> },
    /// Processes.
    Crew(Box<Crew>),
}

/// A sandbox that serves.
pub struct Serving {
    /// Where clients post.
    pub address: SocketAddr,
    /// Where they ask what became of a report.
    pub debug_address: SocketAddr,
    /// The world that it serves.
    pub world: Arc<World>,
    setting: Setting,
    staff: Staff,
    debug: tokio::task::JoinHandle<()>,
    lookup: Lookup,
    /// Reports that the ingestor has left out, by its windows: it forgets them in time.
    dropped: BTreeMap<Window, u64>,
    crowd: Arc<Crowd>,
    spool: SpoolReader,
    audit: Audit,
    /// What traffic and kills follow from.
    seed: u64,
    output: Output,
}

impl Serving {
    /// Makes a world in a new or empty directory, opens the ingestor's door and the debug pages.
    ///
    /// # Errors
    /// [`Error`] if the directory is in use, or an address.
    pub async fn start(root: &Path, options: &ServeOptions, output: Output) -> Result<Self, Error> {
        let setting = options.time.setting();
        let world = Arc::new(create(root, options, &setting)?);
        let listener = listen_for_questions(options.debug_listen).await?;
        let debug_address = listener.local_addr().map_err(refused(options.debug_listen))?;
        let front = Front::new(Arc::clone(&world.keys), options.unfriendly.clone());
        let (layout, seed) = (&world.layout, options.seed.unwrap_or_else(rand::random));
        let (staff, address, ingestor) = match (&options.time, options.chaos) {
            (Time::Pace(pace), true) => {
                let ingestor: Arc<Ingestor> = Arc::new(setting.ingestor(&Part::Ingestor.config(layout))?);
                let address = ingestor.serve.listen;
                (
                    Staff::Crew(Box::new(Crew::start(layout, *pace, seed)?)),
                    address,
                    ingestor,
                )
            }
            (Time::Set(_), true) => return Err(Error::Setting("chaos needs a clock that goes by itself".to_owned())),
            (_, false) => {
                let mut ingestor = setting.ingestor(&Part::Ingestor.config(layout))?;
                if let Some(attestation) = &options.attestation {
                    attestation.apply(&mut ingestor);
                }
                let door = Door::serve(ingestor, |pages| front.before(pages)).await?;
                let company = Arc::new(Company::open(&setting, layout, &door.ingestor).await?);
                let (address, ingestor) = (door.address, Arc::clone(&door.ingestor));
                (Staff::Here { door, company }, address, ingestor)
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
        let ledger = SharedLedger::create(&layout.ledger())?;
        let registry = load::<Registry>(&layout.root().join("registry.yaml"))?.value;
        let noise = registry.metrics.iter();
        let noise =
            noise.filter_map(|(name, entry)| Some((name.clone(), RandomisedResponse::new(entry.epsilon).ok()?)));
        let audit = Audit::new(&world, noise.collect(), ledger.clone())?;
        let crowd = Crowd {
            flows: flows(&world, &registry, options, seed)?,
            ledger,
            keys: Arc::clone(&world.keys),
            clock: setting.clients_clock(),
            rate: options.traffic,
            seed,
            state: std::sync::Mutex::default(),
        };
        Ok(Self {
            address,
            debug_address,
            debug: tokio::spawn(debug::serve(listener, lookup.clone())),
            world,
            setting,
            staff,
            lookup,
            dropped: BTreeMap::new(),
            crowd: Arc::new(crowd),
            spool: SpoolReader::default(),
            audit,
            seed,
            output,
        })
    }

    fn reporter(&self) -> Result<tallybox_client::post::Reporter, Error> {
        reporter(&self.world, self.address, self.setting.clients_clock(), watch::PATIENCE)
    }

    fn now(&self) -> BatchTime {
        BatchTime::of_clock(self.setting.clock.millis())
    }

    /// Takes no more reports, answers what is in flight, and ends.
    ///
    /// # Errors
    /// [`Error`] if the ingestor does not end well.
    pub async fn stop(self) -> Result<(), Error> {
        self.debug.abort();
        match self.staff {
            Staff::Here { door, .. } => door.close().await,
            Staff::Crew(crew) => {
                crew.end().await;
                Ok(())
            }
        }
    }
}

/// Keys, configurations and buckets.
fn create(root: &Path, options: &ServeOptions, setting: &Setting) -> Result<World, Error> {
    let world = World::for_bins(root, options.seed, Points::Pinned, &bins_of(&options.metrics))?;
    let now = BatchTime::of_clock(setting.clock.millis());
    let since = window_of(now)
        .ok_or_else(|| Error::Internal("a time without a window".to_owned()))?
        .start();
    let (minimum, least, keep) = match options.chaos {
        true => (CHAOS_MINIMUM, CHAOS_BATCH, CHAOS_KEEP_HOURS),
        false => (1, 1, KEEP_HOURS),
    };
    AlwaysOn { minimum, since }.write(&world)?;
    let attestation = options
        .attestation
        .as_ref()
        .map(Attestation::lines)
        .transpose()?
        .flatten();
    let usual = served(least, keep);
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

/// The address with a port that stays the same each time the ingestor starts.
fn free(address: SocketAddr) -> Result<SocketAddr, Error> {
    let bound = std::net::TcpListener::bind(address).and_then(|listener| listener.local_addr());
    bound.map_err(refused(address))
}

async fn listen_for_questions(address: SocketAddr) -> Result<TcpListener, Error> {
    if !address.ip().is_loopback() {
        let problem = "the debug pages listen on a loopback address only: they read everybody's secrets";
        return Err(Error::Setting(problem.to_owned()));
    }
    TcpListener::bind(address).await.map_err(refused(address))
}

fn refused(address: SocketAddr) -> impl Fn(std::io::Error) -> Error {
    move |error| Error::Setting(format!("{address} cannot be listened on: {error}"))
}

fn flows(world: &World, registry: &Registry, options: &ServeOptions, seed: u64) -> Result<Vec<Flow>, Error> {
    let known: BTreeMap<String, _> = ClientConfig::metrics_of(registry, |bins| world.keys.client_keys(bins))
        .into_iter()
        .map(|metric| (metric.name.clone(), metric))
        .collect();
    let flow = |metric: &Metric| {
        let missing = || Error::Internal(format!("no metric {}", metric.name));
        let epsilon = options.epsilon.unwrap_or(metric.epsilon);
        Ok(Flow {
            traffic: Traffic::new(seed, metric, world.keys.for_clients(metric.bins())?, Some(epsilon))?,
            metric: known.get(metric.name).cloned().ok_or_else(missing)?,
            aggregation: metric.name.parse().map_err(|_| missing())?,
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
mod attested;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests;
