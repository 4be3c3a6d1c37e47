//! Simulated clients that report continuously: honest ones, hostile ones, and some that repeat
//! earlier posts. Every report is recorded before it is posted.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha20Rng;
use tallybox_client::post::{PostOutcome, Prepared, Reporter};
use tallybox_client::traffic::{Generated, Hostility, Traffic};
use tallybox_model::client_config::ClientMetric;
use tallybox_model::id::{AggregationId, PacketId};
use tallybox_model::report::{ReportUpload, SCHEMA_VERSIONS, StoredReport};
use tallybox_model::role::Role;
use tallybox_service::clock::Clock;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::truth::{Discrepancy, Posted, SharedPostedReports};
use crate::error::Error;
use crate::keys::SandboxKeys;

/// Number of concurrent clients.
const POSTER_COUNT: u64 = 4;
/// Maximum number of reports in a post.
const MAX_REPORTS_PER_POST: u64 = 8;
/// Start of the traffic indices of hostile reports, apart from those of honest ones.
const HOSTILE_INDEX: u64 = 1 << 49;
/// Pause between two attempts to post the remaining reports at the end.
const LAST_PAUSE: Duration = Duration::from_millis(100);
/// Number of reports in each of the initial posts.
const REPORTS_PER_BURST: usize = 250;
/// Number of accepted reports that are retained to be posted again.
const MAX_REPEATABLE: usize = 200;

/// Probabilities, per thousand reports, that a report is hostile, an unchanged repetition, or a
/// copy under another id.
const HOSTILE_PER_MILLE: u64 = 30;
const REPEATED_PER_MILLE: u64 = 20;
const COPIED_PER_MILLE: u64 = 10;

/// The clients of one metric.
#[derive(Debug)]
pub(super) struct Flow {
    pub(super) traffic: Traffic,
    pub(super) metric: ClientMetric,
    pub(super) aggregation: AggregationId,
}

/// All clients.
pub(super) struct ClientTraffic {
    pub(super) flows: Vec<Flow>,
    pub(super) posted_reports: SharedPostedReports,
    pub(super) keys: Arc<SandboxKeys>,
    /// The clock of the clients.
    pub(super) clock: Clock,
    /// Reports per second, over all metrics.
    pub(super) rate: f64,
    pub(super) seed: u64,
    pub(super) state: Mutex<State>,
}

/// State that all clients share.
#[derive(Debug, Default)]
pub(super) struct State {
    next: u64,
    /// Reports that are not known to be stored, to be posted again.
    waiting: VecDeque<Sealed>,
    /// Accepted reports, to be repeated.
    accepted: VecDeque<Sealed>,
    /// Discrepancies found in the answers.
    discrepancies: Vec<(Discrepancy, String)>,
}

/// A report that is ready to be posted.
#[derive(Debug, Clone)]
struct Sealed {
    /// Its number among the posted reports.
    number: usize,
    upload: ReportUpload,
}

impl ClientTraffic {
    /// Posts `first` honest reports, then more until `stop`. After that, posts the outstanding
    /// reports until all are known to be stored, or until `end`.
    pub(super) async fn run(
        self: Arc<Self>,
        reporter: Reporter,
        first: u64,
        stop: CancellationToken,
        end: CancellationToken,
    ) {
        let _ = end
            .run_until_cancelled(Arc::clone(&self).burst(&reporter, first))
            .await;
        if self.rate <= 0.0 && self.waiting() == 0 {
            return;
        }
        let tasks = TaskTracker::new();
        for poster in 0..POSTER_COUNT {
            let (traffic, reporter, stop, end) = (
                Arc::clone(&self),
                reporter.clone(),
                stop.clone(),
                end.clone(),
            );
            tasks.spawn(async move {
                end.run_until_cancelled(traffic.post(poster, reporter, stop))
                    .await
            });
        }
        tasks.close();
        tasks.wait().await;
    }

    /// Posts this number of honest reports, one metric after the other.
    pub(super) async fn burst(self: Arc<Self>, reporter: &Reporter, reports: u64) {
        for begin in (0..reports).step_by(REPORTS_PER_BURST) {
            let traffic = Arc::clone(&self);
            let making = tokio::task::spawn_blocking(move || {
                let indices = begin..reports.min(begin + REPORTS_PER_BURST as u64);
                indices
                    .map(|index| {
                        traffic.make(index as usize % traffic.flows.len(), traffic.next(), None)
                    })
                    .collect()
            });
            match making.await {
                Ok(Ok(reports)) => self.send(reporter, reports).await,
                _ => self.state().discrepancies.push((
                    Discrepancy::Wrong,
                    "a client could not make its report".to_owned(),
                )),
            }
        }
    }

    fn next(&self) -> u64 {
        let mut state = self.state();
        state.next += 1;
        state.next
    }

    /// Returns and clears the discrepancies found in the ingestor's answers.
    pub(super) fn take_discrepancies(&self) -> Vec<(Discrepancy, String)> {
        std::mem::take(&mut self.state().discrepancies)
    }

    /// Returns the number of reports that are not known to be stored.
    pub(super) fn waiting(&self) -> usize {
        self.state().waiting.len()
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn post(self: Arc<Self>, poster: u64, reporter: Reporter, stop: CancellationToken) {
        let mut dice = ChaCha20Rng::seed_from_u64(self.seed ^ ((poster + 1) << 32));
        loop {
            let (begun, many) = (Instant::now(), dice.random_range(1..=MAX_REPORTS_PER_POST));
            let (traffic, seed) = (Arc::clone(&self), dice.random());
            let fresh = !stop.is_cancelled() && self.rate > 0.0;
            // Splitting and encrypting is CPU work, so it runs on a blocking thread.
            let drawing =
                tokio::task::spawn_blocking(move || traffic.draw(many, fresh, seed)).await;
            let Ok(Ok(reports)) = drawing else {
                let discrepancy = (
                    Discrepancy::Wrong,
                    "a client could not make its report".to_owned(),
                );
                self.state().discrepancies.push(discrepancy);
                return;
            };
            self.send(&reporter, reports).await;
            if !fresh {
                sleep(LAST_PAUSE).await;
                if self.waiting() == 0 {
                    return;
                }
            } else {
                let pause = Duration::from_secs_f64((many * POSTER_COUNT) as f64 / self.rate);
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
        let mut posted_reports = self.posted_reports.lock();
        for (sealed, outcome) in reports.into_iter().zip(outcomes) {
            match outcome {
                PostOutcome::Accepted | PostOutcome::AlreadyAccepted => {
                    posted_reports.acknowledge(sealed.number);
                    state.accepted.push_back(sealed);
                    if state.accepted.len() > MAX_REPEATABLE {
                        state.accepted.pop_front();
                    }
                }
                PostOutcome::TryLater { .. } => state.waiting.push_back(sealed),
                PostOutcome::Dropped(problem) => {
                    if !posted_reports.refuse(sealed.number, &problem.kind) {
                        let sentence = format!(
                            "the ingestor refused honest report {}: {}",
                            sealed.number, problem.kind
                        );
                        state.discrepancies.push((Discrepancy::Lost, sentence));
                    }
                }
                other => state.discrepancies.push((
                    Discrepancy::Wrong,
                    format!("a post had the unexpected outcome {other:?}"),
                )),
            }
        }
    }

    /// Chooses reports to post. Outstanding reports are preferred; without `fresh` there are no
    /// others.
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

    /// Makes a new report, or repeats one that was accepted before.
    fn fresh(&self, dice: &mut ChaCha20Rng) -> Result<Sealed, Error> {
        let roll = dice.random_range(0..1000);
        if roll < REPEATED_PER_MILLE + COPIED_PER_MILLE {
            let accepted = {
                let state = self.state();
                let index = dice.random_range(0..state.accepted.len().max(1));
                state.accepted.get(index).cloned()
            };
            if let Some(sealed) = accepted {
                return Ok(self.repeat(sealed, roll >= REPEATED_PER_MILLE, dice));
            }
        }
        let flow = dice.random_range(0..self.flows.len());
        let hostility = (roll >= 1000 - HOSTILE_PER_MILLE)
            .then(|| HOSTILITIES[dice.random_range(0..HOSTILITIES.len())]);
        self.make(flow, self.next(), hostility)
    }

    fn make(&self, flow: usize, index: u64, hostility: Option<Hostility>) -> Result<Sealed, Error> {
        let Flow {
            traffic,
            metric,
            aggregation,
        } = &self.flows[flow];
        let Generated {
            report, noisy_bits, ..
        } = match hostility {
            None => traffic.packet(index)?,
            Some(hostility) => traffic.hostile(HOSTILE_INDEX | index, hostility)?,
        };
        let upload = report.into_upload(metric, *SCHEMA_VERSIONS.end(), Some(self.clock.millis()));
        let number = self.posted_reports.lock().post(Posted {
            metric: aggregation.clone(),
            bits: noisy_bits,
            honest: hostility.is_none(),
            id: upload.id.clone(),
            packet: self.packet(&upload),
        });
        Ok(Sealed { number, upload })
    }

    /// Repeats a report unchanged, or copies its shares under a new id.
    fn repeat(&self, mut sealed: Sealed, copied: bool, dice: &mut ChaCha20Rng) -> Sealed {
        let other = copied.then(|| {
            sealed.upload.id =
                PacketId(uuid::Builder::from_random_bytes(dice.random()).into_uuid()).to_string();
            self.packet(&sealed.upload)
        });
        self.posted_reports.lock().repeat(sealed.number, other);
        sealed
    }

    /// Returns the packet id that the processors will use. Outside a sandbox only the ingestor can
    /// compute it.
    fn packet(&self, upload: &ReportUpload) -> PacketId {
        let digest = StoredReport::from_upload(upload, &upload.id).digest();
        PacketId::from_bytes(self.keys.secret.packet(&digest.report).packet)
    }
}

/// The kinds of hostile reports. The ingestor detects some of them, one processor others, and
/// `InvalidProof` only both processors together.
const HOSTILITIES: [Hostility; 6] = [
    Hostility::InvalidProof,
    Hostility::Undecryptable(Role::First),
    Hostility::Undecryptable(Role::Second),
    Hostility::NotInField,
    Hostility::ShortCiphertext(Role::First),
    Hostility::NotAPoint(Role::Second),
];
