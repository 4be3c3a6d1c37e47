//! Reports through the front door: clients post to a real ingestor over HTTP, honest ones and others.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use serde::{Serialize, Serializer};
use tallybox_client::post::{Options, Outcome as Posted, Prepared, Reporter};
use tallybox_client::traffic::{Generated, Hostility, Traffic};
use tallybox_client::{Address, ClientError, Clock as ClientClock, Report};
use tallybox_ingestor::http::Server;
use tallybox_ingestor::ingestor::Ingestor;
use tallybox_model::client_config::ClientMetric;
use tallybox_model::id::PacketId;
use tallybox_model::report::{ProblemKind, SCHEMA_VERSIONS};
use tallybox_service::clock::Clock;
use tokio_util::sync::CancellationToken;

use crate::error::Error;
use crate::flow::Flow;
use crate::outcome::DoorOutcome;
use crate::world::World;

/// Traffic indices of hostile posts begin here, apart from those of the lying ingestor's packets.
const HOSTILE_INDEX: u64 = 1 << 49;

/// An ingestor that serves, until it is dropped or [closed](Self::close).
pub(crate) struct Door {
    pub(crate) ingestor: Arc<Ingestor>,
    pub(crate) address: std::net::SocketAddr,
    shutdown: CancellationToken,
    serving: tokio::task::JoinHandle<()>,
}

/// What a client may try at the door.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Post {
    /// A report with something wrong in it.
    Hostile(Hostility),
    /// The report of traffic index `of` once more: a lost answer, or a replay.
    Again {
        /// Which one.
        of: u64,
    },
    /// The sealed shares of report `of` under an id of their own.
    Copied {
        /// Which one.
        of: u64,
    },
}

/// What the door answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DoorAnswer {
    /// It is kept.
    Accepted,
    /// It was kept before.
    AlreadyAccepted,
    /// It is not kept.
    Rejected(ProblemKind),
}

impl Door {
    /// Opens the ingestor by its configuration file and lets it serve on a free port.
    pub(crate) async fn open(world: &World, clock: Clock) -> Result<Self, Error> {
        let mut ingestor = world.ingestor_program()?;
        ingestor.clock = clock;
        Self::serve(ingestor, |pages| pages).await
    }

    /// Lets an ingestor serve where its configuration says, with something in front of its pages.
    pub(crate) async fn serve(ingestor: Ingestor, front: impl FnOnce(Router) -> Router) -> Result<Self, Error> {
        let ingestor = Arc::new(ingestor);
        let server = Server::bind(Arc::clone(&ingestor)).await.map_err(Error::ingestor)?;
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

    /// Takes no more reports; every one that was answered is durable then.
    pub(crate) async fn close(self) -> Result<(), Error> {
        self.shutdown.cancel();
        let ended = self.serving.await;
        ended.map_err(|error| Error::Internal(format!("ingestor: {error}")))
    }

    /// A client that trusts this ingestor's configuration.
    pub(crate) fn reporter(&self, world: &World) -> Result<Reporter, Error> {
        let clock = self.ingestor.clock.clone();
        reporter(world, self.address, clock, Options::default().deadline)
    }
}

/// A client of the ingestor at this address, on this clock, that tries for so long to post a report.
pub(crate) fn reporter(
    world: &World,
    address: std::net::SocketAddr,
    clock: Clock,
    patience: Duration,
) -> Result<Reporter, Error> {
    let address: Address = format!("http://{address}")
        .parse()
        .map_err(|error| Error::Internal(format!("{error}")))?;
    let trust = world.trust(f64::from(u8::MAX));
    let mut options = Options::default();
    options.deadline = patience;
    // Whoever is impatient does not wait for one answer either.
    options.timeouts.connect = options.timeouts.connect.min(patience);
    options.timeouts.request = options.timeouts.request.min(2 * patience);
    options.backoff.cap = options.backoff.cap.min(patience);
    // The clock of a sandbox stands within the years that a timestamp has.
    options.clock = ClientClock::new(move || jiff::Timestamp::from_millisecond(clock.millis()).unwrap_or_default());
    Reporter::new(&address, trust, options).map_err(|error| Error::Internal(error.to_string()))
}

impl Post {
    /// Every kind, about the honest report `of`.
    pub fn every(of: u64) -> Vec<Self> {
        let hostile = Hostility::every(of).into_iter().map(Self::Hostile);
        hostile.chain([Self::Again { of }, Self::Copied { of }]).collect()
    }

    fn make(self, traffic: &Traffic, index: u64) -> Result<Generated, ClientError> {
        match self {
            Self::Hostile(hostility) => traffic.hostile(index, hostility),
            Self::Again { of } => traffic.packet(of),
            Self::Copied { of } => {
                let mut copied = traffic.packet(of)?;
                copied.report.id = traffic.packet(index)?.report.id;
                Ok(copied)
            }
        }
    }

    /// What the door has to answer.
    pub fn deserves(self) -> DoorAnswer {
        match self {
            Self::Again { .. } => DoorAnswer::AlreadyAccepted,
            // Only the batcher sees that the shares were there before.
            Self::Copied { .. } => DoorAnswer::Accepted,
            Self::Hostile(hostility) => match hostility {
                Hostility::NotAPoint(_) => DoorAnswer::Rejected(ProblemKind::BadEphemeralKey),
                Hostility::ShortCiphertext(_)
                | Hostility::ShortShare(_)
                | Hostility::LongShare(_)
                | Hostility::OneBinMore => DoorAnswer::Rejected(ProblemKind::BadShareLength),
                Hostility::SwappedShares => DoorAnswer::Rejected(ProblemKind::SwappedShares),
                Hostility::DuplicateId { .. } => DoorAnswer::Rejected(ProblemKind::Conflict),
                Hostility::UnknownKeyId(_) => DoorAnswer::Rejected(ProblemKind::OutdatedKey),
                // What only a processor can see: the proof, and what is under the seal.
                _ => DoorAnswer::Accepted,
            },
        }
    }
}

/// Posts reports, and gives what the door answered for each, in their order.
pub(crate) async fn post(
    reporter: &Reporter,
    metric: &ClientMetric,
    now: i64,
    reports: Vec<Report>,
) -> Result<Vec<DoorAnswer>, Error> {
    let version = *SCHEMA_VERSIONS.end();
    let prepared = reports
        .into_iter()
        .map(|report| report.into_upload(metric, version, Some(now)));
    let prepared: Vec<Prepared> = prepared.map(Prepared::from).collect();
    let outcomes = reporter.send_all(prepared).await;
    outcomes.into_iter().map(answer).collect()
}

fn answer(posted: Posted) -> Result<DoorAnswer, Error> {
    match posted {
        Posted::Accepted => Ok(DoorAnswer::Accepted),
        Posted::AlreadyAccepted => Ok(DoorAnswer::AlreadyAccepted),
        Posted::Dropped(problem) => match problem.known() {
            Some(kind) => Ok(DoorAnswer::Rejected(kind)),
            None => Err(Error::Check(format!("the door answered {}", problem.kind))),
        },
        Posted::TryLater { cause, .. } => Err(Error::Check(format!("a report could not be posted: {cause}"))),
        other => Err(Error::Internal(format!("posting came to {other:?}"))),
    }
}

/// Posts every kind of hostile report of a metric, one kind after another, and checks each answer. Gives what is to be
/// shown, and how many were kept that the batcher has to batch, and to drop.
pub(crate) async fn post_hostile(
    reporter: &Reporter,
    metric: &ClientMetric,
    now: i64,
    flow: &Flow,
) -> Result<(Vec<DoorOutcome>, [u64; 2]), Error> {
    let mut outcomes = Vec::new();
    let (mut batched, mut dropped) = (0, 0);
    for (place, attack) in (0..).zip(Post::every(flow.posted.start)) {
        let generated = attack.make(&flow.traffic, HOSTILE_INDEX | place)?;
        let id = generated.report.id;
        let answers = post(reporter, metric, now, vec![generated.report]).await?;
        check(flow, attack, id, &answers)?;
        match (attack, attack.deserves()) {
            (Post::Copied { .. }, _) => dropped += 1,
            (_, DoorAnswer::Accepted) => batched += 1,
            _ => {}
        }
        outcomes.push(DoorOutcome {
            kind: attack.to_string(),
            reports: 1,
            answer: attack.deserves(),
        });
    }
    Ok((outcomes, [batched, dropped]))
}

fn check(flow: &Flow, attack: Post, id: PacketId, answers: &[DoorAnswer]) -> Result<(), Error> {
    let expected = attack.deserves();
    if answers == [expected] {
        return Ok(());
    }
    Err(Error::Check(format!(
        "{}: the door answered {answers:?} to report {id} ({attack}), not {expected:?}",
        flow.aggregation
    )))
}

impl fmt::Display for Post {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hostile(hostility) => hostility.fmt(f),
            Self::Again { .. } => f.write_str("the same again"),
            Self::Copied { .. } => f.write_str("copied under another id"),
        }
    }
}

impl fmt::Display for DoorAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Accepted => "accepted",
            Self::AlreadyAccepted => "alreadyAccepted",
            Self::Rejected(kind) => kind.name(),
        })
    }
}

impl Serialize for DoorAnswer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
