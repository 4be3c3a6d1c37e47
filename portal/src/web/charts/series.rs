//! The time series: a 95 % band, dots, an average line, gaps for missing days and marks for days
//! without a number. Hovering over a dot shows its figures, without a script.

use std::fmt::Write as _;

use askama::Template;

use super::scale::{Scale, day_ticks};

/// One day of a series.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Dot {
    /// The day, counted from 1970-01-01.
    pub(crate) day: i64,
    /// The number, or why there is none.
    pub(crate) value: DotValue,
    /// The text that describes the day.
    pub(crate) text: String,
}

/// What is drawn on a day.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum DotValue {
    /// A number with its interval.
    Number {
        value: f64,
        lower: f64,
        upper: f64,
        coverage: Coverage,
    },
    /// A day whose number is suppressed.
    Suppressed,
    /// A day whose sum parts cannot be added.
    Refused,
    /// A day of which only one sum part exists.
    OneSide,
    /// A day without any sum part: a gap.
    Missing,
}

/// Which windows of a day are part of its number. The dot is solid only for all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coverage {
    /// All windows.
    All,
    /// All but the suppressed ones.
    AllShown,
    /// Some windows are missing.
    Some,
}

/// The content of a time series.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    /// The title, for screen readers.
    pub(crate) title: String,
    /// One sentence with the main figures, for screen readers.
    pub(crate) summary: String,
    /// The days in order, without gaps: a missing day is [`DotValue::Missing`].
    pub(crate) dots: Vec<Dot>,
    /// The average line: days and values. Days that are not neighbours are not connected.
    pub(crate) average: Vec<(i64, f64)>,
    /// Days between two dots.
    pub(crate) step: i64,
    /// The unit that follows the tick labels: `" %"` or nothing.
    pub(crate) unit: &'static str,
    /// Whether the number of an incomplete day can be compared with those of complete days: a share
    /// can, a count cannot. The line and the band leave out what cannot.
    pub(crate) joins_incomplete: bool,
}

/// The size of a rendering, in CSS pixels at full width.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame {
    /// The name in the class and the ids.
    pub(crate) name: &'static str,
    width: f64,
    height: f64,
    day_ticks: usize,
    ticks: u32,
}

/// A chart over the whole width of a laptop.
pub(crate) const WIDE: Frame = Frame {
    name: "wide",
    width: 920.0,
    height: 340.0,
    day_ticks: 9,
    ticks: 5,
};
/// The same chart on a phone. The text has the same size in both.
pub(crate) const NARROW: Frame = Frame {
    name: "narrow",
    width: 350.0,
    height: 260.0,
    day_ticks: 4,
    ticks: 4,
};
/// A small multiple.
pub(crate) const SMALL: Frame = Frame {
    name: "small",
    width: 340.0,
    height: 190.0,
    day_ticks: 4,
    ticks: 3,
};

const TOP: f64 = 12.0;
const BOTTOM: f64 = 30.0;
const RIGHT: f64 = 12.0;
/// Width of a character of a tick label.
const CHARACTER: f64 = 7.6;

/// The drawing: all positions are computed, the template only writes them.
#[derive(Debug, Template)]
#[template(path = "charts/series.html")]
pub(crate) struct SeriesChart {
    id: String,
    frame: Frame,
    title: String,
    summary: String,
    left: f64,
    right: f64,
    base: f64,
    rows: Vec<(String, String)>,
    columns: Vec<(String, String)>,
    band: String,
    line: String,
    average: String,
    marks: Vec<Mark>,
}

/// A dot or a mark.
#[derive(Debug)]
struct Mark {
    class: &'static str,
    x: String,
    y: String,
    text: String,
}

impl Series {
    /// Returns the axis of the values.
    pub(crate) fn scale(&self, ticks: u32) -> Scale {
        let values = self.dots.iter().filter_map(|dot| match dot.value {
            DotValue::Number {
                value,
                lower,
                upper,
                ..
            } => Some([value, lower, upper]),
            _ => None,
        });
        Scale::around(values.flatten(), ticks)
    }

    /// Draws the series with its own axis. `id` is unique on the page.
    pub(crate) fn draw(&self, id: &str, frame: Frame) -> SeriesChart {
        self.draw_on(id, frame, &self.scale(frame.ticks))
    }

    /// Draws the series on a common axis.
    pub(crate) fn draw_on(&self, id: &str, frame: Frame, scale: &Scale) -> SeriesChart {
        let ticks = scale.ticks();
        let label = |text: &str| format!("{text}{}", self.unit);
        let longest = ticks
            .iter()
            .map(|(_, text)| label(text).chars().count())
            .max();
        let left = 14.0 + CHARACTER * longest.unwrap_or(1) as f64;
        let plot = Plot::new(self, frame, scale, left);
        let column = |(day, text): (i64, String)| (position(plot.x(day)), text);
        let days = (plot.first, plot.last);
        SeriesChart {
            id: format!("{id}-{}", frame.name),
            frame,
            title: self.title.clone(),
            summary: self.summary.clone(),
            left,
            right: frame.width - RIGHT,
            base: frame.height - BOTTOM,
            rows: ticks
                .iter()
                .map(|(value, text)| (position(plot.y(*value)), label(text)))
                .collect(),
            columns: day_ticks(days.0, days.1, frame.day_ticks)
                .into_iter()
                .map(column)
                .collect(),
            band: self.band(&plot),
            line: self.line(&plot),
            average: self.average(&plot),
            marks: self
                .dots
                .iter()
                .filter_map(|dot| mark(dot, &plot))
                .collect(),
        }
    }

    /// Returns the runs of days that the line and the band connect: gaps separate them.
    fn runs(&self) -> impl Iterator<Item = Vec<(i64, [f64; 3])>> {
        let is_gap = |dot: &Dot| !matches!(dot.value, DotValue::Number { .. });
        let runs = self.dots.split(is_gap);
        runs.map(|run| run.iter().filter_map(|dot| self.joined(dot)).collect())
    }

    /// Returns value, lower and upper end of a day that the line connects.
    pub(super) fn joined(&self, dot: &Dot) -> Option<(i64, [f64; 3])> {
        match dot.value {
            DotValue::Number {
                value,
                lower,
                upper,
                coverage,
            } if coverage != Coverage::Some || self.joins_incomplete => {
                Some((dot.day, [value, lower, upper]))
            }
            _ => None,
        }
    }

    fn band(&self, plot: &Plot<'_>) -> String {
        let mut path = String::new();
        for run in self.runs().filter(|run| run.len() > 1) {
            let uppers = run.iter().map(|(day, [_, _, upper])| (*day, *upper));
            let lowers = run.iter().rev().map(|(day, [_, lower, _])| (*day, *lower));
            path += &plot.path(uppers.chain(lowers));
            path.push('Z');
        }
        path
    }

    fn line(&self, plot: &Plot<'_>) -> String {
        let values = |run: Vec<(i64, [f64; 3])>| {
            plot.path(run.into_iter().map(|(day, [value, ..])| (day, value)))
        };
        self.runs().map(values).collect()
    }

    fn average(&self, plot: &Plot<'_>) -> String {
        let near = |a: &(i64, f64), b: &(i64, f64)| b.0 - a.0 <= self.step;
        let runs = self.average.chunk_by(near);
        runs.map(|run| plot.path(run.iter().copied())).collect()
    }
}

/// The mapping of days and values to positions.
struct Plot<'a> {
    first: i64,
    last: i64,
    frame: Frame,
    scale: &'a Scale,
    left: f64,
}

impl<'a> Plot<'a> {
    fn new(series: &Series, frame: Frame, scale: &'a Scale, left: f64) -> Self {
        let days = || series.dots.iter().map(|dot| dot.day);
        Self {
            first: days().min().unwrap_or(0),
            last: days().max().unwrap_or(0),
            frame,
            scale,
            left,
        }
    }

    fn x(&self, day: i64) -> f64 {
        let days = (self.last - self.first).max(1) as f64;
        let room = self.frame.width - RIGHT - self.left - 12.0;
        let fraction = if self.last == self.first {
            0.5
        } else {
            (day - self.first) as f64 / days
        };
        self.left + 6.0 + room * fraction
    }

    fn y(&self, value: f64) -> f64 {
        let room = self.frame.height - TOP - BOTTOM;
        self.frame.height - BOTTOM - room * self.scale.fraction(value)
    }

    /// Connects points.
    fn path(&self, points: impl Iterator<Item = (i64, f64)>) -> String {
        let mut path = String::new();
        for (day, value) in points {
            let command = if path.is_empty() { 'M' } else { 'L' };
            let (x, y) = (position(self.x(day)), position(self.y(value)));
            // Writing to a string does not fail.
            let _ = write!(path, "{command}{x} {y}");
        }
        path
    }
}

fn mark(dot: &Dot, plot: &Plot<'_>) -> Option<Mark> {
    let base = plot.frame.height - BOTTOM - 7.0;
    let (class, y) = match dot.value {
        DotValue::Number {
            value,
            coverage: Coverage::All,
            ..
        } => ("dot", plot.y(value)),
        DotValue::Number { value, .. } => ("dot partial", plot.y(value)),
        DotValue::Suppressed => ("suppressed", base),
        DotValue::Refused => ("refused", base),
        DotValue::OneSide => ("one-side", base),
        DotValue::Missing => return None,
    };
    Some(Mark {
        class,
        x: position(plot.x(dot.day)),
        y: position(y),
        text: dot.text.clone(),
    })
}

/// Formats a position with a tenth of a pixel.
pub(crate) fn position(value: f64) -> String {
    format!("{value:.1}")
}
