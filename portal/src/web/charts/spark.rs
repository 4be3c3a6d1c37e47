//! The sparkline of the overview: the shape of the last days, without axes.

use askama::Template;

use super::scale::Scale;
use super::series::position;

const WIDTH: f64 = 160.0;
const HEIGHT: f64 = 44.0;
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
    /// Draws the values of consecutive days; `None` is a gap.
    pub(crate) fn new(title: String, values: &[Option<f64>]) -> Self {
        let scale = Scale::around(values.iter().flatten().copied(), 4);
        let step = (WIDTH - 2.0 * MARGIN) / values.len().saturating_sub(1).max(1) as f64;
        let mut line = String::new();
        let mut end = None;
        let mut connected = false;
        for (number, value) in values.iter().enumerate() {
            if let Some(value) = value {
                let x = position(MARGIN + step * number as f64);
                let room = HEIGHT - 2.0 * MARGIN;
                let y = position(HEIGHT - MARGIN - room * scale.fraction(*value));
                line.push(if connected { 'L' } else { 'M' });
                line += &format!("{x} {y}");
                end = Some((x, y));
            }
            connected = value.is_some();
        }
        Self {
            title,
            width: WIDTH,
            height: HEIGHT,
            line,
            end,
        }
    }
}
