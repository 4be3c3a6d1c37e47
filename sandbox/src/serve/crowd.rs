//! Clients that report all the time: honest ones, a few hostile ones, and some that post what was posted before. What
//! each has sent is in the ledger before it is sent.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha20Rng;
use tallybox_client::post::{Outcome, Prepared, Reporter};
use tallybox_client::traffic::{Generated, Hostility, Traffic};
use tallybox_model::client_config::ClientMetric;
use tallybox_model::id::{AggregationId, PacketId};
use tallybox_model::report::{ReportUpload, SCHEMA_VERSIONS, StoredReport};
use tallybox_model::role::Role;
use tallybox_service::clock::Clock;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::truth::{Fault, Posted, SharedLedger};
use crate::error::Error;
use crate::keys::SandboxKeys;

/// Those who post at once.
const POSTERS: u64 = 4;
/// Most reports of a post.
const MOST: u64 = 8;
/// Traffic indices of hostile reports begin here.
const HOSTILE_INDEX: u64 = 1 << 49;
/// Between two tries of what is left at the end.
const LAST_PAUSE: Duration = Duration::from_millis(100);
/// Reports of a post of the first of all.
const AT_ONCE: usize = 250;
/// How many reports are remembered to be posted again.
const REMEMBERED: usize = 200;

/// Chances in 1000 of what a client does who is not simply honest.
const HOSTILE: u64 = 30;
const AGAIN: u64 = 20;
const COPIED: u64 = 10;

/// One metric's clients.
#[derive(Debug)]
pub(super) struct Flow {
    pub(super) traffic: Traffic,
    pub(super) metric: ClientMetric,
    pub(super) aggregation: AggregationId,
}

/// All clients.
pub(super) struct Crowd {
    pub(super) flows: Vec<Flow>,
    pub(super) ledger: SharedLedger,
    pub(super) keys: Arc<SandboxKeys>,
    /// What time clients have.
    pub(super) clock: Clock,
    /// Reports a second, over all metrics.
    pub(super) rate: f64,
    pub(super) seed: u64,
    pub(super) state: Mutex<State>,
}

/// What clients have in hand.
#[derive(Debug, Default)]
pub(super) struct State {
    next: u64,
    /// Not known to be kept: they come again.
    waiting: VecDeque<Sealed>,
    /// Kept, for those who post them once more.
    kept: VecDeque<Sealed>,
    /// What is wrong.
    troubles: Vec<(Fault, String)>,
}

/// A report, ready to be posted.
#[derive(Debug, Clone)]
struct Sealed {
    /// In the ledger.
    number: usize,
    upload: ReportUpload,
}

impl Crowd {
    /// Posts `first` honest reports, and then more until it is told to stop taking up anything new; then until all that
    /// waits is known to be kept, or `end`.
    pub(super) async fn run(
        self: Arc<Self>,
        reporter: Reporter,
        first: u64,
        stop: CancellationToken,
        end: CancellationToken,
    ) {
        let _ = end.run_until_cancelled(Arc::clone(&self).burst(&reporter, first)).await;
        if self.rate <= 0.0 && self.waiting() == 0 {
            return;
        }
        let tasks = TaskTracker::new();
        for poster in 0..POSTERS {
            let (crowd, reporter, stop, end) = (Arc::clone(&self), reporter.clone(), stop.clone(), end.clone());
            tasks.spawn(async move { end.run_until_cancelled(crowd.post(poster, reporter, stop)).await });
        }
        tasks.close();
        tasks.wait().await;
    }

    /// Posts so many honest reports, one metric after the other.
    pub(super) async fn burst(self: Arc<Self>, reporter: &Reporter, reports: u64) {
        for begin in (0..reports).step_by(AT_ONCE) {
            let crowd = Arc::clone(&self);
            let making = tokio::task::spawn_blocking(move || {
                let places = begin..reports.min(begin + AT_ONCE as u64);
                places
                    .map(|place| crowd.make(place as usize % crowd.flows.len(), crowd.next(), None))
                    .collect()
            });
            match making.await {
                Ok(Ok(reports)) => self.send(reporter, reports).await,
                _ => self
                    .state()
                    .troubles
                    .push((Fault::Wrong, "a client could not make its report".to_owned())),
            }
        }
    }

    fn next(&self) -> u64 {
        let mut state = self.state();
        state.next += 1;
        state.next
    }

    /// What is wrong with what the door answered.
    pub(super) fn troubles(&self) -> Vec<(Fault, String)> {
        std::mem::take(&mut self.state().troubles)
    }

    /// How many reports are not known to be kept.
    pub(super) fn waiting(&self) -> usize {
        self.state().waiting.len()
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn post(self: Arc<Self>, poster: u64, reporter: Reporter, stop: CancellationToken) {
        let mut dice = ChaCha20Rng::seed_from_u64(self.seed ^ ((poster + 1) << 32));
        loop {
            let (begun, many) = (Instant::now(), dice.random_range(1..=MOST));
            let (crowd, seed) = (Arc::clone(&self), dice.random());
            let fresh = !stop.is_cancelled() && self.rate > 0.0;
            // Splitting and sealing is work.
            let drawing = tokio::task::spawn_blocking(move || crowd.draw(many, fresh, seed)).await;
            let Ok(Ok(reports)) = drawing else {
                let trouble = (Fault::Wrong, "a client could not make its report".to_owned());
                self.state().troubles.push(trouble);
                return;
            };
            self.send(&reporter, reports).await;
            if !fresh {
                sleep(LAST_PAUSE).await;
                if self.waiting() == 0 {
                    return;
                }
            } else {
                let pause = Duration::from_secs_f64((many * POSTERS) as f64 / self.rate);
                let _ = stop.run_until_cancelled(sleep_until(begun + pause)).await;
            }
        }
    }

    async fn send(&self, reporter: &Reporter, reports: Vec<Sealed>) {
        if reports.is_empty() {
            return;
        }
        let prepared = reports
            .iter()
            .map(|sealed| Prepared::from(sealed.upload.clone()))
            .collect();
        let outcomes = reporter.send_all(prepared).await;
        let mut state = self.state();
        let mut ledger = self.ledger.lock();
        for (sealed, outcome) in reports.into_iter().zip(outcomes) {
            match outcome {
                Outcome::Accepted | Outcome::AlreadyAccepted => {
                    ledger.acknowledge(sealed.number);
                    state.kept.push_back(sealed);
                    if state.kept.len() > REMEMBERED {
                        state.kept.pop_front();
                    }
                }
                Outcome::TryLater { .. } => state.waiting.push_back(sealed),
                Outcome::Dropped(problem) => {
                    if !ledger.refuse(sealed.number, &problem.kind) {
                        let sentence = format!("honest report {} was refused: {}", sealed.number, problem.kind);
                        state.troubles.push((Fault::Lost, sentence));
                    }
                }
                other => state.troubles.push((Fault::Wrong, format!("a post came to {other:?}"))),
            }
        }
    }

    /// Some reports. What waits comes first, mostly; without `fresh` it is all that comes.
    fn draw(&self, many: u64, fresh: bool, seed: u64) -> Result<Vec<Sealed>, Error> {
        let mut dice = ChaCha20Rng::seed_from_u64(seed);
        let mut drawn = Vec::new();
        for _ in 0..many {
            let waiting = if !fresh || dice.random_bool(0.7) {
                self.state().waiting.pop_front()
            } else {
                None
            };
            match waiting {
                Some(sealed) => drawn.push(sealed),
                None if fresh => drawn.push(self.fresh(&mut dice)?),
                None => break,
            }
        }
        Ok(drawn)
    }

    /// A new report, or one that was kept before.
    fn fresh(&self, dice: &mut ChaCha20Rng) -> Result<Sealed, Error> {
        let luck = dice.random_range(0..1000);
        if luck < AGAIN + COPIED {
            let kept = {
                let state = self.state();
                let place = dice.random_range(0..state.kept.len().max(1));
                state.kept.get(place).cloned()
            };
            if let Some(sealed) = kept {
                return Ok(self.repeat(sealed, luck >= AGAIN, dice));
            }
        }
        let flow = dice.random_range(0..self.flows.len());
        let hostility = (luck >= 1000 - HOSTILE).then(|| HOSTILITIES[dice.random_range(0..HOSTILITIES.len())]);
        self.make(flow, self.next(), hostility)
    }

    fn make(&self, flow: usize, index: u64, hostility: Option<Hostility>) -> Result<Sealed, Error> {
        let Flow {
            traffic,
            metric,
            aggregation,
        } = &self.flows[flow];
        let Generated { report, noisy_bits, .. } = match hostility {
            None => traffic.packet(index)?,
            Some(hostility) => traffic.hostile(HOSTILE_INDEX | index, hostility)?,
        };
        let upload = report.into_upload(metric, *SCHEMA_VERSIONS.end(), Some(self.clock.millis()));
        let number = self.ledger.lock().post(Posted {
            metric: aggregation.clone(),
            bits: noisy_bits,
            honest: hostility.is_none(),
            id: upload.id.clone(),
            packet: self.packet(&upload),
        });
        Ok(Sealed { number, upload })
    }

    /// The same once more, or its shares under an id of their own.
    fn repeat(&self, mut sealed: Sealed, copied: bool, dice: &mut ChaCha20Rng) -> Sealed {
        let other = copied.then(|| {
            sealed.upload.id = PacketId(uuid::Builder::from_random_bytes(dice.random()).into_uuid()).to_string();
            self.packet(&sealed.upload)
        });
        self.ledger.lock().repeat(sealed.number, other);
        sealed
    }

    /// The id that processors will know a report by. Only the ingestor could say.
    fn packet(&self, upload: &ReportUpload) -> PacketId {
        let digest = StoredReport::of(upload, &upload.id).digest();
        PacketId::from_bytes(self.keys.secret.packet(&digest.report).packet)
    }
}

/// What the hostile ones try: some of it the door sees, some of it only the processors do, and only together.
const HOSTILITIES: [Hostility; 6] = [
    Hostility::InvalidProof,
    Hostility::Undecryptable(Role::First),
    Hostility::Undecryptable(Role::Second),
    Hostility::NotInField,
    Hostility::ShortCiphertext(Role::First),
    Hostility::NotAPoint(Role::Second),
];
