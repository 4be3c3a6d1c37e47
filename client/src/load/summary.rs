//! The results of a load run.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;
use tallybox_service::output::Summary;
use tallybox_service::progress::grouped;

use super::tally::Tally;

/// The results of a load run, in numbers.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct LoadSummary {
    /// Duration of the run.
    pub seconds: f64,
    /// Posts sent.
    pub posts: u64,
    /// Reports sent.
    pub reports: u64,
    /// Bytes of all bodies.
    pub bytes: u64,
    /// Posts per second with status 200.
    pub posts_per_second: f64,
    /// Durable reports per second.
    pub reports_per_second: f64,
    /// Reports that this run made durable.
    pub accepted: u64,
    /// Reports that were durable before.
    pub already_accepted: u64,
    /// Rejected reports, by problem.
    pub rejected: BTreeMap<String, u64>,
    /// Reports without a result: the connection broke, or the response was not valid.
    pub unanswered: u64,
    /// Failures, by kind.
    pub failures: BTreeMap<String, u64>,
    /// Posts by HTTP status.
    pub statuses: BTreeMap<u16, u64>,
    /// Reports with an unexpected result: 0 for a correct server that is not overloaded.
    pub surprises: BTreeMap<String, u64>,
    /// Time from sending a post on an open connection to the end of its response.
    pub latency: Latency,
    /// Time from the scheduled start of a post to the end of its response, so that a slow server
    /// cannot hide its latency by receiving fewer posts. Only with a rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since_due: Option<Latency>,
}

/// Percentiles of a latency, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Latency {
    /// 50th percentile.
    pub p50_ms: f64,
    /// 90th percentile.
    pub p90_ms: f64,
    /// 99th percentile.
    pub p99_ms: f64,
    /// 99.9th percentile.
    pub p99_9_ms: f64,
    /// Maximum.
    pub max_ms: f64,
}

impl LoadSummary {
    pub(super) fn new(tally: &Tally, elapsed: Duration, paced: bool) -> Self {
        let seconds = elapsed.as_secs_f64();
        let rate = |count: u64| count as f64 / seconds.max(1e-9);
        let good = tally.statuses.get(&200).copied().unwrap_or_default();
        let failures = tally.failures.iter();
        Self {
            seconds,
            posts: tally.posts,
            reports: tally.reports,
            bytes: tally.bytes,
            posts_per_second: rate(good),
            reports_per_second: rate(tally.accepted + tally.already),
            accepted: tally.accepted,
            already_accepted: tally.already,
            rejected: tally.rejected.clone(),
            unanswered: tally.unanswered,
            failures: failures
                .map(|(what, count)| ((*what).to_owned(), *count))
                .collect(),
            statuses: tally.statuses.clone(),
            surprises: tally.surprises.clone(),
            latency: Latency::from_histogram(&tally.latency),
            since_due: paced.then(|| Latency::from_histogram(&tally.since_due)),
        }
    }
}

impl Latency {
    fn from_histogram(histogram: &Histogram<u64>) -> Self {
        let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1000.0;
        Self {
            p50_ms: at(0.5),
            p90_ms: at(0.9),
            p99_ms: at(0.99),
            p99_9_ms: at(0.999),
            max_ms: histogram.max() as f64 / 1000.0,
        }
    }
}

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "p50 {:.1} ms, p90 {:.1}, p99 {:.1}, p99.9 {:.1}, max {:.1}",
            self.p50_ms, self.p90_ms, self.p99_ms, self.p99_9_ms, self.max_ms
        )
    }
}

impl Summary for LoadSummary {
    fn human(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} posts with {} reports in {:.1} s, {:.1} MB",
            grouped(self.posts),
            grouped(self.reports),
            self.seconds,
            self.bytes as f64 / 1e6
        )?;
        writeln!(
            f,
            "{} posts/s with status 200, {} reports/s durable",
            grouped(self.posts_per_second as u64),
            grouped(self.reports_per_second as u64)
        )?;
        writeln!(f, "accepted          {}", grouped(self.accepted))?;
        writeln!(f, "already accepted  {}", grouped(self.already_accepted))?;
        lines(f, "rejected", &self.rejected)?;
        lines(f, "status", &self.statuses)?;
        lines(f, "failed", &self.failures)?;
        lines(f, "unexpected", &self.surprises)?;
        if self.unanswered > 0 {
            writeln!(f, "unanswered        {}", grouped(self.unanswered))?;
        }
        write!(f, "latency    {}", self.latency)?;
        if let Some(since_due) = &self.since_due {
            write!(f, "\nsince due  {since_due}")?;
        }
        Ok(())
    }
}

fn lines<K: fmt::Display>(
    f: &mut fmt::Formatter<'_>,
    what: &str,
    counts: &BTreeMap<K, u64>,
) -> fmt::Result {
    counts
        .iter()
        .try_for_each(|(name, count)| writeln!(f, "{what} {name}: {}", grouped(*count)))
}
