//! The comparison of localities and of ingestors: a bar for each over the whole period, and a small
//! chart for each on a common axis. Groups differ in size, so shares or means are compared.

use std::collections::BTreeMap;

use askama::Template as _;

use super::course::{Multiple, series};
use super::{Data, bar_value};
use crate::web::charts::{Bars, SMALL, Series};
use crate::web::days::{DayTotal, Days};
use crate::web::pages::table::{Cell, Table};
use crate::web::shown::Shown;
use crate::web::source::InstanceName;
use crate::web::text::long_day;

/// A comparison.
pub(super) struct Comparison {
    pub(super) title: &'static str,
    pub(super) what: String,
    pub(super) heading: &'static str,
    pub(super) bars: Bars,
    pub(super) multiples: Vec<Multiple>,
    pub(super) table: Table,
}

/// Returns the comparisons that have at least two groups.
pub(super) fn comparisons(data: &Data<'_>) -> Vec<Comparison> {
    let by_locality = compare(data, ("By locality", "Locality"), |name| &name.locality);
    let by_ingestor = compare(data, ("By ingestor", "Ingestor"), |name| &name.ingestor);
    [by_locality, by_ingestor].into_iter().flatten().collect()
}

fn compare(
    data: &Data<'_>,
    (title, heading): (&'static str, &'static str),
    part: fn(&InstanceName) -> &String,
) -> Option<Comparison> {
    let groups = groups(data, part);
    if groups.len() < 2 {
        return None;
    }
    let quantity = data.quantity.comparable();
    let drawn: Vec<(&str, Series)> = groups
        .iter()
        .map(|(name, days)| (*name, series((*name).to_owned(), quantity, data.bin, days)))
        .collect();
    let dots = drawn
        .iter()
        .flat_map(|(_, series)| series.dots.iter().cloned())
        .collect();
    // An axis for all groups, so that heights can be compared.
    let common = drawn.first().map(|(_, first)| Series {
        dots,
        ..first.clone()
    })?;
    let scale = common.scale(3);
    let multiple = |(number, (name, series)): (usize, &(&str, Series))| {
        let id = format!("{}-{number}", heading.to_lowercase());
        Some(Multiple {
            title: (*name).to_owned(),
            link: None,
            chart: series.draw_on(&id, SMALL, &scale).render().ok()?,
        })
    };
    let bar = |(name, days): &(&str, Days)| {
        let total = days.total().ok();
        let reports = total.as_ref().map_or(0, tallybox_estimate::Counts::reports);
        let estimate = total.and_then(|total| quantity.estimate(&total, data.bin));
        bar_value(quantity, (*name).to_owned(), None, (estimate, reports))
    };
    Some(Comparison {
        title,
        what: format!("{}: {}", data.chosen(), quantity.title().to_lowercase()),
        heading,
        bars: Bars::new(groups.iter().map(bar).collect(), quantity.unit()),
        multiples: drawn.iter().enumerate().filter_map(multiple).collect(),
        table: table(data, title, &groups),
    })
}

/// Returns the days of each group, by name.
fn groups<'a>(data: &'a Data<'_>, part: fn(&InstanceName) -> &String) -> Vec<(&'a str, Days)> {
    let mut windows: BTreeMap<&str, Vec<&Shown>> = BTreeMap::new();
    for window in &data.windows {
        let name = data
            .instances
            .iter()
            .find(|name| name.instance == window.instance);
        if let Some(name) = name {
            windows.entry(part(name)).or_default().push(window);
        }
    }
    let last = data.days.days.last().map(|day| day.day);
    let days =
        |(name, windows): (&'a str, Vec<&Shown>)| (name, Days::new(data.name, &windows, last));
    windows.into_iter().map(days).collect()
}

fn table(data: &Data<'_>, title: &str, groups: &[(&str, Days)]) -> Table {
    let quantity = data.quantity.comparable();
    let mut head = vec!["Day".to_owned()];
    head.extend(groups.iter().map(|(name, _)| (*name).to_owned()));
    let cell = |days: &Days, day: i64| {
        let day = days.days.iter().find(|other| other.day == day);
        let counts = day.and_then(|day| day.counts.as_ref());
        let estimate = counts.and_then(|counts| quantity.estimate(counts, data.bin));
        let text = estimate.map(|estimate| quantity.number(&estimate));
        Cell::number(text.unwrap_or_else(|| "–".to_owned()))
    };
    let row = |day: &DayTotal| {
        let mut cells = vec![Cell::text(long_day(day.day))];
        cells.extend(groups.iter().map(|(_, days)| cell(days, day.day)));
        cells
    };
    Table {
        caption: format!("{title}: {} per day", quantity.title().to_lowercase()),
        head,
        rows: data.days.days.iter().rev().map(row).collect(),
    }
}
