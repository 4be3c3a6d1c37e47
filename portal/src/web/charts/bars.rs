//! Horizontal bars with interval whiskers. Each bar is a drawing inside a table row, next to its
//! number: the chart and its table are one, and text keeps its size on a phone.

use super::scale::Scale;
use super::series::position;

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
}

impl Bars {
    /// Draws rows on one axis.
    pub(crate) fn new(values: Vec<BarValue>, unit: &str) -> Self {
        let numbers = values.iter().filter_map(|value| value.numbers);
        let scale = Scale::around(numbers.flatten(), 4);
        let percent = |value: f64| 100.0 * scale.fraction(value);
        let drawing = |[value, lower, upper]: [f64; 3]| {
            let (from, to) = (percent(value.min(0.0)), percent(value.max(0.0)));
            Drawing {
                x: position(from),
                width: position(to - from),
                lower: position(percent(lower)),
                upper: position(percent(upper)),
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
