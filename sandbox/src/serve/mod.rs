//! A sandbox that stays up: a staging server for client developers, with every role behind it.
//!
//! | file | holds |
//! |---|---|
//! | `cycle` | batch, intake, aggregate, whenever a window of a minute has ended |
//! | `announce` | what a client developer pastes |
//! | `fate` | what became of one report, looked up in what every role left behind |
//! | `debug` | the pages that say it |

mod announce;
mod cycle;
mod debug;
mod fate;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use tallybox_client::traffic::Metric;
use tallybox_facilitator::config::Points;
use tallybox_ingestor::clock::Clock;
use tallybox_service::output::Output;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::door::Door;
use crate::error::Error;
use crate::layout::Served;
use crate::world::World;
use announce::Announcement;
use cycle::Cycle;

pub use fate::{Fate, ProcessorFate};

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
}

impl Serving {
    /// Makes a world in a new or empty directory, opens the ingestor's door and the debug pages.
    ///
    /// # Errors
    /// [`Error`] if the directory is in use, or an address.
    pub async fn start(root: &Path, options: &ServeOptions, output: Output) -> Result<Self, Error> {
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
        let door = Door::open(&world, options.clock.clone()).await?;
        let refused = |source| {
            let path = options.debug_listen.to_string().into();
            Error::File { path, source }
        };
        let listener = TcpListener::bind(options.debug_listen).await.map_err(refused)?;
        let debug_address = listener.local_addr().map_err(refused)?;
        let cycle = Cycle::new(&world, &door.ingestor, output)?;
        let debug = tokio::spawn(debug::serve(listener, cycle.lookup()));
        Ok(Self {
            address: door.address,
            debug_address,
            world,
            door,
            debug,
            cycle,
        })
    }

    /// One turn of all roles: what is due is batched, checked and summed.
    ///
    /// # Errors
    /// The first error of a role; what was done stays, and the next turn goes on.
    pub async fn turn(&mut self) -> Result<(), Error> {
        self.cycle.turn().await
    }

    /// Says where everything is, then turns until it is told to stop.
    ///
    /// # Errors
    /// [`Error`] if the ingestor does not end well.
    pub async fn run(mut self, shutdown: CancellationToken, output: Output) -> Result<(), Error> {
        let announcement = Announcement::of(&self);
        output.summary(&announcement).map_err(|source| Error::File {
            path: "stdout".into(),
            source,
        })?;
        while !shutdown.is_cancelled() {
            if let Err(error) = self.turn().await {
                // Nothing a client sends should end the server it is tried on.
                output.failure(&error.failure());
            }
            let pause = tokio::time::sleep(std::time::Duration::from_secs(1));
            let _ = shutdown.run_until_cancelled(pause).await;
        }
        self.stop().await
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
