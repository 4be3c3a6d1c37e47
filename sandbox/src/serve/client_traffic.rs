//! Simulated clients: honest ones, hostile ones, and some that repeat earlier posts. Every report
//! is recorded before it is posted.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha20Rng;
use rayon::prelude::*;
use tallybox_client::post::{PostOutcome, Prepared, Reporter};
use tallybox_client::traffic::{Generated, GeneratedAnswer, Hostility, Traffic};
use tallybox_model::client_config::ClientMetric;
use tallybox_model::id::{AggregationId, PacketId};
use tallybox_model::report::{ReportUpload, SCHEMA_VERSIONS, StoredReport};
use tallybox_service::clock::Clock;
use tallybox_service::progress::Progress;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::truth::{Discrepancy, Posted, SharedPostedReports};
use crate::error::Error;
use crate::ingestor_server::{HOSTILITIES, Post, PostAnswer};
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
pub(crate) struct Flow {
    pub(crate) traffic: Traffic,
    pub(crate) metric: ClientMetric,
    pub(crate) aggregation: AggregationId,
    /// The traffic index of the next report.
    pub(super) next: AtomicU64,
}

/// All clients.
pub(crate) struct ClientTraffic {
    pub(crate) flows: Vec<Flow>,
    pub(crate) posted_reports: SharedPostedReports,
    pub(super) keys: Arc<SandboxKeys>,
    /// The clock of the clients.
    pub(super) clock: Clock,
    /// Reports per second, over all metrics.
    pub(super) rate: f64,
    pub(crate) seed: u64,
    pub(super) state: Mutex<State>,
}

/// State that all clients share.
#[derive(Debug, Default)]
pub(super) struct State {
    /// Reports that are not known to be stored, to be posted again.
    waiting: VecDeque<Sealed>,
    /// Accepted reports, to be repeated.
    accepted: VecDeque<Sealed>,
    /// Discrepancies found in the answers.
    discrepancies: Vec<(Discrepancy, String)>,
}

/// A report that is ready to be posted.
#[derive(Debug, Clone)]
pub(crate) struct Sealed {
    /// Its number among the posted reports.
    number: usize,
    /// Its metric, as a position among the flows.
    flow: usize,
    /// Its traffic index.
    pub(crate) index: u64,
    upload: ReportUpload,
}

impl ClientTraffic {
    /// Posts `first` honest reports, then more until `stop`. After that, posts the outstanding
    /// reports until all are known to be stored, or until `end`. `bar` shows the first reports.
    pub(crate) async fn run(
        self: Arc<Self>,
        reporter: Reporter,
        (first, bar): (u64, Progress),
        stop: CancellationToken,
        end: CancellationToken,
    ) {
        let _ = end
            .run_until_cancelled(self.burst(&reporter, first, &bar))
            .await;
        if self.rate <= 0.0 && self.waiting() == 0 {
            return;
        }
        let tasks = TaskTracker::new();
        for poster in 0..POSTER_COUNT {
            let traffic = Arc::clone(&self);
            let posting = traffic.post(poster, reporter.clone(), stop.clone());
            let end = end.clone();
            tasks.spawn(async move { end.run_until_cancelled(posting).await });
        }
        tasks.close();
        tasks.wait().await;
    }

    /// Posts this number of honest reports, one metric after the other.
    pub(super) async fn burst(self: &Arc<Self>, reporter: &Reporter, reports: u64, bar: &Progress) {
        for begin in (0..reports).step_by(REPORTS_PER_BURST) {
            let end = reports.min(begin + REPORTS_PER_BURST as u64);
            let flows = self.flows.len() as u64;
            let flow = |number| (number % flows) as usize;
            let indices: Vec<(usize, u64)> = (begin..end)
                .map(|number| (flow(number), self.next(flow(number))))
                .collect();
            let traffic = Arc::clone(self);
            // Splitting and encrypting is CPU work, so it runs on blocking threads.
            let making = tokio::task::spawn_blocking(move || {
                let generated = indices.into_par_iter().map(|(flow, index)| {
                    Ok((flow, index, traffic.flows[flow].traffic.packet(index)?))
                });
                let generated: Vec<(usize, u64, Generated)> =
                    generated.collect::<Result<_, Error>>()?;
                let record =
                    |(flow, index, generated)| traffic.record(flow, index, generated, true);
                Ok::<Vec<Sealed>, Error>(generated.into_iter().map(record).collect())
            });
            if let Some(made) = self.made(making.await) {
                self.send(reporter, made).await;
                bar.advance(end - begin, end - begin);
            }
        }
    }

    /// Posts a hostile report of each kind for a metric. Returns each kind with the ingestor's
    /// answer, which is `None` if it gave none.
    pub(crate) async fn post_hostile(
        &self,
        reporter: &Reporter,
        flow: usize,
    ) -> Result<Vec<(Post, Option<PostAnswer>)>, Error> {
        let original = {
            let state = self.state();
            let mut accepted = state.accepted.iter();
            accepted.find(|sealed| sealed.flow == flow).cloned()
        };
        let missing = || Error::Check("the ingestor has accepted no honest report".to_owned());
        let original = original.ok_or_else(missing)?;
        // The copies of each metric need ids of their own.
        let mut dice = ChaCha20Rng::seed_from_u64(self.seed ^ ((flow as u64 + 1) << 48));
        let mut answers = Vec::new();
        for post in Post::every(original.index) {
            let sealed = self.attack(post, &original, &mut dice)?;
            let answer = self.send(reporter, vec![sealed]).await;
            answers.push((post, answer.into_iter().next().flatten()));
        }
        Ok(answers)
    }

    /// Returns a traffic index that no other report of the metric uses.
    fn next(&self, flow: usize) -> u64 {
        self.flows[flow].next.fetch_add(1, Ordering::Relaxed)
    }

    /// Returns the reports that a blocking thread has made; a failure is a discrepancy.
    fn made(
        &self,
        made: Result<Result<Vec<Sealed>, Error>, tokio::task::JoinError>,
    ) -> Option<Vec<Sealed>> {
        if let Ok(Ok(reports)) = made {
            return Some(reports);
        }
        let sentence = "a client could not make its report".to_owned();
        let discrepancy = (Discrepancy::Wrong, sentence);
        self.state().discrepancies.push(discrepancy);
        None
    }

    /// Returns and clears the discrepancies found in the ingestor's answers.
    pub(crate) fn take_discrepancies(&self) -> Vec<(Discrepancy, String)> {
        std::mem::take(&mut self.state().discrepancies)
    }

    /// Returns the number of reports to be posted again.
    pub(super) fn waiting(&self) -> usize {
        self.state().waiting.len()
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn post(self: Arc<Self>, poster: u64, reporter: Reporter, stop: CancellationToken) {
        let mut dice = ChaCha20Rng::seed_from_u64(self.seed ^ ((poster + 1) << 32));
        loop {
            let begun = Instant::now();
            let many = dice.random_range(1..=MAX_REPORTS_PER_POST);
            let seed = dice.random();
            let traffic = Arc::clone(&self);
            let fresh = !stop.is_cancelled() && self.rate > 0.0;
            let drawing = tokio::task::spawn_blocking(move || traffic.draw(many, fresh, seed));
            let Some(reports) = self.made(drawing.await) else {
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

    /// Posts reports and records the outcomes. Returns the ingestor's answers; `None` for a report
    /// that is posted again later.
    async fn send(&self, reporter: &Reporter, reports: Vec<Sealed>) -> Vec<Option<PostAnswer>> {
        let prepared = reports
            .iter()
            .map(|sealed| Prepared::from(sealed.upload.clone()));
        let outcomes = reporter.send_all(prepared.collect()).await;
        let pairs = reports.into_iter().zip(outcomes);
        pairs
            .map(|(sealed, outcome)| self.record_outcome(sealed, outcome))
            .collect()
    }

    /// Records the outcome of a report.
    fn record_outcome(&self, sealed: Sealed, outcome: PostOutcome) -> Option<PostAnswer> {
        let mut state = self.state();
        let mut posted_reports = self.posted_reports.lock();
        let answer = match outcome {
            PostOutcome::Accepted => PostAnswer::Accepted,
            PostOutcome::AlreadyAccepted => PostAnswer::AlreadyAccepted,
            PostOutcome::TryLater { .. } => {
                state.waiting.push_back(sealed);
                return None;
            }
            PostOutcome::Dropped(problem) => {
                if !posted_reports.refuse(sealed.number, &problem.kind) {
                    let number = sealed.number;
                    let sentence = format!(
                        "the ingestor refused honest report {number}: {}",
                        problem.kind
                    );
                    state.discrepancies.push((Discrepancy::Lost, sentence));
                }
                return problem.known().map(PostAnswer::Rejected);
            }
            other => {
                let sentence = format!("a post had the unexpected outcome {other:?}");
                state.discrepancies.push((Discrepancy::Wrong, sentence));
                return None;
            }
        };
        posted_reports.acknowledge(sealed.number);
        state.accepted.push_back(sealed);
        if state.accepted.len() > MAX_REPEATABLE {
            state.accepted.pop_front();
        }
        Some(answer)
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
        let repetition = match roll {
            _ if roll < REPEATED_PER_MILLE => Some(Post::Repeated),
            _ if roll < REPEATED_PER_MILLE + COPIED_PER_MILLE => Some(Post::Copied),
            _ => None,
        };
        if let Some(post) = repetition {
            let accepted = {
                let state = self.state();
                let index = dice.random_range(0..state.accepted.len().max(1));
                state.accepted.get(index).cloned()
            };
            if let Some(original) = accepted {
                return self.attack(post, &original, dice);
            }
        }
        let flow = dice.random_range(0..self.flows.len());
        let hostility = (roll >= 1000 - HOSTILE_PER_MILLE)
            .then(|| HOSTILITIES[dice.random_range(0..HOSTILITIES.len())]);
        self.make(flow, hostility)
    }

    /// Makes a new report of a metric.
    fn make(&self, flow: usize, hostility: Option<Hostility>) -> Result<Sealed, Error> {
        let traffic = &self.flows[flow].traffic;
        let index = self.next(flow);
        let generated = match hostility {
            None => traffic.packet(index)?,
            Some(hostility) => traffic.hostile(HOSTILE_INDEX | index, hostility)?,
        };
        Ok(self.record(flow, index, generated, hostility.is_none()))
    }

    /// Records a report before it is posted.
    fn record(&self, flow: usize, index: u64, generated: Generated, honest: bool) -> Sealed {
        let Flow {
            metric,
            aggregation,
            ..
        } = &self.flows[flow];
        let version = *SCHEMA_VERSIONS.end();
        let now = Some(self.clock.millis());
        let upload = generated.report.into_upload(metric, version, now);
        let number = self.posted_reports.lock().post(Posted {
            metric: aggregation.clone(),
            answer: GeneratedAnswer {
                true_bits: generated.true_bits,
                noisy_bits: generated.noisy_bits,
            },
            honest,
            id: upload.id.clone(),
            packet: self.packet(&upload),
        });
        Sealed {
            number,
            flow,
            index,
            upload,
        }
    }

    /// Makes a hostile report from an accepted one: a new one, the same unchanged, or its shares
    /// under a new id.
    fn attack(
        &self,
        post: Post,
        original: &Sealed,
        dice: &mut ChaCha20Rng,
    ) -> Result<Sealed, Error> {
        let mut sealed = original.clone();
        let copy = match post {
            Post::Hostile(hostility) => return self.make(original.flow, Some(hostility)),
            Post::Repeated => None,
            Post::Copied => {
                let id = PacketId(uuid::Builder::from_random_bytes(dice.random()).into_uuid());
                sealed.upload.id = id.to_string();
                Some(self.packet(&sealed.upload))
            }
        };
        self.posted_reports.lock().repeat(sealed.number, copy);
        Ok(sealed)
    }

    /// Returns the packet id that the processors will use. Outside a sandbox only the ingestor can
    /// compute it.
    fn packet(&self, upload: &ReportUpload) -> PacketId {
        let digest = StoredReport::from_upload(upload, &upload.id).digest();
        PacketId::from_bytes(self.keys.secret.packet(&digest.report).packet)
    }
}
