//! A virtual device: one connection that posts repeatedly.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::header::{CONTENT_TYPE, HOST};
use rand::Rng as _;
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;
use tallybox_model::report::ReportStatus;
use tallybox_service::progress::Progress;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use uuid::{Builder, Uuid};

use super::LoadOptions;
use super::body::{Frame, LoadFormat};
use super::connector::{Connection, Connector};
use super::error::LoadError;
use super::maker::{Maker, Ready};
use super::mix::uniform;
use super::tally::{Expected, Tally};
use crate::address::Address;
use crate::config::TrustedConfig;

/// Number of accepted reports that a device keeps for replays.
const MAX_REPLAYABLE_REPORTS: usize = 32;
/// Timeout of a response.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(60);
/// Delay after a failed connection.
const RECONNECT_DELAY: Duration = Duration::from_millis(50);

/// The common settings of all devices.
pub(super) struct LoadPlan {
    connector: Connector,
    path: String,
    authority: String,
    frame: Frame,
    bulk: usize,
    bad: f64,
    replayed: f64,
    duration: Duration,
    /// Time between two posts of a device; `None` means full speed.
    interval: Option<Duration>,
    devices: usize,
    /// Number of reports that may still be sent.
    left: AtomicU64,
}

impl LoadPlan {
    pub(super) fn new(
        address: &Address,
        config: &TrustedConfig,
        options: &LoadOptions,
        form: LoadFormat,
    ) -> Result<Self, LoadError> {
        let page = address.page(&config.document().locality, "reports");
        let per_post = options.bulk as f64 * options.devices as f64;
        // The limit keeps `from_secs_f64` from panicking with very small rates.
        let interval = (options.rate > 0.0)
            .then(|| Duration::from_secs_f64((per_post / options.rate).min(1e6)));
        Ok(Self {
            connector: Connector::new(address, options.tls.clone())?,
            path: page.path().to_owned(),
            authority: page.authority().to_owned(),
            frame: Frame::new(form, options.bulk == 1),
            bulk: options.bulk,
            bad: options.bad,
            replayed: options.replayed,
            duration: options.duration,
            interval,
            devices: options.devices,
            left: AtomicU64::new(options.reports.unwrap_or(u64::MAX)),
        })
    }

    /// Reserves the reports of the next post, and returns their number.
    fn reserve_reports(&self) -> usize {
        let wanted = self.bulk as u64;
        let previous = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                Some(left - left.min(wanted))
            });
        previous.map_or(0, |left| left.min(wanted) as usize)
    }
}

/// A report of a post.
#[derive(Clone)]
struct Sent {
    ready: Ready,
    id: Uuid,
    expected: Expected,
}

/// A virtual device.
pub(super) struct Device {
    number: usize,
    plan: Arc<LoadPlan>,
    maker: Arc<Maker>,
    tally: Arc<Mutex<Tally>>,
    progress: Progress,
    rng: ChaCha8Rng,
    connection: Option<Connection>,
    accepted: VecDeque<Sent>,
}

impl Device {
    pub(super) fn new(
        number: usize,
        plan: Arc<LoadPlan>,
        maker: Arc<Maker>,
        tally: Arc<Mutex<Tally>>,
        progress: Progress,
        rng: ChaCha8Rng,
    ) -> Self {
        Self {
            number,
            plan,
            maker,
            tally,
            progress,
            rng,
            connection: None,
            accepted: VecDeque::new(),
        }
    }

    /// Posts until the duration has passed or no reports are left.
    pub(super) async fn run(mut self, started: Instant) {
        let end = started + self.plan.duration;
        // With a rate, the first posts of the devices are spread over one interval, so that they do
        // not coincide.
        let interval = self.plan.interval;
        let mut due = match interval {
            Some(interval) => {
                started + interval.mul_f64(self.number as f64 / self.plan.devices as f64)
            }
            None => started,
        };
        loop {
            if let Some(interval) = interval {
                if due >= end {
                    return;
                }
                sleep_until(due).await;
                if !self.step(due, end).await {
                    return;
                }
                due += interval;
            } else if !self.step(Instant::now(), end).await {
                return;
            }
        }
    }

    /// Sends one post. Returns false if there is to be no other.
    async fn step(&mut self, due: Instant, end: Instant) -> bool {
        if Instant::now() >= end {
            return false;
        }
        let count = self.plan.reserve_reports();
        if count == 0 {
            return false;
        }
        let Ok(sent) = self.draw(count) else {
            self.tally().failed("seal", count as u64);
            return true;
        };
        let body = self
            .plan
            .frame
            .body(sent.iter().map(|sent| (&*sent.ready.template, sent.id)));
        let bytes = body.len() as u64;
        {
            let mut tally = self.tally();
            tally.posts += 1;
            tally.reports += count as u64;
            tally.bytes += bytes;
        }
        match timeout(RESPONSE_TIMEOUT, self.post(body)).await {
            Ok(Ok((start, status, answer))) => {
                self.tally()
                    .answered(status, start.elapsed(), due.elapsed());
                self.count(status, &answer, sent);
            }
            Ok(Err(what)) => {
                self.record_failure(what, count);
                sleep(RECONNECT_DELAY).await;
            }
            Err(_) => self.record_failure("timeout", count),
        }
        self.progress.advance(count as u64, bytes);
        true
    }

    fn record_failure(&mut self, what: &'static str, count: usize) {
        self.connection = None;
        self.tally().failed(what, count as u64);
    }

    /// Draws the reports of a post.
    fn draw(&mut self, count: usize) -> Result<Vec<Sent>, LoadError> {
        (0..count).map(|_| self.draw_report()).collect()
    }

    fn draw_report(&mut self) -> Result<Sent, LoadError> {
        let kind = uniform(&mut self.rng);
        if kind < self.plan.replayed && !self.accepted.is_empty() {
            let index = self.rng.next_u64() as usize % self.accepted.len();
            return Ok(self.accepted[index].clone());
        }
        let is_bad = (self.plan.replayed..self.plan.replayed + self.plan.bad).contains(&kind);
        let ready = if is_bad {
            self.maker.bad(&mut self.rng)
        } else {
            self.maker.good(&mut self.rng)?
        };
        let mut bytes = [0; 16];
        self.rng.fill_bytes(&mut bytes);
        Ok(Sent {
            id: Builder::from_random_bytes(bytes).into_uuid(),
            expected: ready.fault.map_or(Expected::Accepted, Expected::Rejected),
            ready,
        })
    }

    /// Sends a body. Returns the time of sending on an open connection, the status and the
    /// response.
    async fn post(&mut self, body: Bytes) -> Result<(Instant, u16, Bytes), &'static str> {
        let mut connection = match self
            .connection
            .take()
            .filter(|connection| !connection.is_closed())
        {
            Some(connection) => connection,
            None => self.plan.connector.connect().await?,
        };
        connection.ready().await.map_err(|_| "connection")?;
        let request = Request::post(self.plan.path.as_str())
            .header(HOST, self.plan.authority.as_str())
            .header(CONTENT_TYPE, self.plan.frame.media_type())
            .body(Full::new(body))
            .map_err(|_| "request")?;
        let start = Instant::now();
        let response = connection
            .send_request(request)
            .await
            .map_err(|_| "connection")?;
        let status = response.status().as_u16();
        let answer = response
            .into_body()
            .collect()
            .await
            .map_err(|_| "connection")?;
        self.connection = Some(connection);
        Ok((start, status, answer.to_bytes()))
    }

    /// Counts the result of each report in a response.
    fn count(&mut self, status: u16, answer: &[u8], sent: Vec<Sent>) {
        let results = parse_results(status, answer, sent.len());
        let tally = Arc::clone(&self.tally);
        let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(results) = results else {
            tally.failed("answer", sent.len() as u64);
            return;
        };
        for (mut sent, ReceivedResult { status, problem }) in sent.into_iter().zip(results) {
            let kind = problem.as_ref().map_or("", |problem| &problem.kind);
            tally.report(sent.expected, status, kind);
            if self.plan.replayed > 0.0 && status == ReportStatus::Accepted {
                if self.accepted.len() == MAX_REPLAYABLE_REPORTS {
                    self.accepted.pop_front();
                }
                sent.expected = Expected::AlreadyAccepted;
                self.accepted.push_back(sent);
            }
        }
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The result of a report. Only the counted members are parsed.
#[derive(Deserialize)]
struct ReceivedResult<'a> {
    status: ReportStatus,
    #[serde(borrow, default)]
    problem: Option<ReceivedProblem<'a>>,
}

#[derive(Clone, Deserialize)]
struct ReceivedProblem<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
}

#[derive(Deserialize)]
struct ReceivedResults<'a> {
    #[serde(borrow)]
    results: Vec<ReceivedResult<'a>>,
}

/// Returns the result of each of `count` reports in a response.
fn parse_results(status: u16, answer: &[u8], count: usize) -> Option<Vec<ReceivedResult<'_>>> {
    if status != 200 {
        let problem: ReceivedProblem<'_> = serde_json::from_slice(answer).ok()?;
        let result = || ReceivedResult {
            status: ReportStatus::Rejected,
            problem: Some(problem.clone()),
        };
        return Some((0..count).map(|_| result()).collect());
    }
    let results = if count == 1 {
        serde_json::from_slice::<ReceivedResult<'_>>(answer)
            .map(|result| vec![result])
            .or_else(|_| {
                serde_json::from_slice::<ReceivedResults<'_>>(answer).map(|many| many.results)
            })
            .ok()?
    } else {
        serde_json::from_slice::<ReceivedResults<'_>>(answer)
            .ok()?
            .results
    };
    (results.len() == count).then_some(results)
}
