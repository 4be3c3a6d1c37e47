//! What a run of load shows.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;
use tallybox_service::output::Summary;
use tallybox_service::progress::grouped;

use super::tally::Tally;

/// What a run of load shows, in numbers.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct LoadSummary {
    /// How long it took.
    pub seconds: f64,
    /// Posts that were sent.
    pub posts: u64,
    /// Reports in them.
    pub reports: u64,
    /// Bytes of their bodies.
    pub bytes: u64,
    /// Posts a second that were answered with status 200.
    pub posts_per_second: f64,
    /// Reports a second that are durable.
    pub reports_per_second: f64,
    /// Reports that are durable now.
    pub accepted: u64,
    /// Reports that were durable before.
    pub already_accepted: u64,
    /// Rejected reports, by problem.
    pub rejected: BTreeMap<String, u64>,
    /// Reports of which nothing is known: the connection broke, or the answer made no sense.
    pub unanswered: u64,
    /// What broke, by kind.
    pub failures: BTreeMap<String, u64>,
    /// Posts by HTTP status.
    pub statuses: BTreeMap<u16, u64>,
    /// Reports that were answered otherwise than they deserve: 0 for a good server that is not overloaded.
    pub surprises: BTreeMap<String, u64>,
    /// From sending a post, on a connection that is there, to its whole answer.
    pub latency: Latency,
    /// From the moment a post was due, so that a slow server cannot hide by being asked less. Only with a rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since_due: Option<Latency>,
}

/// Percentiles in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Latency {
    /// Half are below.
    pub p50_ms: f64,
    /// Nine in ten are below.
    pub p90_ms: f64,
    /// 99 in a hundred are below.
    pub p99_ms: f64,
    /// 999 in a thousand are below.
    pub p99_9_ms: f64,
    /// The longest.
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
            failures: failures.map(|(what, count)| ((*what).to_owned(), *count)).collect(),
            statuses: tally.statuses.clone(),
            surprises: tally.surprises.clone(),
            latency: Latency::of(&tally.latency),
            since_due: paced.then(|| Latency::of(&tally.since_due)),
        }
    }
}

impl Latency {
    fn of(histogram: &Histogram<u64>) -> Self {
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
            "{} posts/s answered 200, {} reports/s durable",
            grouped(self.posts_per_second as u64),
            grouped(self.reports_per_second as u64)
        )?;
        writeln!(f, "accepted          {}", grouped(self.accepted))?;
        writeln!(f, "already accepted  {}", grouped(self.already_accepted))?;
        lines(f, "rejected", &self.rejected)?;
        lines(f, "status", &self.statuses)?;
        lines(f, "failed", &self.failures)?;
        lines(f, "not as deserved", &self.surprises)?;
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

fn lines<K: fmt::Display>(f: &mut fmt::Formatter<'_>, what: &str, counts: &BTreeMap<K, u64>) -> fmt::Result {
    counts
        .iter()
        .try_for_each(|(name, count)| writeln!(f, "{what} {name}: {}", grouped(*count)))
}
