//! A sandbox that stays up: a staging server for client developers, with every role behind it.
//!
//! | file | holds |
//! |---|---|
//! | `cycle` | batch, intake, aggregate, whenever a window of a minute has ended |
//! | `window` | what came of a window |
//! | `announce` | what a client developer pastes |
//! | `honest` | packets that the sandbox posts itself, if it is asked to |
//! | `fate`, `lookup`, `books` | what became of one report, looked up in what every role left behind |
//! | `debug` | the pages that say it |

mod announce;
mod books;
mod cycle;
mod debug;
mod fate;
mod honest;
mod lookup;
mod window;

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tallybox_client::traffic::Metric;
use tallybox_facilitator::config::Points;
use tallybox_model::role::Role;
use tallybox_service::clock::Clock;
use tallybox_service::output::Output;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::door::Door;
use crate::error::Error;
use crate::layout::Served;
use crate::world::World;
use announce::Announcement;
use cycle::Cycle;

pub use fate::{BatchFate, Fate, ProcessorFate, Stage, SumFate, Verdict};
use lookup::{Lookup, Sumless};

/// Between two turns.
const PAUSE: Duration = Duration::from_secs(1);

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
    /// Makes all keys reproducible; for tests.
    pub seed: Option<u64>,
    /// What time it is.
    pub clock: Clock,
    /// Honest packets that are posted at the start, so that there is something to see.
    pub packets: u64,
}

/// A sandbox that serves.
pub struct Serving {
    /// Where clients post.
    pub address: SocketAddr,
    /// Where they ask what became of a report.
    pub debug_address: SocketAddr,
    /// The world that it serves.
    pub world: Arc<World>,
    door: Door,
    debug: tokio::task::JoinHandle<()>,
    cycle: Cycle,
    clock: Clock,
    /// What the packets of its own follow from.
    seed: u64,
    output: Output,
}

impl Serving {
    /// Makes a world in a new or empty directory, opens the ingestor's door and the debug pages.
    ///
    /// # Errors
    /// [`Error`] if the directory is in use, or an address.
    pub async fn start(root: &Path, options: &ServeOptions, output: Output) -> Result<Self, Error> {
        if !options.debug_listen.ip().is_loopback() {
            let problem = "the debug pages listen on a loopback address only: they read everybody's secrets";
            return Err(Error::Setting(problem.to_owned()));
        }
        let world = World::create(root, options.seed, Points::Pinned)?;
        let served = Served {
            listen: options.listen,
            window_minutes: 1,
            settle_secs: 5,
            ..Served::default()
        };
        world
            .layout
            .write_ingestor(&options.metrics, options.epsilon, &served)?;
        let world = Arc::new(world);
        let refused = |error| Error::Setting(format!("{} cannot be listened on: {error}", options.debug_listen));
        let listener = TcpListener::bind(options.debug_listen).await.map_err(refused)?;
        let debug_address = listener.local_addr().map_err(refused)?;
        let door = Door::open(&world, options.clock.clone()).await?;
        let lookup = Lookup {
            world: Arc::clone(&world),
            ingestor: Arc::clone(&door.ingestor),
            processors: [world.processor(Role::First)?, world.processor(Role::Second)?],
            sumless: Sumless::default(),
        };
        Ok(Self {
            address: door.address,
            debug_address,
            world,
            door,
            debug: tokio::spawn(debug::serve(listener, lookup.clone())),
            cycle: Cycle::new(lookup, output),
            clock: options.clock.clone(),
            seed: options.seed.unwrap_or_else(rand::random),
            output,
        })
    }

    /// One turn of all roles: what is due is batched, checked and summed. Answers what failed: it is tried again at the
    /// next turn.
    pub async fn turn(&mut self) -> Vec<Error> {
        self.cycle.turn().await
    }

    /// Says where everything is, posts the packets of its own, then turns until it is told to stop.
    ///
    /// # Errors
    /// [`Error`] if nothing can be said, or the ingestor does not end well.
    pub async fn run(mut self, options: &ServeOptions, shutdown: CancellationToken) -> Result<(), Error> {
        let said = self.output.summary(&Announcement::of(&self));
        said.map_err(Error::file("stdout"))?;
        let posting = self.post_honest(options.packets, &options.metrics, options.epsilon);
        if let Some(Err(error)) = shutdown.run_until_cancelled(posting).await {
            self.output.failure(&error.failure());
        }
        let mut told = HashSet::new();
        while !shutdown.is_cancelled() {
            let failures = self.turn().await;
            told = self.tell(&failures, &told);
            let pause = tokio::time::sleep(PAUSE);
            let _ = shutdown.run_until_cancelled(pause).await;
        }
        self.stop().await
    }

    /// Says what failed, but not what was said a turn ago. Nothing a client sends should end the server it is tried on.
    fn tell(&self, failures: &[Error], told: &HashSet<String>) -> HashSet<String> {
        let each = failures.iter().map(|error| {
            let failure = error.failure();
            let text = failure.to_string();
            if !told.contains(&text) {
                self.output.failure(&failure);
            }
            text
        });
        each.collect()
    }

    /// Takes no more reports, answers what is in flight, and ends.
    ///
    /// # Errors
    /// [`Error`] if the ingestor does not end well.
    pub async fn stop(self) -> Result<(), Error> {
        self.debug.abort();
        self.door.close().await
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
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests;
