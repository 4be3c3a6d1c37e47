//! The page of a metric: its course over time, the latest bins, and comparisons.

mod compare;
pub(crate) mod course;
mod filter;

use askama::Template;
use axum::extract::{Path, RawQuery, State};
use axum::response::Html;
use tallybox_model::registry::{EncodingKind, MetricEntry};

use self::compare::Comparison;
use self::course::{Course, Multiple};
use self::filter::FilterForm;
use super::table::{Link, Table};
use crate::web::charts::{BarValue, Bars};
use crate::web::days::Days;
use crate::web::error::WebError;
use crate::web::quantity::{Quantity, bin_label, displayed};
use crate::web::selection::Selection;
use crate::web::shown::Shown;
use crate::web::site::{Frame, Site, render};
use crate::web::source::{Filter, InstanceName};
use crate::web::text::{decimal, long_day};

/// Days that the page shows if the address states no period.
pub(crate) const DEFAULT_DAYS: i64 = 60;
/// Most bins with a bar. Downloads contain all.
const MAX_BARS: usize = 40;
/// Most bins with a chart of their own.
const MAX_MULTIPLES: usize = 12;

/// The input of the page's functions.
pub(super) struct Data<'a> {
    pub(super) name: &'a str,
    pub(super) entry: &'a MetricEntry,
    pub(super) windows: Vec<Shown>,
    pub(super) instances: Vec<InstanceName>,
    pub(super) selection: Selection,
    pub(super) quantity: Quantity,
    pub(super) bin: usize,
    pub(super) days: Days,
}

/// The page.
#[derive(Template)]
#[template(path = "metric.html")]
struct MetricPage {
    frame: Frame,
    name: String,
    meaning: String,
    facts: Vec<(&'static str, String)>,
    form: FilterForm,
    units: Vec<(Link, bool)>,
    chosen: String,
    table_open: bool,
    toggle: Link,
    headline: Option<Headline>,
    course: Option<Course>,
    multiples: Vec<Multiple>,
    multiples_table: Table,
    sections: Vec<BarSection>,
    comparisons: Vec<Comparison>,
    downloads: Vec<Link>,
    note: Option<String>,
}

/// The latest number, in large type.
struct Headline {
    number: String,
    interval: String,
    day: String,
    partial: bool,
    reports: String,
}

/// Bars with their title.
struct BarSection {
    title: String,
    bars: Bars,
    rest: usize,
}

/// Handles `/metrics/{aggregation}`.
pub(crate) async fn metric(
    State(site): State<Site>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Html<String>, WebError> {
    let selection = Selection::parse(query.as_deref().unwrap_or_default())?;
    let registry = site.source.metrics().await?;
    let Some((id, entry)) = registry.entry(&name) else {
        return Err(WebError::NotFound(format!("the metric {name:?}")));
    };
    let instances = site.source.instances().await?;
    let mut filter = Filter {
        aggregation: Some(id.clone()),
        ..selection.filter(&instances)
    };
    if selection.from.is_none() && selection.to.is_none() {
        let today = crate::web::text::day_of(site.clock.millis());
        filter.from = Some((today - DEFAULT_DAYS) * crate::web::text::DAY_MILLIS);
    }
    let windows = site.windows(&filter).await?;
    let data = Data::new(id.as_str(), entry, windows, (instances, selection))?;
    let page = data.page(site.frame("metrics").await?);
    render(&page)
}

impl<'a> Data<'a> {
    fn new(
        name: &'a str,
        entry: &'a MetricEntry,
        windows: Vec<Shown>,
        (instances, selection): (Vec<InstanceName>, Selection),
    ) -> Result<Self, WebError> {
        let kind = entry.encoding.kind;
        let quantity = match (kind, selection.show) {
            (EncodingKind::BoundedInteger, _) | (_, None) => Quantity::of(kind),
            (_, Some(show)) => show,
        };
        let bins = entry.encoding.bins as usize;
        if selection.bin.is_some_and(|bin| bin >= bins) {
            return Err(WebError::Parameter {
                name: "bin".to_owned(),
                expected: "one of the metric's bins",
            });
        }
        let all: Vec<&Shown> = windows.iter().collect();
        let days = Days::new(name, &all, None);
        Ok(Self {
            bin: selection.bin.unwrap_or_else(|| main_bin(&days, kind)),
            name,
            entry,
            windows,
            instances,
            selection,
            quantity,
            days,
        })
    }

    /// Returns the label of the bin in the large chart; the metric's name for a mean.
    pub(super) fn chosen(&self) -> String {
        if self.quantity == Quantity::Mean {
            self.quantity.title().to_owned()
        } else {
            bin_label(&self.entry.encoding, self.bin)
        }
    }

    /// Returns the address of this page with another selection.
    pub(super) fn address(&self, selection: &Selection) -> String {
        format!("/metrics/{}{}", self.name, selection.query())
    }

    fn page(&self, frame: Frame) -> MetricPage {
        let course = Course::new(self);
        let bins = course::largest_bins(self, MAX_MULTIPLES);
        let total = self.days.total();
        MetricPage {
            frame,
            name: self.name.to_owned(),
            meaning: self.entry.meaning.clone(),
            facts: self.facts(),
            form: FilterForm::new(self),
            units: self.units(),
            chosen: self.chosen(),
            table_open: self.selection.table,
            toggle: self.toggle(),
            headline: self.headline(),
            multiples: course::multiples(self, &bins),
            multiples_table: course::multiples_table(self, &bins),
            course,
            sections: [self.latest_bars(), self.period_bars()]
                .into_iter()
                .flatten()
                .collect(),
            comparisons: compare::comparisons(self),
            downloads: self.downloads(),
            note: total
                .err()
                .filter(|_| !self.windows.is_empty())
                .map(|error| error.to_string()),
        }
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        let encoding = &self.entry.encoding;
        let kind = match encoding.kind {
            EncodingKind::Histogram => "each report sets one bin",
            EncodingKind::BitVector => "each report answers yes or no for each bin",
            EncodingKind::BoundedInteger => "each report is a number, sent as binary digits",
            EncodingKind::GroupedInteger => "each report is a number of one group, sent as digits",
        };
        vec![
            (
                "Encoding",
                format!("{kind} ({} bins)", decimal(f64::from(encoding.bins), 0)),
            ),
            ("Epsilon", self.entry.epsilon.to_string()),
            (
                "A client reports every",
                format!("{} hours", self.entry.cadence_hours),
            ),
            (
                "Clients that take part",
                format!("{} %", decimal(100.0 * self.entry.sampling, 0)),
            ),
        ]
    }

    fn units(&self) -> Vec<(Link, bool)> {
        if self.quantity == Quantity::Mean {
            return Vec::new();
        }
        let unit = |quantity: Quantity| {
            let selection = Selection {
                show: Some(quantity),
                ..self.selection.clone()
            };
            let link = Link::new(quantity.title(), self.address(&selection));
            (link, quantity == self.quantity)
        };
        vec![unit(Quantity::Count), unit(Quantity::Share)]
    }

    fn toggle(&self) -> Link {
        let selection = Selection {
            table: !self.selection.table,
            ..self.selection.clone()
        };
        let text = if self.selection.table {
            "Close all tables"
        } else {
            "Open all tables"
        };
        Link::new(text, self.address(&selection))
    }

    fn headline(&self) -> Option<Headline> {
        let day = self.days.latest_settled()?;
        let counts = day.counts.as_ref()?;
        let estimate = self.quantity.estimate(counts, self.bin)?;
        Some(Headline {
            number: self.quantity.number(&estimate),
            interval: self.quantity.range(&estimate, counts.reports()),
            day: long_day(day.day),
            partial: !day.state.is_settled(),
            reports: decimal(counts.reports() as f64, 0),
        })
    }

    fn latest_bars(&self) -> Option<BarSection> {
        let day = self.days.latest_settled()?;
        self.bars(day.counts.as_ref()?, long_day(day.day))
    }

    fn period_bars(&self) -> Option<BarSection> {
        let total = self.days.total().ok()?;
        let numbers = || self.days.days.iter().filter(|day| day.counts.is_some());
        let (first, last) = (numbers().next()?.day, numbers().next_back()?.day);
        if first == last {
            return None;
        }
        self.bars(&total, format!("{} to {}", long_day(first), long_day(last)))
    }

    fn bars(&self, counts: &tallybox_estimate::Counts, title: String) -> Option<BarSection> {
        if self.quantity == Quantity::Mean {
            return None;
        }
        let estimates = self.quantity.estimates(counts);
        let mut shown: Vec<usize> = (0..estimates.len()).collect();
        let value = |bin: &usize| estimates[*bin].map_or(f64::MIN, |estimate| estimate.value);
        if shown.len() > MAX_BARS {
            shown.sort_by(|a, b| value(b).total_cmp(&value(a)));
            shown.truncate(MAX_BARS);
            shown.sort_unstable();
        }
        let rest = estimates.len() - shown.len();
        let bar = |bin: usize| {
            let label = bin_label(&self.entry.encoding, bin);
            let link = self.address(&Selection {
                bin: Some(bin),
                ..self.selection.clone()
            });
            bar_value(
                self.quantity,
                label,
                Some(link),
                (estimates[bin], counts.reports()),
            )
        };
        let values = shown.into_iter().map(bar).collect();
        Some(BarSection {
            title,
            bars: Bars::new(values, self.quantity.unit()),
            rest,
        })
    }

    fn downloads(&self) -> Vec<Link> {
        let file = |text: &str, format: &str| {
            let query = self.selection.download(format).query();
            Link::new(
                text,
                format!("/api/v1/metrics/{}/windows{query}", self.name),
            )
        };
        vec![
            file("CSV, one row per bin", "csv"),
            file("CSV, one row per window", "wide"),
            file("JSON", "json"),
            Link::new("Data dictionary", "/api/v1/dictionary"),
        ]
    }
}

/// Converts an estimate to a row of a bar chart.
pub(super) fn bar_value(
    quantity: Quantity,
    label: String,
    link: Option<String>,
    (estimate, reports): (Option<tallybox_estimate::Estimate>, u64),
) -> BarValue {
    let interval = |estimate| quantity.interval(estimate, reports);
    BarValue {
        label,
        link,
        numbers: estimate.as_ref().map(|estimate| {
            let interval = interval(estimate);
            [displayed(estimate), interval.lower, interval.upper]
        }),
        number: estimate.map_or_else(
            || "not shown".to_owned(),
            |estimate| quantity.number(&estimate),
        ),
        interval: estimate
            .map(|estimate| quantity.range(&estimate, reports))
            .unwrap_or_default(),
    }
}

/// Returns the bin that the page begins with: the largest one. The first bin of a histogram is
/// usually "none", so it is left out.
pub(crate) fn main_bin(days: &Days, kind: EncodingKind) -> usize {
    let Ok(total) = days.total() else { return 0 };
    let skipped = usize::from(kind == EncodingKind::Histogram && total.sums().len() > 1);
    let bins = total.sums().iter().enumerate().skip(skipped);
    // Of equal sums, the first.
    bins.rev()
        .max_by_key(|(_, sum)| **sum)
        .map_or(0, |(bin, _)| bin)
}
