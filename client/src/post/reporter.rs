//! Makes reports, and posts them until their outcome is known.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rand::Rng as _;
use reqwest::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE};
use reqwest::{Client, Url};
use tallybox_model::client_config::AttestationPolicy;
use tallybox_model::report::ReportUpload;
use tokio::time::{Instant, sleep};

use super::attest::{Attester, attest};
use super::body::{Body, BodyFormat};
use super::decision::{Decision, decide};
use super::prepared::MakeError;
use super::reply::Reply;
use super::slot::{Slot, State, apply};
use super::{Backoff, Cause, PostOutcome, Prepared, ReportError};
use crate::address::Address;
use crate::clock::ClientClock;
use crate::config::{ClientConfigError, ConfigSource, Trust, TrustedConfig};
use crate::encoding::Value;
use crate::wire::{self, Timeouts};

/// Size limit of a response, in bytes.
const MOST_BYTES: usize = 16 << 20;
/// Limits of reports and bytes per body while no configuration is available.
const DEFAULT_LIMITS: (usize, usize) = (500, 1 << 20);

/// The options of a reporter.
#[derive(Clone)]
#[non_exhaustive]
pub struct Options {
    /// How long a report is retried before it is returned to the caller. Default: two minutes.
    pub deadline: Duration,
    /// The delays between attempts.
    pub backoff: Backoff,
    /// The timeouts of requests.
    pub timeouts: Timeouts,
    /// The encoding of several reports in one body.
    pub bulk: BodyFormat,
    /// True to compress bodies. Sealed shares do not compress, but base64 and field names do.
    pub gzip: bool,
    /// The attester, for localities that use attestation.
    pub attester: Option<Arc<dyn Attester>>,
    /// The clock.
    pub clock: ClientClock,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(120),
            backoff: Backoff::default(),
            timeouts: Timeouts::default(),
            bulk: BodyFormat::default(),
            gzip: false,
            attester: None,
            clock: ClientClock::system(),
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("deadline", &self.deadline)
            .field("backoff", &self.backoff)
            .field("timeouts", &self.timeouts)
            .finish_non_exhaustive()
    }
}

/// Makes and posts the reports of one locality. Clones share connections and configuration.
#[derive(Debug, Clone)]
pub struct Reporter {
    source: ConfigSource,
    http: Client,
    page: Url,
    options: Arc<Options>,
}

impl Reporter {
    /// Creates a reporter for the ingestor at `address`.
    ///
    /// # Errors
    /// [`ClientConfigError::Unreachable`] if HTTPS is not available on this system.
    pub fn new(
        address: &Address,
        trust: Trust,
        options: Options,
    ) -> Result<Self, ClientConfigError> {
        let page = address.page(&trust.locality, "reports");
        let http =
            wire::http_client(address, options.timeouts).map_err(ClientConfigError::Unreachable)?;
        Ok(Self {
            source: ConfigSource::new(address, trust, options.clock.clone(), options.timeouts)?,
            http,
            page,
            options: Arc::new(options),
        })
    }

    /// Returns the source of the configuration.
    #[must_use]
    pub fn source(&self) -> &ConfigSource {
        &self.source
    }

    /// Reports one answer: [`prepare`](Self::prepare) and [`send`](Self::send).
    ///
    /// # Errors
    /// As [`prepare`](Self::prepare).
    pub async fn report(&self, metric: &str, value: &Value) -> Result<PostOutcome, ReportError> {
        match self.prepare(metric, value).await? {
            None => Ok(PostOutcome::NotSampled),
            Some(report) => Ok(self.send(report).await),
        }
    }

    /// Makes a report of an answer with the current configuration; `None` if sampling excludes this
    /// client.
    ///
    /// # Errors
    /// [`ReportError`] if there is no configuration, the answer does not match the metric, or the
    /// device cannot attest.
    pub async fn prepare(
        &self,
        metric: &str,
        value: &Value,
    ) -> Result<Option<Prepared>, ReportError> {
        let config = self.source.current().await?;
        let Some(trusted) = config.metric(metric) else {
            let metric = metric.to_owned();
            return Err(ReportError::NotCounted { metric });
        };
        // The report is made before sampling, so that a wrong answer is always reported as an
        // error.
        let made = Prepared::make(&config, trusted, value, self.now(), &mut rand::rng());
        let named = || metric.to_owned();
        let mut report = made.map_err(|error| match error {
            MakeError::Encode(source) => ReportError::Encode {
                metric: named(),
                source,
            },
            MakeError::Make(source) => ReportError::Make {
                metric: named(),
                source,
            },
        })?;
        if !is_sampled(trusted.metric.sampling, rand::rng().next_u64()) {
            return Ok(None);
        }
        self.attest(&config, report.upload_mut())?;
        Ok(Some(report))
    }

    /// Posts a report until its outcome is known, or the deadline has passed.
    pub async fn send(&self, report: Prepared) -> PostOutcome {
        let outcome = self.send_all(vec![report]).await.pop();
        // `send_all` returns one outcome per report, so the default is never used.
        outcome.unwrap_or(PostOutcome::NotSampled)
    }

    /// Posts reports in batches as large as the configuration allows. Returns one outcome per
    /// report, in order.
    pub async fn send_all(&self, reports: Vec<Prepared>) -> Vec<PostOutcome> {
        let mut slots: Vec<Slot> = reports.into_iter().map(Slot::new).collect();
        let deadline = Instant::now() + self.options.deadline;
        let mut failures = 0;
        loop {
            let asked = self.post_open(&mut slots).await;
            let renewed = self.renew_stale(&mut slots).await;
            if slots
                .iter()
                .all(|slot| matches!(slot.state, State::Done(_)))
            {
                break;
            }
            failures += 1;
            // A report that was just made again has not failed yet.
            let wait = if renewed {
                Duration::ZERO
            } else {
                self.options.backoff.wait(failures, &mut rand::rng())
            };
            let wait = wait.max(asked);
            // No attempt is possible before the deadline, so the caller gets the reports back now.
            if Instant::now() + wait > deadline {
                return slots.into_iter().map(|slot| slot.finish(wait)).collect();
            }
            sleep(wait).await;
        }
        slots
            .into_iter()
            .map(|slot| slot.finish(Duration::ZERO))
            .collect()
    }

    /// Posts every open report once. Returns the delay that the ingestor requests.
    async fn post_open(&self, slots: &mut [Slot]) -> Duration {
        let (most_reports, most_bytes) = self.limits().await;
        let open: Vec<usize> = (0..slots.len())
            .filter(|&index| matches!(slots[index].state, State::Open(_)))
            .collect();
        let mut groups: Vec<Vec<usize>> =
            open.chunks(most_reports).map(<[usize]>::to_vec).collect();
        // `pop` takes the groups in their original order.
        groups.reverse();
        let mut asked = Duration::ZERO;
        while let Some(mut group) = groups.pop() {
            let uploads: Vec<&ReportUpload> = group
                .iter()
                .map(|&index| slots[index].report.upload())
                .collect();
            let body = Body::encode(&uploads, self.options.bulk, self.options.gzip);
            let (reply, after) = match body {
                Ok(body) if body.bytes.len() > most_bytes && group.len() > 1 => {
                    (Reply::too_large(), None)
                }
                Ok(body) => self.post(body, group.len()).await,
                // Encoding cannot fail, because the report has just been made.
                Err(_) => (Reply::Nothing(Cause::Answer), None),
            };
            asked = asked.max(after.unwrap_or_default());
            if let Reply::Problem(problem) = &reply
                && decide(problem) == Decision::Halve
                && group.len() > 1
            {
                let half = group.split_off(group.len() / 2);
                groups.extend([half, group]);
                continue;
            }
            apply(slots, &group, reply);
        }
        asked
    }

    /// Sends one post and returns the response.
    async fn post(&self, body: Body, reports: usize) -> (Reply, Option<Duration>) {
        let mut request = self
            .http
            .post(self.page.clone())
            .header(CONTENT_TYPE, body.media_type)
            .header(ACCEPT, "application/json, application/problem+json");
        if body.gzip {
            request = request.header(CONTENT_ENCODING, "gzip");
        }
        let response = match request.body(body.bytes).send().await {
            Ok(response) => response,
            Err(error) => return (Reply::failed(&error), None),
        };
        let status = response.status();
        let after = wire::retry_after(response.headers(), &self.options.clock);
        let reply = match wire::body(response, MOST_BYTES).await {
            Ok(Some(bytes)) => Reply::read(status, &bytes, reports),
            Ok(None) => Reply::Nothing(Cause::Answer),
            Err(error) => Reply::failed(&error),
        };
        (reply, after)
    }

    /// Makes those reports again that were made with an outdated configuration. Returns whether
    /// there were any and a configuration was available. Without a new configuration, the old
    /// reports are posted again.
    async fn renew_stale(&self, slots: &mut [Slot]) -> bool {
        let mut stale: Vec<&mut Slot> = slots
            .iter_mut()
            .filter(|slot| matches!(slot.state, State::Stale(_)))
            .collect();
        if stale.is_empty() {
            return false;
        }
        let config = self.source.refresh().await.ok();
        for slot in &mut stale {
            slot.renew(config.as_deref(), |config, report| {
                let mut remade = report.remake(config, self.now(), &mut rand::rng())?;
                self.attest(config, remade.upload_mut()).ok()?;
                Some(remade)
            });
        }
        config.is_some()
    }

    fn attest(&self, config: &TrustedConfig, upload: &mut ReportUpload) -> Result<(), ReportError> {
        match (config.document().attestation, &self.options.attester) {
            (AttestationPolicy::None, _) | (AttestationPolicy::Optional, None) => Ok(()),
            (AttestationPolicy::Required, None) => Err(ReportError::NoAttester),
            (AttestationPolicy::Required, Some(attester)) => {
                attest(attester.as_ref(), upload).map_err(ReportError::Attestation)
            }
            // With optional attestation, a report of a device that cannot attest is sent without.
            (AttestationPolicy::Optional, Some(attester)) => {
                let _ = attest(attester.as_ref(), upload);
                Ok(())
            }
        }
    }

    /// Returns the limits of reports and bytes per body.
    async fn limits(&self) -> (usize, usize) {
        let Ok(config) = self.source.current().await else {
            return DEFAULT_LIMITS;
        };
        let limits = &config.document().limits;
        let number = |limit: u64| usize::try_from(limit).unwrap_or(usize::MAX);
        (number(limits.max_reports), number(limits.max_body_bytes))
    }

    fn now(&self) -> i64 {
        self.options.clock.now().as_millisecond()
    }
}

/// Returns whether sampling includes a client with this random number: always with a fraction of 1,
/// never with 0.
fn is_sampled(share: f64, draw: u64) -> bool {
    share >= 1.0 || (draw as f64) < share * 2_f64.powi(64)
}
