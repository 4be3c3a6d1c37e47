//! The ingestor's HTTP server, and clients that post honest and hostile reports to it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use serde::{Serialize, Serializer};
use tallybox_client::post::{Options, PostOutcome as Posted, Prepared, Reporter};
use tallybox_client::traffic::{Generated, Hostility, Traffic};
use tallybox_client::{Address, ClientClock, ClientError, Report};
use tallybox_ingestor::http::Server;
use tallybox_ingestor::ingestor::Ingestor;
use tallybox_model::client_config::ClientMetric;
use tallybox_model::id::PacketId;
use tallybox_model::report::{ProblemKind, SCHEMA_VERSIONS};
use tallybox_service::clock::Clock;
use tokio_util::sync::CancellationToken;

use crate::error::Error;
use crate::flow::Flow;
use crate::outcome::AdmissionOutcome;
use crate::world::World;

/// Start of the traffic indices of hostile posts, apart from those of the lying ingestor's packets.
const HOSTILE_INDEX: u64 = 1 << 49;

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
    /// The report with traffic index `original`, posted again unchanged: a retry after a lost
    /// answer, or a replay.
    Repeated {
        /// Traffic index of the report.
        original: u64,
    },
    /// The encrypted shares of report `original` under a new id.
    Copied {
        /// Traffic index of the report.
        original: u64,
    },
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
    /// Opens the ingestor from its configuration file, and starts its server on a free port.
    pub(crate) async fn open(world: &World, clock: Clock) -> Result<Self, Error> {
        let mut ingestor = world.ingestor_program()?;
        ingestor.clock = clock;
        Self::serve(ingestor, |pages| pages).await
    }

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

    /// Creates a client that trusts this ingestor's configuration.
    pub(crate) fn reporter(&self, world: &World) -> Result<Reporter, Error> {
        let clock = self.ingestor.clock.clone();
        reporter(world, self.address, clock, Options::default().deadline)
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
    /// Returns every kind of post, derived from the honest report `original`.
    pub fn every(original: u64) -> Vec<Self> {
        let hostile = Hostility::every(original).into_iter().map(Self::Hostile);
        hostile
            .chain([Self::Repeated { original }, Self::Copied { original }])
            .collect()
    }

    fn make(self, traffic: &Traffic, index: u64) -> Result<Generated, ClientError> {
        match self {
            Self::Hostile(hostility) => traffic.hostile(index, hostility),
            Self::Repeated { original } => traffic.packet(original),
            Self::Copied { original } => {
                let mut copied = traffic.packet(original)?;
                copied.report.id = traffic.packet(index)?.report.id;
                Ok(copied)
            }
        }
    }

    /// Returns the expected answer.
    pub fn expected_answer(self) -> PostAnswer {
        match self {
            Self::Repeated { .. } => PostAnswer::AlreadyAccepted,
            // Only the batch job compares shares with earlier ones.
            Self::Copied { .. } => PostAnswer::Accepted,
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

/// Posts reports, and returns the ingestor's answers in the same order.
pub(crate) async fn post(
    reporter: &Reporter,
    metric: &ClientMetric,
    now: i64,
    reports: Vec<Report>,
) -> Result<Vec<PostAnswer>, Error> {
    let version = *SCHEMA_VERSIONS.end();
    let prepared = reports
        .into_iter()
        .map(|report| report.into_upload(metric, version, Some(now)));
    let prepared: Vec<Prepared> = prepared.map(Prepared::from).collect();
    let outcomes = reporter.send_all(prepared).await;
    outcomes.into_iter().map(answer).collect()
}

fn answer(posted: Posted) -> Result<PostAnswer, Error> {
    match posted {
        Posted::Accepted => Ok(PostAnswer::Accepted),
        Posted::AlreadyAccepted => Ok(PostAnswer::AlreadyAccepted),
        Posted::Dropped(problem) => match problem.known() {
            Some(kind) => Ok(PostAnswer::Rejected(kind)),
            None => Err(Error::Check(format!(
                "the ingestor answered with the unknown problem {}",
                problem.kind
            ))),
        },
        Posted::TryLater { cause, .. } => Err(Error::Check(format!(
            "a report could not be posted: {cause}"
        ))),
        other => Err(Error::Internal(format!(
            "a post had the unexpected outcome {other:?}"
        ))),
    }
}

/// Posts every kind of hostile report of a metric and checks each answer. Returns the rows of the
/// report, and how many of the accepted reports the batch job must batch and must drop.
pub(crate) async fn post_hostile(
    reporter: &Reporter,
    metric: &ClientMetric,
    now: i64,
    flow: &Flow,
) -> Result<(Vec<AdmissionOutcome>, [u64; 2]), Error> {
    let mut outcomes = Vec::new();
    let (mut batched, mut dropped) = (0, 0);
    for (index, attack) in (0..).zip(Post::every(flow.posted.start)) {
        let generated = attack.make(&flow.traffic, HOSTILE_INDEX | index)?;
        let id = generated.report.id;
        let answers = post(reporter, metric, now, vec![generated.report]).await?;
        check(flow, attack, id, &answers)?;
        match (attack, attack.expected_answer()) {
            (Post::Copied { .. }, _) => dropped += 1,
            (_, PostAnswer::Accepted) => batched += 1,
            _ => {}
        }
        outcomes.push(AdmissionOutcome {
            kind: attack.to_string(),
            reports: 1,
            answer: attack.expected_answer(),
        });
    }
    Ok((outcomes, [batched, dropped]))
}

fn check(flow: &Flow, attack: Post, id: PacketId, answers: &[PostAnswer]) -> Result<(), Error> {
    let expected = attack.expected_answer();
    if answers == [expected] {
        return Ok(());
    }
    Err(Error::Check(format!(
        "{}: the ingestor answered {answers:?} to report {id} ({attack}), expected {expected:?}",
        flow.aggregation
    )))
}

impl fmt::Display for Post {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hostile(hostility) => hostility.fmt(f),
            Self::Repeated { .. } => f.write_str("the same again"),
            Self::Copied { .. } => f.write_str("copied under another id"),
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
