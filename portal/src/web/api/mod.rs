//! Downloads: the metrics, the windows of a metric as JSON and CSV, and the data dictionary.

mod dictionary;
mod rows;
mod wide;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{Path, RawQuery, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures::stream;
use serde::Serialize;
use tallybox_model::id::AggregationId;
use tallybox_model::registry::MetricEntry;

use self::rows::Context;
use super::error::WebError;
use super::selection::Selection;
use super::shown::Shown;
use super::site::Site;
use super::source::Filter;

pub(super) use dictionary::dictionary;

/// A metric in the list of all.
#[derive(Debug, Serialize)]
struct Metric<'a> {
    metric: &'a AggregationId,
    #[serde(flatten)]
    entry: &'a MetricEntry,
    windows: String,
}

/// Handles `/api/v1/metrics`.
pub(super) async fn metrics(State(site): State<Site>) -> Response {
    let registry = match site.source.metrics().await {
        Ok(registry) => registry,
        Err(error) => return WebError::from(error).problem(),
    };
    let metric = |(metric, entry)| Metric {
        metric,
        entry,
        windows: format!("/api/v1/metrics/{metric}/windows"),
    };
    let metrics: Vec<Metric<'_>> = registry.metrics.iter().map(metric).collect();
    Json(metrics).into_response()
}

/// Handles `/api/v1/metrics/{aggregation}/windows`.
pub(super) async fn windows(
    State(site): State<Site>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Response {
    match download(&site, &name, query.as_deref().unwrap_or_default()).await {
        Ok(response) => response,
        Err(error) => error.problem(),
    }
}

/// The forms of a download.
enum Format {
    Json,
    Csv,
    Wide,
}

async fn download(site: &Site, name: &str, query: &str) -> Result<Response, WebError> {
    let selection = Selection::parse(query)?;
    let format = match selection.format.as_deref() {
        None | Some("json") => Format::Json,
        Some("csv") => Format::Csv,
        Some("wide") => Format::Wide,
        Some(_) => {
            return Err(WebError::Parameter {
                name: "format".to_owned(),
                expected: "json, csv or wide",
            });
        }
    };
    let registry = site.source.metrics().await?;
    let Some((id, entry)) = registry.entry(name) else {
        return Err(WebError::NotFound(format!("the metric {name:?}")));
    };
    let instances = site.source.instances().await?;
    let filter = Filter {
        aggregation: Some(id.clone()),
        ..selection.filter(&instances)
    };
    let windows = site.windows(&filter).await?;
    let context = Context {
        entry: entry.clone(),
        instances,
    };
    Ok(match format {
        Format::Json => json(windows, context),
        Format::Csv => {
            let chunks = rows::csv_chunks(windows, context);
            attachment(id, "csv", chunks)
        }
        Format::Wide => attachment(id, "wide.csv", wide::csv_chunks(windows, context)),
    })
}

/// Sends a JSON array window by window, so that memory does not grow with the period.
fn json(windows: Vec<Shown>, context: Context) -> Response {
    let content_type = [(header::CONTENT_TYPE, "application/json")];
    (content_type, body(rows::json_chunks(windows, context))).into_response()
}

fn attachment(
    metric: &AggregationId,
    ending: &str,
    chunks: impl Iterator<Item = Result<Bytes, WebError>> + Send + 'static,
) -> Response {
    // The names of metrics consist of letters, digits and .-_ only.
    let disposition = format!("attachment; filename=\"{metric}.{ending}\"");
    let headers = [
        (
            header::CONTENT_TYPE,
            "text/csv; charset=utf-8; header=present".to_owned(),
        ),
        (header::CONTENT_DISPOSITION, disposition),
    ];
    (headers, body(chunks)).into_response()
}

fn body(chunks: impl Iterator<Item = Result<Bytes, WebError>> + Send + 'static) -> Body {
    Body::from_stream(stream::iter(chunks))
}
