//! The wide CSV that users of GAEN-Analytics know: one row for each window, with the number of
//! devices, epsilon, the standard deviation, and the debiased and raw value of each bin.

use axum::body::Bytes;
use tallybox_estimate::Debiased;

use super::rows::{Context, harmless};
use crate::web::error::WebError;
use crate::web::quantity::bin_label;
use crate::web::shown::Shown;
use crate::web::text::{day_of, iso_day, iso_time};

/// Columns before those of the bins.
const COLUMNS: [&str; 8] = [
    "date",
    "window_start",
    "window_end",
    "aggregation_id",
    "instance",
    "device_count",
    "epsilon",
    "standard_deviation",
];

/// Returns the parts of the file, one for each window with numbers.
pub(super) fn csv_chunks(
    windows: Vec<Shown>,
    context: Context,
) -> impl Iterator<Item = Result<Bytes, WebError>> + Send + 'static {
    let header = line(&header(&context));
    let rows = windows
        .into_iter()
        .filter_map(|window| Some(line(&row(&window)?)));
    std::iter::once(header).chain(rows)
}

fn header(context: &Context) -> Vec<String> {
    let encoding = &context.entry.encoding;
    let bins = 0..encoding.bins as usize;
    let debiased = bins.clone().map(|bin| harmless(&bin_label(encoding, bin)));
    let raw = bins.map(|bin| format!("raw: {}", bin_label(encoding, bin)));
    let columns = COLUMNS.into_iter().map(str::to_owned);
    columns.chain(debiased).chain(raw).collect()
}

/// Returns the fields of a window; `None` if it has no numbers.
fn row(window: &Shown) -> Option<Vec<String>> {
    let counts = window.counts()?;
    let start = window.window.start();
    // The noise of a count does not depend on the bin.
    let deviation = counts
        .mechanism()
        .debias(0, counts.reports())
        .standard_error;
    let mut fields = vec![
        iso_day(day_of(start.millis())),
        iso_time(start),
        iso_time(window.window.end()),
        window.aggregation.to_string(),
        window.instance.to_string(),
        counts.reports().to_string(),
        counts.mechanism().epsilon().to_string(),
        deviation.to_string(),
    ];
    let debiased = counts.debiased().into_iter();
    fields.extend(debiased.map(|Debiased { value, .. }| value.to_string()));
    fields.extend(counts.sums().iter().map(u64::to_string));
    Some(fields)
}

fn line(fields: &[String]) -> Result<Bytes, WebError> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(fields)?;
    let bytes = writer
        .into_inner()
        .map_err(|error| csv::Error::from(error.into_error()))?;
    Ok(bytes.into())
}
