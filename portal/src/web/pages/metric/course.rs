//! The course over time: the large chart, its table, and a small chart for each bin.

use askama::Template as _;
use tallybox_estimate::Estimate;

use super::{Data, bin_label};
use crate::web::charts::{Coverage, Dot, DotValue, NARROW, SMALL, Series, WIDE};
use crate::web::days::{DayState, DayTotal, Days};
use crate::web::pages::table::{Cell, Link, Table};
use crate::web::quantity::{Quantity, displayed};
use crate::web::selection::Selection;
use crate::web::shown::{Shown, state_text};
use crate::web::text::{day_of, decimal, long_day};

/// The large chart with its legend and table.
pub(super) struct Course {
    pub(super) wide: String,
    pub(super) narrow: String,
    pub(super) legend: Vec<(&'static str, &'static str)>,
    pub(super) table: Table,
}

/// A small chart.
pub(super) struct Multiple {
    pub(super) title: String,
    pub(super) link: Option<String>,
    pub(super) chart: String,
}

impl Course {
    /// Draws the chosen bin; `None` without windows.
    pub(super) fn new(data: &Data<'_>) -> Option<Self> {
        if data.days.days.is_empty() {
            return None;
        }
        let title = format!(
            "{}: {} per day",
            data.chosen(),
            data.quantity.title().to_lowercase()
        );
        let averages = data.days.averages(data.quantity, data.bin);
        let series = Series {
            average: averages
                .iter()
                .map(|(day, average)| (*day, displayed(average)))
                .collect(),
            ..series(title, data.quantity, data.bin, &data.days)
        };
        Some(Self {
            wide: series.draw("course", WIDE).render().ok()?,
            narrow: series.draw("course", NARROW).render().ok()?,
            legend: legend(&series),
            table: table(data, &averages),
        })
    }
}

/// Returns the series of a bin.
pub(crate) fn series(title: String, quantity: Quantity, bin: usize, days: &Days) -> Series {
    let dots: Vec<Dot> = days
        .days
        .iter()
        .map(|day| dot(quantity, bin, day))
        .collect();
    let last = dots
        .iter()
        .rev()
        .find(|dot| matches!(dot.value, DotValue::Number { .. }));
    let numbers = dots
        .iter()
        .filter(|dot| matches!(dot.value, DotValue::Number { .. }))
        .count();
    let summary = format!(
        "{numbers} of {} days have a number. Latest: {}.",
        dots.len(),
        last.map_or("none", |dot| &dot.text)
    );
    Series {
        title,
        summary,
        dots,
        average: Vec::new(),
        step: days.step,
        unit: quantity.unit(),
        joins_incomplete: quantity != Quantity::Count,
    }
}

fn dot(quantity: Quantity, bin: usize, day: &DayTotal) -> Dot {
    let estimate = day.counts.as_ref().and_then(|counts| {
        let estimate = quantity.estimate(counts, bin)?;
        Some((estimate, counts.reports()))
    });
    let date = long_day(day.day);
    if let Some((estimate, reports)) = estimate {
        let interval = quantity.interval(&estimate, reports);
        let (coverage, note) = match day.state {
            DayState::Complete => (Coverage::All, ""),
            DayState::PartlySuppressed => (Coverage::AllShown, ", without suppressed windows"),
            _ => (Coverage::Some, ", incomplete"),
        };
        let number = quantity.number(&estimate);
        return Dot {
            day: day.day,
            value: DotValue::Number {
                value: displayed(&estimate),
                lower: interval.lower,
                upper: interval.upper,
                coverage,
            },
            text: format!(
                "{date}: {number} ({}){note}",
                quantity.range(&estimate, reports)
            ),
        };
    }
    let value = match day.state {
        DayState::Suppressed => DotValue::Suppressed,
        DayState::Refused | DayState::MixedEpsilon => DotValue::Refused,
        DayState::OneSide => DotValue::OneSide,
        DayState::Complete
        | DayState::Incomplete
        | DayState::PartlySuppressed
        | DayState::Missing => DotValue::Missing,
    };
    Dot {
        day: day.day,
        value,
        text: format!("{date}: {}", day.state.text()),
    }
}

/// Returns the entries of the legend that the chart needs.
fn legend(series: &Series) -> Vec<(&'static str, &'static str)> {
    let any = |test: &dyn Fn(&DotValue) -> bool| series.dots.iter().any(|dot| test(&dot.value));
    let is = |wanted: DotValue| any(&|value| *value == wanted);
    let covers = |wanted: Coverage| {
        any(&|value| matches!(value, DotValue::Number { coverage, .. } if *coverage == wanted))
    };
    let missing = if series.joins_incomplete {
        "hollow: some windows missing"
    } else {
        "hollow, apart: some windows missing, too low"
    };
    let entries = [
        (true, "dot", "estimate of a day"),
        (true, "band", "95 % interval"),
        (!series.average.is_empty(), "average", "7-day average"),
        (
            covers(Coverage::AllShown),
            "partial",
            "hollow: without suppressed windows",
        ),
        (covers(Coverage::Some), "partial", missing),
        (
            is(DotValue::Suppressed),
            "suppressed",
            "suppressed: too few reports",
        ),
        (
            is(DotValue::Refused),
            "refused",
            "refused: see the findings",
        ),
        (
            is(DotValue::OneSide),
            "one-side",
            "one side only: not yet added",
        ),
        (is(DotValue::Missing), "gap", "gap: nothing arrived"),
    ];
    let used = entries.into_iter().filter(|(used, ..)| *used);
    used.map(|(_, class, text)| (class, text)).collect()
}

/// Returns the table of the large chart, the newest day first, with links to the origin of each
/// number.
fn table(data: &Data<'_>, averages: &[(i64, Estimate)]) -> Table {
    let head = [
        "Day",
        "Reports",
        "Estimate",
        "95 % interval",
        "7-day average",
        "State",
        "Origin",
    ];
    let row = |day: &DayTotal| {
        let average = averages.iter().find(|(other, _)| *other == day.day);
        let average = average.map(|(_, estimate)| data.quantity.number(estimate));
        let mut cells = vec![Cell::text(long_day(day.day))];
        cells.extend(number_cells(data.quantity, data.bin, day));
        cells.push(Cell::number(average.unwrap_or_default()));
        cells.push(Cell::text(day.state.text()));
        cells.push(Cell::links(origins(data, day.day)));
        cells
    };
    Table {
        caption: format!(
            "{}: {}",
            data.chosen(),
            data.quantity.title().to_lowercase()
        ),
        head: head.map(str::to_owned).to_vec(),
        rows: data.days.days.iter().rev().map(row).collect(),
    }
}

/// Returns the cells of reports, estimate and interval.
fn number_cells(quantity: Quantity, bin: usize, day: &DayTotal) -> [Cell; 3] {
    let Some(counts) = &day.counts else {
        return [(); 3].map(|()| Cell::number("–"));
    };
    let reports = Cell::number(decimal(counts.reports() as f64, 0));
    match quantity.estimate(counts, bin) {
        Some(estimate) => [
            reports,
            Cell::number(quantity.number(&estimate)),
            Cell::number(quantity.range(&estimate, counts.reports())),
        ],
        None => [reports, Cell::number("–"), Cell::number("–")],
    }
}

fn origins(data: &Data<'_>, day: i64) -> Vec<Link> {
    let of_day = |window: &&Shown| {
        let start = day_of(window.window.start().millis());
        (day..day + data.days.step).contains(&start)
    };
    let windows = data.windows.iter().filter(of_day);
    let link = |window: &Shown| {
        let state = match window.numbers {
            Some(_) => String::new(),
            None => format!(" ({})", state_text(window.state)),
        };
        Link::new(format!("{}{state}", window.instance), window.link())
    };
    windows.map(link).collect()
}

/// Returns the bins with the largest totals, in order.
pub(super) fn largest_bins(data: &Data<'_>, most: usize) -> Vec<usize> {
    let Ok(total) = data.days.total() else {
        return Vec::new();
    };
    if data.quantity == Quantity::Mean {
        return Vec::new();
    }
    let mut bins: Vec<usize> = (0..total.sums().len()).collect();
    bins.sort_by_key(|bin| std::cmp::Reverse(total.sums()[*bin]));
    bins.truncate(most);
    bins.sort_unstable();
    bins
}

/// Draws a small chart for each bin, each on its own axis.
pub(super) fn multiples(data: &Data<'_>, bins: &[usize]) -> Vec<Multiple> {
    let multiple = |bin: &usize| {
        let title = bin_label(&data.entry.encoding, *bin);
        let series = series(title.clone(), data.quantity, *bin, &data.days);
        let selection = Selection {
            bin: Some(*bin),
            ..data.selection.clone()
        };
        Some(Multiple {
            chart: series.draw(&format!("bin{bin}"), SMALL).render().ok()?,
            link: Some(data.address(&selection)),
            title,
        })
    };
    bins.iter().filter_map(multiple).collect()
}

/// Returns the table of the small charts: a row for each day, a column for each bin.
pub(super) fn multiples_table(data: &Data<'_>, bins: &[usize]) -> Table {
    let mut head = vec!["Day".to_owned()];
    head.extend(bins.iter().map(|bin| bin_label(&data.entry.encoding, *bin)));
    let row = |day: &DayTotal| {
        let mut cells = vec![Cell::text(long_day(day.day))];
        cells.extend(
            bins.iter()
                .map(|bin| number_cells(data.quantity, *bin, day)[1].clone()),
        );
        cells
    };
    Table {
        caption: format!("{} per day and bin", data.quantity.title()),
        head,
        rows: data.days.days.iter().rev().map(row).collect(),
    }
}
