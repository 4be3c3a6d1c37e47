//! The ingestor's HTTP server inside this process, its clients, and the kinds of hostile posts with
//! the answer that each has to get.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use serde::{Serialize, Serializer};
use tallybox_client::post::{Options, Reporter};
use tallybox_client::traffic::Hostility;
use tallybox_client::{Address, ClientClock};
use tallybox_ingestor::http::Server;
use tallybox_ingestor::ingestor::Ingestor;
use tallybox_model::report::ProblemKind;
use tallybox_model::role::Role;
use tallybox_service::clock::Clock;
use tokio_util::sync::CancellationToken;

use crate::error::Error;
use crate::world::World;

/// The hostile reports in continuous traffic. The ingestor detects some of them, one processor others, and
/// `InvalidProof` only both processors together.
pub(crate) const HOSTILITIES: [Hostility; 6] = [
    Hostility::InvalidProof,
    Hostility::Undecryptable(Role::First),
    Hostility::Undecryptable(Role::Second),
    Hostility::NotInField,
    Hostility::ShortCiphertext(Role::First),
    Hostility::NotAPoint(Role::Second),
];

/// A running ingestor server. It stops when it is [closed](Self::close) or dropped.
pub(crate) struct IngestorServer {
    pub(crate) ingestor: Arc<Ingestor>,
    pub(crate) address: std::net::SocketAddr,
    shutdown: CancellationToken,
    serving: tokio::task::JoinHandle<()>,
}

/// A kind of hostile post.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Post {
    /// A hostile report.
    Hostile(Hostility),
    /// An accepted report, unchanged: a retry after a lost answer, or a replay.
    Repeated,
    /// The encrypted shares of an accepted report under a new id.
    Copied,
}

/// The ingestor's answer to a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PostAnswer {
    /// The report is stored.
    Accepted,
    /// The report was stored before.
    AlreadyAccepted,
    /// The report is refused.
    Rejected(ProblemKind),
}

impl IngestorServer {
    /// Starts the server of an ingestor at the configured address, with middleware around its
    /// routes.
    pub(crate) async fn serve(
        ingestor: Ingestor,
        front: impl FnOnce(Router) -> Router,
    ) -> Result<Self, Error> {
        let ingestor = Arc::new(ingestor);
        let server = Server::bind(Arc::clone(&ingestor))
            .await
            .map_err(Error::ingestor)?;
        let server = server.behind(front);
        let address = server.address().map_err(Error::ingestor)?;
        let shutdown = CancellationToken::new();
        let serving = tokio::spawn(server.run(shutdown.clone()));
        Ok(Self {
            ingestor,
            address,
            shutdown,
            serving,
        })
    }

    /// Stops the server. Every acknowledged report is durable when this returns.
    pub(crate) async fn close(self) -> Result<(), Error> {
        self.shutdown.cancel();
        let ended = self.serving.await;
        ended.map_err(|error| Error::Internal(format!("the ingestor's server failed: {error}")))
    }
}

/// Creates a client of the ingestor at this address. It uses this clock, and retries a post for at
/// most `timeout`.
pub(crate) fn reporter(
    world: &World,
    address: std::net::SocketAddr,
    clock: Clock,
    timeout: Duration,
) -> Result<Reporter, Error> {
    let address: Address = format!("http://{address}")
        .parse()
        .map_err(|error| Error::Internal(format!("{error}")))?;
    let trust = world.trust(f64::from(u8::MAX));
    let mut options = Options::default();
    options.deadline = timeout;
    // A short deadline also limits each request.
    options.timeouts.connect = options.timeouts.connect.min(timeout);
    options.timeouts.request = options.timeouts.request.min(2 * timeout);
    options.backoff.cap = options.backoff.cap.min(timeout);
    // The sandbox clock is always within the range of a timestamp, so the default is never used.
    options.clock = ClientClock::new(move || {
        jiff::Timestamp::from_millisecond(clock.millis()).unwrap_or_default()
    });
    Reporter::new(&address, trust, options).map_err(|error| Error::Internal(error.to_string()))
}

impl Post {
    /// Returns every kind of post. `original` is the traffic index of the report whose id is used.
    pub fn every(original: u64) -> Vec<Self> {
        let hostile = Hostility::every(original).into_iter().map(Self::Hostile);
        hostile.chain([Self::Repeated, Self::Copied]).collect()
    }

    /// Returns the expected answer.
    pub fn expected_answer(self) -> PostAnswer {
        match self {
            Self::Repeated => PostAnswer::AlreadyAccepted,
            // Only the batch job compares shares with earlier ones.
            Self::Copied => PostAnswer::Accepted,
            Self::Hostile(hostility) => match hostility {
                Hostility::NotAPoint(_) => PostAnswer::Rejected(ProblemKind::BadEphemeralKey),
                Hostility::ShortCiphertext(_)
                | Hostility::ShortShare(_)
                | Hostility::LongShare(_)
                | Hostility::OneBinMore => PostAnswer::Rejected(ProblemKind::BadShareLength),
                Hostility::SwappedShares => PostAnswer::Rejected(ProblemKind::SwappedShares),
                Hostility::DuplicateId { .. } => PostAnswer::Rejected(ProblemKind::Conflict),
                Hostility::UnknownKeyId(_) => PostAnswer::Rejected(ProblemKind::OutdatedKey),
                // Only a processor can detect a wrong proof or invalid plaintext.
                _ => PostAnswer::Accepted,
            },
        }
    }
}

impl fmt::Display for Post {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hostile(hostility) => hostility.fmt(f),
            Self::Repeated => f.write_str("the same again"),
            Self::Copied => f.write_str("copied under another id"),
        }
    }
}

impl fmt::Display for PostAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Accepted => "accepted",
            Self::AlreadyAccepted => "alreadyAccepted",
            Self::Rejected(kind) => kind.name(),
        })
    }
}

impl Serialize for PostAnswer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
