//! How to read the numbers.

use askama::Template;
use axum::extract::State;
use axum::response::Html;
use tallybox_estimate::Mechanism;

use crate::web::error::WebError;
use crate::web::site::{Frame, Site, render};
use crate::web::text::decimal;

/// Reports in the examples.
const REPORTS: u64 = 100_000;

/// The page.
#[derive(Template)]
#[template(path = "about.html")]
struct About {
    frame: Frame,
    minimum: u64,
    examples: Vec<Example>,
}

/// What an epsilon means.
struct Example {
    epsilon: String,
    one_in: String,
    standard_error: String,
    half_width: String,
}

/// Handles `/about`.
pub(crate) async fn about(State(site): State<Site>) -> Result<Html<String>, WebError> {
    let example = |epsilon: f64| {
        let mechanism = Mechanism::new(epsilon).ok()?;
        let standard_error = mechanism.debias(0, REPORTS).standard_error;
        Some(Example {
            epsilon: epsilon.to_string(),
            one_in: decimal(1.0 / mechanism.flip_probability(), 0),
            standard_error: decimal(standard_error, 1),
            half_width: decimal(1.96 * standard_error, 0),
        })
    };
    render(&About {
        frame: site.frame("about").await?,
        minimum: site.options.minimum,
        examples: [4.0, 6.0, 8.0, 10.2]
            .into_iter()
            .filter_map(example)
            .collect(),
    })
}
