//! The overview: the latest value of each metric, what is new, what is missing or late, and the open
//! findings.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::State;
use axum::response::Html;
use tallybox_model::id::{AggregationId, Instance};
use tallybox_model::registry::{MetricEntry, Registry};

use super::findings::{FindingView, open_findings};
use super::metric::{course::series, main_bin};
use crate::store::{FindingRow, SumState};
use crate::web::charts::Spark;
use crate::web::days::{DayState, Days};
use crate::web::error::WebError;
use crate::web::quantity::{Quantity, bin_label};
use crate::web::shown::Shown;
use crate::web::site::{Frame, Site, render};
use crate::web::source::Filter;
use crate::web::text::{DAY_MILLIS, count_of, day_of, decimal, long_day, long_time};

/// Days that the overview covers.
const DAYS: i64 = 30;
/// Days after the end of a window until it counts as late.
const GRACE: i64 = 1;
/// Most findings on the page.
const MAX_FINDINGS: usize = 5;

/// Why a day has no sum: the state, its description, and its class.
const REASONS: [(DayState, &str, &str); 4] = [
    (DayState::OneSide, "one side only", "one-side"),
    (DayState::Refused, "refused", "refused"),
    (DayState::Missing, "missing on both sides", "missing"),
    (DayState::Incomplete, "incomplete", "partial"),
];

/// The page.
#[derive(Template)]
#[template(path = "overview.html")]
struct Overview {
    frame: Frame,
    tiles: Vec<Tile>,
    metrics: Vec<MetricLine>,
    gaps: Vec<Gap>,
    findings: Vec<FindingView>,
    more_findings: usize,
}

/// A number in large type.
struct Tile {
    number: String,
    text: &'static str,
    detail: String,
    link: &'static str,
    alert: bool,
}

/// The latest value of a metric.
struct MetricLine {
    name: String,
    meaning: String,
    what: String,
    number: String,
    interval: String,
    day: String,
    spark: String,
    status: &'static str,
    status_text: String,
}

/// Days of one metric without a sum, for all instances that miss the same days.
struct Gap {
    metric: String,
    instances: String,
    what: &'static str,
    class: &'static str,
    days: String,
    side: String,
    link: Option<String>,
}

/// The input of the page's functions.
struct Data {
    windows: Vec<Shown>,
    findings: Vec<FindingRow>,
    /// The last day whose windows should be there.
    due: i64,
    now: i64,
}

/// Handles `/`.
pub(crate) async fn overview(State(site): State<Site>) -> Result<Html<String>, WebError> {
    let now = site.clock.millis();
    let due = day_of(now) - 1 - GRACE;
    let filter = Filter {
        from: Some((due - DAYS + 1) * DAY_MILLIS),
        ..Filter::default()
    };
    let registry = site.source.metrics().await?;
    let data = Data {
        windows: site.windows(&filter).await?,
        findings: open_findings(&site).await?,
        due,
        now,
    };
    render(&data.page(&registry, site.frame("overview").await?))
}

impl Data {
    fn page(self, registry: &Registry, frame: Frame) -> Overview {
        let mut gaps = Vec::new();
        let mut metrics = Vec::new();
        for (name, entry) in &registry.metrics {
            let windows: Vec<&Shown> = self
                .windows
                .iter()
                .filter(|window| window.aggregation == *name)
                .collect();
            metrics.push(self.metric(name, entry, &windows));
            gaps.extend(self.gaps(name, &windows));
        }
        let all = self.findings.iter();
        let findings: Vec<FindingView> = all.take(MAX_FINDINGS).map(FindingView::new).collect();
        Overview {
            frame,
            tiles: self.tiles(&gaps),
            metrics,
            gaps,
            more_findings: self.findings.len() - findings.len(),
            findings,
        }
    }

    fn tiles(&self, gaps: &[Gap]) -> Vec<Tile> {
        let latest = self
            .windows
            .iter()
            .map(|window| window.added)
            .max()
            .unwrap_or(0);
        let is_new =
            |window: &&Shown| window.numbers.is_some() && window.added > latest - DAY_MILLIS;
        let new: Vec<&Shown> = self.windows.iter().filter(is_new).collect();
        let reports = new.iter().filter_map(|window| window.counts());
        let reports: u64 = reports.map(tallybox_estimate::Counts::reports).sum();
        let is_suppressed = |window: &&Shown| window.state == SumState::BelowMinimum;
        let suppressed = self.windows.iter().filter(is_suppressed).count();
        vec![
            Tile {
                number: decimal(new.len() as f64, 0),
                text: "new windows",
                detail: format!("in the last day: {} reports", decimal(reports as f64, 0)),
                link: "#metrics",
                alert: false,
            },
            Tile {
                number: decimal(gaps.len() as f64, 0),
                text: "series with gaps",
                detail: format!("missing or late in the last {DAYS} days"),
                link: "#gaps",
                alert: !gaps.is_empty(),
            },
            Tile {
                number: decimal(self.findings.len() as f64, 0),
                text: "open findings",
                detail: "sums that could not be added".to_owned(),
                link: "#findings",
                alert: !self.findings.is_empty(),
            },
            Tile {
                number: decimal(suppressed as f64, 0),
                text: "suppressed windows",
                detail: "too few reports to be shown".to_owned(),
                link: "/about#suppression",
                alert: false,
            },
        ]
    }

    fn metric(&self, name: &AggregationId, entry: &MetricEntry, windows: &[&Shown]) -> MetricLine {
        let quantity = Quantity::of(entry.encoding.kind);
        let days = Days::new(name.as_str(), windows, Some(self.due));
        let bin = main_bin(&days, entry.encoding.kind);
        let latest = days.latest_settled().and_then(|day| {
            let counts = day.counts.as_ref()?;
            Some((day.day, quantity.estimate(counts, bin)?, counts.reports()))
        });
        let what = match quantity {
            Quantity::Mean => quantity.title().to_owned(),
            _ => bin_label(&entry.encoding, bin),
        };
        let (status, status_text) = self.status(&days);
        let series = series(what.clone(), quantity, bin, &days);
        MetricLine {
            name: name.to_string(),
            meaning: entry.meaning.clone(),
            number: latest.map_or_else(
                || "–".to_owned(),
                |(_, estimate, _)| quantity.number(&estimate),
            ),
            interval: latest
                .map(|(_, estimate, reports)| quantity.range(&estimate, reports))
                .unwrap_or_default(),
            day: latest.map(|(day, ..)| long_day(day)).unwrap_or_default(),
            spark: Spark::new(&series).render().unwrap_or_default(),
            what,
            status,
            status_text,
        }
    }

    /// Returns the class and the text of a metric's status.
    fn status(&self, days: &Days) -> (&'static str, String) {
        match days.latest() {
            None => ("none", "no numbers yet".to_owned()),
            Some(latest) if latest.day + days.step - 1 < self.due => {
                let late = usize::try_from(self.due - latest.day).unwrap_or_default();
                ("late", format!("{} late", count_of(late, "day")))
            }
            Some(latest) if latest.state == DayState::Incomplete => {
                ("partial", "latest day incomplete".to_owned())
            }
            Some(_) => ("current", "up to date".to_owned()),
        }
    }

    /// Returns the days of each instance without a sum, by reason.
    fn gaps(&self, name: &AggregationId, windows: &[&Shown]) -> Vec<Gap> {
        let mut by_instance: BTreeMap<&Instance, Vec<&Shown>> = BTreeMap::new();
        for window in windows {
            by_instance
                .entry(&window.instance)
                .or_default()
                .push(window);
        }
        let all = by_instance.len();
        // The reason, the affected days, and the instances: often the same for several.
        let mut groups: BTreeMap<(usize, Vec<i64>), Vec<&Instance>> = BTreeMap::new();
        let mut step = 1;
        for (instance, windows) in &by_instance {
            let days = Days::new(name.as_str(), windows, Some(self.due));
            step = days.step;
            for (reason, (state, ..)) in REASONS.into_iter().enumerate() {
                let with_state = days.days.iter().filter(|day| day.state == state);
                let affected: Vec<i64> = with_state.map(|day| day.day).collect();
                if !affected.is_empty() {
                    groups.entry((reason, affected)).or_default().push(instance);
                }
            }
        }
        let gap = |((reason, days), instances): ((usize, Vec<i64>), Vec<&Instance>)| {
            let (_, what, class) = REASONS[reason];
            let window = windows.iter().find(|window| {
                instances.contains(&&window.instance)
                    && days.last() == Some(&day_of(window.window.start().millis()))
            });
            Gap {
                metric: name.to_string(),
                instances: instance_names(&instances, all),
                what,
                class,
                days: ranges(&days, step),
                side: window.map_or_else(
                    || "no processor has published a sum part".to_owned(),
                    |window| self.side(window),
                ),
                link: window.map(|window| window.link()),
            }
        };
        groups.into_iter().map(gap).collect()
    }

    /// Returns what the findings say about a window, and how long it has been due.
    fn side(&self, window: &Shown) -> String {
        let finding = self.findings.iter().find(|finding| {
            finding.window == window.window
                && finding.instance == window.instance
                && finding.aggregation == window.aggregation
        });
        let hours = (self.now - window.window.end().millis()) / 3_600_000;
        let message = finding.map_or("no finding yet", |finding| &finding.message);
        match window.state {
            SumState::OneSide => {
                let ended = long_time(window.window.end().millis());
                format!("{message}; the window ended {hours} hours ago, on {ended}")
            }
            _ => message.to_owned(),
        }
    }
}

/// Lists instances.
fn instance_names(instances: &[&Instance], all: usize) -> String {
    if instances.len() == all && all > 1 {
        return format!("all {all} instances");
    }
    let names: Vec<&str> = instances.iter().map(|instance| instance.as_str()).collect();
    names.join(", ")
}

/// Formats days as ranges: `3 Nov 2026, 5 Nov 2026 to 7 Nov 2026`.
fn ranges(days: &[i64], step: i64) -> String {
    let mut texts: Vec<String> = Vec::new();
    for run in days.chunk_by(|a, b| b - a == step) {
        let (Some(first), Some(last)) = (run.first(), run.last()) else {
            continue;
        };
        texts.push(if first == last {
            long_day(*first)
        } else {
            format!("{} to {}", long_day(*first), long_day(*last))
        });
    }
    let rest = texts.len().saturating_sub(3);
    let mut text = texts.split_off(rest).join(", ");
    if rest > 0 {
        text = format!("{}, {text}", count_of(rest, "earlier period"));
    }
    text
}
