//! The data dictionary: the meaning of each field of the downloads.

use axum::Json;
use serde::Serialize;

/// A field.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Field {
    field: &'static str,
    r#type: &'static str,
    meaning: &'static str,
}

/// The dictionary.
#[derive(Debug, Serialize)]
pub(crate) struct Dictionary {
    tidy: &'static [Field],
    wide: &'static [Field],
    notes: &'static [&'static str],
}

const fn field(field: &'static str, r#type: &'static str, meaning: &'static str) -> Field {
    Field {
        field,
        r#type,
        meaning,
    }
}

const TIDY: [Field; 23] = [
    field("metric", "text", "name of the metric, with its version"),
    field(
        "instance",
        "text",
        "locality and ingestor, as in the names of sum parts",
    ),
    field(
        "locality",
        "text",
        "jurisdiction whose clients sent the reports",
    ),
    field("ingestor", "text", "organisation that received the reports"),
    field("window_start", "time", "start of the window, in UTC"),
    field(
        "window_end",
        "time",
        "end of the window; it is not part of the window",
    ),
    field(
        "version",
        "integer",
        "0 for the first sum, 1 for its first correction, and so on",
    ),
    field(
        "state",
        "text",
        "summed; superseded; one-side: one sum part is missing; refused: the parts \
        cannot be added; below-minimum: suppressed",
    ),
    field(
        "reports",
        "integer",
        "number of reports in the sums; empty without a sum",
    ),
    field(
        "rejected",
        "integer",
        "number of reports that the processors rejected",
    ),
    field("batches", "integer", "number of batches in the sums"),
    field(
        "mechanism",
        "text",
        "how clients add noise: randomised-response",
    ),
    field(
        "epsilon",
        "number",
        "parameter of the noise; a smaller one adds more",
    ),
    field(
        "quantity",
        "text",
        "count: reports that have the bin set; sum and mean: of the numbers that \
        the binary digits of an integer state",
    ),
    field(
        "bin",
        "integer",
        "number of the bin, from 0; empty for sum and mean",
    ),
    field(
        "label",
        "text",
        "meaning of the bin; a text that a spreadsheet would take for a formula has an \
        apostrophe before it",
    ),
    field(
        "raw_sum",
        "integer",
        "sum of the bin, with the noise of the clients",
    ),
    field(
        "estimate",
        "number",
        "unbiased estimate of the true number; it can be negative",
    ),
    field(
        "standard_error",
        "number",
        "standard deviation of the noise in the estimate",
    ),
    field("lower_95", "number", "lower end of the 95 % interval"),
    field("upper_95", "number", "upper end of the 95 % interval"),
    field(
        "evidence",
        "text",
        "key of the evidence object with both signed sum parts",
    ),
    field("added", "time", "when the portal added the window"),
];

const WIDE: [Field; 10] = [
    field("date", "date", "day of the window's start, in UTC"),
    field("window_start", "time", "start of the window"),
    field("window_end", "time", "end of the window"),
    field(
        "aggregation_id",
        "text",
        "name of the metric, with its version",
    ),
    field("instance", "text", "locality and ingestor"),
    field("device_count", "integer", "number of reports in the sums"),
    field("epsilon", "number", "parameter of the noise"),
    field(
        "standard_deviation",
        "number",
        "standard deviation of the noise of each debiased value",
    ),
    field("{label}", "number", "debiased value of the bin"),
    field(
        "raw: {label}",
        "integer",
        "sum of the bin, with the noise of the clients",
    ),
];

const NOTES: [&str; 4] = [
    "Windows with fewer reports than the minimum have one row without numbers. They are part of no \
     total.",
    "The intervals cover the clients' noise only. They say nothing about people who sent no report.",
    "Rows with different epsilons or versions of a metric must not be added.",
    "The wide file has only windows with numbers.",
];

/// Handles `/api/v1/dictionary`.
pub(crate) async fn dictionary() -> Json<Dictionary> {
    Json(Dictionary {
        tidy: &TIDY,
        wide: &WIDE,
        notes: &NOTES,
    })
}
