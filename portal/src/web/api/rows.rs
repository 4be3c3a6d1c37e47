//! The tidy rows: one for each window and bin, the same in CSV and JSON. A window without numbers
//! has one row, so that a gap is never silent.

use axum::body::Bytes;
use serde::Serialize;
use tallybox_estimate::{Estimate, Interval, Level};
use tallybox_model::registry::{EncodingKind, MetricEntry};

use crate::web::error::WebError;
use crate::web::quantity::bin_estimates;
use crate::web::shown::{Numbers, Shown, state_name};
use crate::web::source::InstanceName;
use crate::web::text::iso_time;

/// What rows need besides their window.
#[derive(Clone, Debug)]
pub(super) struct Context {
    pub(super) entry: MetricEntry,
    pub(super) instances: Vec<InstanceName>,
}

/// A row. The data dictionary describes the fields.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Row {
    metric: String,
    instance: String,
    locality: String,
    ingestor: String,
    window_start: String,
    window_end: String,
    version: u32,
    state: &'static str,
    reports: Option<u64>,
    rejected: Option<u64>,
    batches: Option<u64>,
    mechanism: &'static str,
    epsilon: Option<f64>,
    quantity: Option<&'static str>,
    bin: Option<usize>,
    label: Option<String>,
    raw_sum: Option<u64>,
    estimate: Option<f64>,
    standard_error: Option<f64>,
    lower_95: Option<f64>,
    upper_95: Option<f64>,
    evidence: String,
    added: String,
}

/// Returns the rows of a window: one for each bin, and two more for an integer, its sum and mean.
pub(super) fn rows(window: &Shown, context: &Context) -> Vec<Row> {
    let common = common(window, context);
    let Some(Numbers {
        rejected,
        batches,
        counts,
    }) = &window.numbers
    else {
        return vec![common];
    };
    let common = Row {
        reports: Some(counts.reports()),
        rejected: Some(*rejected),
        batches: Some(*batches),
        epsilon: Some(counts.mechanism().epsilon()),
        ..common
    };
    let encoding = &context.entry.encoding;
    let bins = bin_estimates(counts).into_iter().enumerate();
    let mut rows: Vec<Row> = bins
        .map(|(bin, estimate)| Row {
            quantity: Some("count"),
            bin: Some(bin),
            label: encoding.labels.get(bin).map(|label| harmless(label)),
            raw_sum: counts.sums().get(bin).copied(),
            ..with_estimate(&common, &estimate)
        })
        .collect();
    if encoding.kind == EncodingKind::BoundedInteger
        && let Ok(integer) = counts.integer(Level::default())
    {
        let quantities = [("sum", Some(integer.sum)), ("mean", integer.mean)];
        rows.extend(quantities.into_iter().filter_map(|(quantity, estimate)| {
            Some(Row {
                quantity: Some(quantity),
                ..with_estimate(&common, &estimate?)
            })
        }));
    }
    rows
}

fn common(window: &Shown, context: &Context) -> Row {
    let name = context
        .instances
        .iter()
        .find(|name| name.instance == window.instance);
    Row {
        metric: window.aggregation.to_string(),
        instance: window.instance.to_string(),
        locality: name.map(|name| name.locality.clone()).unwrap_or_default(),
        ingestor: name.map(|name| name.ingestor.clone()).unwrap_or_default(),
        window_start: iso_time(window.window.start()),
        window_end: iso_time(window.window.end()),
        version: window.version,
        state: state_name(window.state),
        mechanism: "randomised-response",
        evidence: window.evidence.clone(),
        added: jiff::Timestamp::from_millisecond(window.added)
            .unwrap_or_default()
            .to_string(),
        ..Row::default()
    }
}

fn with_estimate(row: &Row, estimate: &Estimate) -> Row {
    let Interval { lower, upper } = estimate.interval;
    Row {
        estimate: Some(estimate.value),
        standard_error: Some(estimate.standard_error),
        lower_95: Some(lower),
        upper_95: Some(upper),
        ..row.clone()
    }
}

/// Prefixes a text that a spreadsheet would take for a formula with an apostrophe.
pub(super) fn harmless(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        format!("'{text}")
    } else {
        text.to_owned()
    }
}

/// Returns the parts of a CSV file, one for each window.
pub(super) fn csv_chunks(
    windows: Vec<Shown>,
    context: Context,
) -> impl Iterator<Item = Result<Bytes, WebError>> + Send + 'static {
    let header = csv_bytes(&[Row::default()], true).map(first_line);
    let chunks = windows
        .into_iter()
        .map(move |window| csv_bytes(&rows(&window, &context), false));
    std::iter::once(header).chain(chunks)
}

/// Keeps the column names: the writer takes them from a row.
fn first_line(bytes: Bytes) -> Bytes {
    let end = bytes
        .iter()
        .position(|byte| *byte == b'\n')
        .map_or(0, |end| end + 1);
    bytes.slice(..end)
}

fn csv_bytes(rows: &[Row], header: bool) -> Result<Bytes, WebError> {
    let mut writer = csv::WriterBuilder::new()
        .has_headers(header)
        .from_writer(Vec::new());
    for row in rows {
        writer.serialize(row)?;
    }
    let bytes = writer
        .into_inner()
        .map_err(|error| csv::Error::from(error.into_error()))?;
    Ok(bytes.into())
}

/// Returns the parts of a JSON array, one for each window.
pub(super) fn json_chunks(
    windows: Vec<Shown>,
    context: Context,
) -> impl Iterator<Item = Result<Bytes, WebError>> + Send + 'static {
    let chunk = move |(number, window): (usize, Shown)| {
        let mut text = String::new();
        for (row_number, row) in rows(&window, &context).iter().enumerate() {
            text += if number + row_number == 0 {
                "\n"
            } else {
                ",\n"
            };
            text += &serde_json::to_string(row)?;
        }
        Ok(Bytes::from(text))
    };
    let start = std::iter::once(Ok(Bytes::from_static(b"[")));
    let end = std::iter::once(Ok(Bytes::from_static(b"\n]\n")));
    start
        .chain(windows.into_iter().enumerate().map(chunk))
        .chain(end)
}
