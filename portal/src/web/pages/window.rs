//! "Where does this number come from?": everything that is known about a window.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Html;
use tallybox_estimate::Counts;
use tallybox_model::id::{AggregationId, Instance};
use tallybox_model::registry::MetricEntry;
use tallybox_model::time::{BatchTime, Window};

use super::findings::{FindingView, all_findings};
use super::table::{Cell, Table};
use crate::store::SumState;
use crate::web::error::WebError;
use crate::web::quantity::{Quantity, bin_estimates, bin_label};
use crate::web::shown::{Shown, state_name, state_text};
use crate::web::site::{Frame, Site, render};
use crate::web::source::{Provenance, WindowKey};
use crate::web::text::{self, count_of, decimal, long_time};

/// Most bins in the table of the page. Downloads contain all.
const MAX_BINS: usize = 200;
/// Most batches that the page lists. The evidence contains all.
const MAX_BATCHES: usize = 50;

/// The page.
#[derive(Template)]
#[template(path = "window.html")]
struct WindowPage {
    frame: Frame,
    metric: String,
    instance: String,
    window: String,
    exact: String,
    meaning: String,
    state: &'static str,
    state_text: &'static str,
    explanation: &'static str,
    facts: Vec<(&'static str, String)>,
    flags: Vec<&'static str>,
    noise: Option<Noise>,
    bins: Option<Table>,
    rest: usize,
    parts: Vec<PartView>,
    batches: Vec<String>,
    more_batches: usize,
    versions: Table,
    findings: Vec<FindingView>,
}

/// The formula of the noise with its numbers.
struct Noise {
    epsilon: String,
    flip: String,
    reports: String,
    expected: String,
    contrast: String,
    standard_error: String,
    label: String,
    sum: String,
    estimate: String,
    range: String,
    mean: Option<String>,
}

/// A processor's sum part.
struct PartView {
    writer: String,
    key: String,
    fingerprint: String,
    files: Vec<(String, String, String)>,
}

/// Handles `/metrics/{aggregation}/{instance}/{start}-{end}`.
pub(crate) async fn window(
    State(site): State<Site>,
    Path((aggregation, instance, window)): Path<(String, String, String)>,
) -> Result<Html<String>, WebError> {
    let registry = site.source.metrics().await?;
    let missing = || WebError::NotFound(format!("the window {window:?} of {aggregation:?}"));
    let key = parse_key(&aggregation, &instance, &window).ok_or_else(missing)?;
    let (_, entry) = registry.entry(&aggregation).ok_or_else(missing)?;
    let rows = site.source.window(&key).await?;
    let newest = rows.first().cloned();
    let versions = Shown::versions(rows, site.options.minimum);
    // The length of a file tells how many reports were rejected, so a suppressed window shows none.
    let is_shown = versions
        .first()
        .is_some_and(|version| version.numbers.is_some());
    let provenance = match newest.filter(|_| is_shown) {
        Some(row) => site.source.provenance(&row).await?,
        None => None,
    };
    let findings = all_findings(&site).await?;
    let of_window = findings.iter().filter(|finding| {
        finding.window == key.window
            && finding.instance == key.instance
            && finding.aggregation == key.aggregation
    });
    let findings: Vec<FindingView> = of_window.map(FindingView::new).collect();
    if versions.is_empty() && findings.is_empty() {
        return Err(missing());
    }
    let frame = site.frame("metrics").await?;
    let page = WindowPage::new(frame, (&key, entry), versions);
    render(&page.with_origin(provenance, findings))
}

fn parse_key(aggregation: &str, instance: &str, window: &str) -> Option<WindowKey> {
    let (start, end) = window.split_once('-')?;
    let aggregation: AggregationId = aggregation.parse().ok()?;
    let instance: Instance = instance.parse().ok()?;
    let time = |text: &str| BatchTime::from_compact(text).ok();
    Some(WindowKey {
        window: Window::new(time(start)?, time(end)?).ok()?,
        aggregation,
        instance,
    })
}

impl WindowPage {
    fn new(frame: Frame, (key, entry): (&WindowKey, &MetricEntry), versions: Vec<Shown>) -> Self {
        let newest = versions.first();
        let counts = newest.and_then(Shown::counts);
        let state = newest.map_or(SumState::OneSide, |row| row.state);
        let bins = counts.map(|counts| bin_table(counts, entry));
        Self {
            frame,
            metric: key.aggregation.to_string(),
            instance: key.instance.to_string(),
            window: text::window(&key.window),
            exact: format!(
                "{} to {} (UTC)",
                long_time(key.window.start().millis()),
                long_time(key.window.end().millis())
            ),
            meaning: entry.meaning.clone(),
            state: state_name(state),
            state_text: state_text(state),
            explanation: explanation(state),
            facts: newest.map(facts).unwrap_or_default(),
            flags: flags(entry, &versions),
            noise: counts.and_then(|counts| Noise::new(counts, entry)),
            rest: counts.map_or(0, |counts| counts.sums().len().saturating_sub(MAX_BINS)),
            bins,
            parts: Vec::new(),
            batches: Vec::new(),
            more_batches: 0,
            versions: version_table(&versions),
            findings: Vec::new(),
        }
    }

    /// Adds signatures, digests, batches and findings.
    fn with_origin(mut self, provenance: Option<Provenance>, findings: Vec<FindingView>) -> Self {
        self.findings = findings;
        let Some(Provenance { batches, parts }) = provenance else {
            return self;
        };
        self.more_batches = batches.len().saturating_sub(MAX_BATCHES);
        let listed = batches.iter().take(MAX_BATCHES);
        self.batches = listed.map(ToString::to_string).collect();
        self.parts = parts.into_iter().map(part_view).collect();
        self
    }
}

fn part_view(part: crate::pair::PartOrigin) -> PartView {
    let file = |file: crate::pair::FileDigest| {
        let bytes = format!("{} bytes", decimal(file.bytes as f64, 0));
        (file.file, bytes, file.sha256.to_hex())
    };
    PartView {
        writer: part.writer.to_string(),
        key: part.signed_by.key,
        fingerprint: part.signed_by.fingerprint,
        files: part.files.into_iter().map(file).collect(),
    }
}

fn explanation(state: SumState) -> &'static str {
    match state {
        SumState::Summed => {
            "Both processors have published a signed sum part. The portal verified both signatures \
             and digests, compared batches, counts and parameters, and added the parts."
        }
        SumState::OneSide => {
            "Only one processor has published its sum part. One part alone is random numbers and \
             reveals nothing, so there is no number yet."
        }
        SumState::Refused => {
            "Both sum parts exist, but they do not belong together, so the portal did not add them. \
             The findings below have the figures of both sides and the next step."
        }
        SumState::BelowMinimum => {
            "The window has fewer reports than the minimum. Its numbers are not shown anywhere, and \
             they are part of no total."
        }
        SumState::Superseded => "A signed correction has replaced this sum.",
    }
}

fn facts(row: &Shown) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    if let Some(numbers) = &row.numbers {
        let counts = &numbers.counts;
        facts.extend([
            ("Reports in the sum", decimal(counts.reports() as f64, 0)),
            (
                "Reports that the processors rejected",
                decimal(numbers.rejected as f64, 0),
            ),
            ("Batches in the sum", decimal(numbers.batches as f64, 0)),
            ("Epsilon", counts.mechanism().epsilon().to_string()),
        ]);
    }
    facts.push(("Version", row.version.to_string()));
    facts.push((
        "Added by the portal",
        format!("{} (UTC)", long_time(row.added)),
    ));
    if !row.evidence.is_empty() {
        facts.push(("Evidence", row.evidence.clone()));
    }
    facts
}

fn flags(entry: &MetricEntry, versions: &[Shown]) -> Vec<&'static str> {
    let newest = versions.first();
    let epsilon = newest
        .and_then(Shown::counts)
        .map(|counts| counts.mechanism().epsilon());
    let suppressed = newest.is_some_and(|row| row.state == SumState::BelowMinimum);
    let flags = [
        (suppressed, "below the minimum: suppressed"),
        (
            versions.len() > 1,
            "corrected: there is more than one version",
        ),
        (
            epsilon.is_some_and(|epsilon| epsilon != entry.epsilon),
            "the epsilon of the reports differs from the registry's",
        ),
    ];
    flags
        .into_iter()
        .filter(|(set, _)| *set)
        .map(|(_, text)| text)
        .collect()
}

impl Noise {
    fn new(counts: &Counts, entry: &MetricEntry) -> Option<Self> {
        let kind = entry.encoding.kind;
        let skipped = usize::from(counts.sums().len() > 1);
        let bins = counts.sums().iter().enumerate().skip(skipped);
        let bin = bins.max_by_key(|(_, sum)| **sum).map_or(0, |(bin, _)| bin);
        let sum = *counts.sums().get(bin)?;
        let mechanism = counts.mechanism();
        let reports = counts.reports();
        let estimate = Quantity::Count.estimate(counts, bin)?;
        let flip = mechanism.flip_probability();
        let mean = (Quantity::of(kind) == Quantity::Mean).then(|| {
            let mean = Quantity::Mean.estimate(counts, 0)?;
            let number = Quantity::Mean.number(&mean);
            Some(format!(
                "{number} ({})",
                Quantity::Mean.range(&mean, reports)
            ))
        });
        Some(Self {
            epsilon: mechanism.epsilon().to_string(),
            flip: format!("{flip:.7}"),
            reports: decimal(reports as f64, 0),
            expected: decimal(reports as f64 * flip, 2),
            contrast: format!("{:.7}", mechanism.contrast()),
            standard_error: decimal(estimate.standard_error, 2),
            label: bin_label(&entry.encoding, bin),
            sum: decimal(sum as f64, 0),
            estimate: decimal(estimate.value, 2),
            range: Quantity::Count.range(&estimate, reports),
            mean: mean.flatten(),
        })
    }
}

fn bin_table(counts: &Counts, entry: &MetricEntry) -> Table {
    let head = [
        "Bin",
        "Sum",
        "Estimate",
        "Standard error",
        "95 % interval",
        "Share of reports",
    ];
    let estimates = bin_estimates(counts);
    let row = |bin: usize| {
        let estimate = &estimates[bin];
        let share = Quantity::Share.estimate(counts, bin);
        let share = share.map(|share| Quantity::Share.number(&share));
        vec![
            Cell::text(bin_label(&entry.encoding, bin)),
            Cell::number(decimal(counts.sums()[bin] as f64, 0)),
            Cell::number(decimal(estimate.value, 1)),
            Cell::number(decimal(estimate.standard_error, 1)),
            Cell::number(Quantity::Count.range(estimate, counts.reports())),
            Cell::number(share.unwrap_or_default()),
        ]
    };
    Table {
        caption: "Sums and estimates of the bins".to_owned(),
        head: head.map(str::to_owned).to_vec(),
        rows: (0..estimates.len().min(MAX_BINS)).map(row).collect(),
    }
}

fn version_table(versions: &[Shown]) -> Table {
    let row = |row: &Shown| {
        let reports = row
            .counts()
            .map(|counts| decimal(counts.reports() as f64, 0));
        vec![
            Cell::text(row.version.to_string()),
            Cell::text(state_text(row.state)),
            Cell::number(reports.unwrap_or_else(|| "–".to_owned())),
            Cell::text(long_time(row.added)),
            Cell::text(row.evidence.clone()),
        ]
    };
    Table {
        caption: count_of(versions.len(), "version"),
        head: ["Version", "State", "Reports", "Added", "Evidence"]
            .map(str::to_owned)
            .to_vec(),
        rows: versions.iter().map(row).collect(),
    }
}
