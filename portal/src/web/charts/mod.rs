//! Charts as server-rendered SVG: pure functions from numbers to positions, and templates that write
//! them. Colours are CSS variables, so that dark mode and print need no other drawing.

mod bars;
mod scale;
mod series;
mod spark;

pub(crate) use bars::{BarValue, Bars};
pub(crate) use series::{Coverage, Dot, DotValue, NARROW, SMALL, Series, WIDE};
pub(crate) use spark::Spark;
