//! Horizontal bars with interval whiskers. Each bar is a drawing inside a table row, next to its
//! number: the chart and its table are one, and text keeps its size on a phone.

use super::scale::Scale;
use super::series::position;

/// How much longer than all others a bar is when it is cut.
const CUT: f64 = 6.0;

/// One row: a label, and a number with its interval.
#[derive(Clone, Debug)]
pub(crate) struct BarValue {
    pub(crate) label: String,
    /// The page of this row alone, if there is one.
    pub(crate) link: Option<String>,
    /// Value, lower and upper end; `None` if the number cannot be shown.
    pub(crate) numbers: Option<[f64; 3]>,
    /// The number as text, or why it is not shown.
    pub(crate) number: String,
    /// The interval as text.
    pub(crate) interval: String,
}

/// The rows with their drawings.
#[derive(Debug)]
pub(crate) struct Bars {
    pub(crate) rows: Vec<Bar>,
    pub(crate) zero: String,
    /// Labels at both ends of the axis.
    pub(crate) axis: [String; 2],
}

/// One drawn row. Positions are percentages of the drawing's width.
#[derive(Debug)]
pub(crate) struct Bar {
    pub(crate) label: String,
    pub(crate) link: Option<String>,
    pub(crate) number: String,
    pub(crate) interval: String,
    pub(crate) drawing: Option<Drawing>,
}

/// The positions of a bar and its whisker.
#[derive(Debug)]
pub(crate) struct Drawing {
    pub(crate) x: String,
    pub(crate) width: String,
    pub(crate) lower: String,
    pub(crate) upper: String,
    /// Whether the bar is longer than the axis.
    pub(crate) cut: bool,
}

impl Bars {
    /// Returns whether a bar is cut.
    pub(crate) fn has_cut(&self) -> bool {
        let mut drawings = self.rows.iter().filter_map(|row| row.drawing.as_ref());
        drawings.any(|drawing| drawing.cut)
    }

    /// Draws rows on one axis. A bar that is far longer than all others is cut, because nothing else
    /// would be visible.
    pub(crate) fn new(values: Vec<BarValue>, unit: &str) -> Self {
        let limit = CUT * second_largest(&values);
        let is_cut = |[value, ..]: &[f64; 3]| limit > 0.0 && *value > limit;
        let numbers = values.iter().filter_map(|value| value.numbers);
        let scale = Scale::around(numbers.filter(|value| !is_cut(value)).flatten(), 4);
        let percent = |value: f64| 100.0 * scale.fraction(value);
        let drawing = |numbers: [f64; 3]| {
            let [value, lower, upper] = numbers;
            let (from, to) = (percent(value.min(0.0)), percent(value.max(0.0)));
            Drawing {
                x: position(from),
                width: position(to - from),
                lower: position(percent(lower)),
                upper: position(percent(upper)),
                cut: is_cut(&numbers),
            }
        };
        let ticks = scale.ticks();
        let label = |tick: Option<&(f64, String)>| {
            tick.map(|(_, text)| format!("{text}{unit}"))
                .unwrap_or_default()
        };
        Self {
            zero: position(percent(0.0)),
            axis: [label(ticks.first()), label(ticks.last())],
            rows: values
                .into_iter()
                .map(|value| Bar {
                    drawing: value.numbers.map(drawing),
                    label: value.label,
                    link: value.link,
                    number: value.number,
                    interval: value.interval,
                })
                .collect(),
        }
    }
}

fn second_largest(values: &[BarValue]) -> f64 {
    let mut numbers: Vec<f64> = values
        .iter()
        .filter_map(|value| Some(value.numbers?[0]))
        .collect();
    numbers.sort_by(|a, b| b.total_cmp(a));
    numbers.get(1).copied().unwrap_or(0.0)
}
