//! The sparkline of the overview: the shape of the last days, without axes.

use askama::Template;

use super::series::{DotValue, Series, position};

const WIDTH: f64 = 160.0;
const HEIGHT: f64 = 60.0;
const MARGIN: f64 = 5.0;

/// The drawing.
#[derive(Debug, Template)]
#[template(path = "charts/spark.html")]
pub(crate) struct Spark {
    title: String,
    width: f64,
    height: f64,
    line: String,
    end: Option<(String, String)>,
}

impl Spark {
    /// Draws the days of a series.
    pub(crate) fn new(series: &Series) -> Self {
        let values = || series.dots.iter().filter_map(|dot| series.joined(dot));
        // From 0, so that a small change looks small.
        let high = values()
            .map(|(_, [value, ..])| value)
            .fold(f64::MIN_POSITIVE, f64::max);
        let days = series.dots.len().saturating_sub(1).max(1);
        let step = (WIDTH - 2.0 * MARGIN) / days as f64;
        let mut line = String::new();
        let mut end = None;
        let mut connected = false;
        for (number, dot) in series.dots.iter().enumerate() {
            if let Some((_, [value, ..])) = series.joined(dot) {
                let room = HEIGHT - 2.0 * MARGIN;
                let x = position(MARGIN + step * number as f64);
                let y = position(HEIGHT - MARGIN - room * value.max(0.0) / high);
                line.push(if connected { 'L' } else { 'M' });
                line += &format!("{x} {y}");
                end = Some((x, y));
                connected = true;
            } else {
                connected &= matches!(dot.value, DotValue::Number { .. });
            }
        }
        Self {
            title: format!("{}. {}", series.title, series.summary),
            width: WIDTH,
            height: HEIGHT,
            line,
            end,
        }
    }
}
