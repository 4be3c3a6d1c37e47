//! Splits bodies into reports. A JSON report that cannot be parsed does not affect the other
//! reports of its body.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use tallybox_model::avro::{AvroError, ContainerReader, FileLimits, RecordReader};
use tallybox_model::report::json::JsonReport;
use tallybox_model::report::{ProblemKind, ReportUpload};

use super::body::{MAX_EXPANSION, too_much_unpacked, unpacked_limit};
use super::reason;
use super::refusal::Refusal;

/// Longest part of a decoder's message in an answer, in characters.
const QUOTED_CHARS: usize = 300;

/// The reports of a body.
pub(super) enum BodyReports<'b> {
    /// A JSON body that is one report, not yet parsed.
    Single(&'b [u8]),
    /// A JSON body with a list of reports, not yet parsed.
    List(Vec<&'b RawValue>),
    /// The parsed reports of an Avro file.
    Parsed(Vec<ParsedReport>),
}

/// The result of parsing one report.
pub(super) enum ParsedReport {
    /// A report.
    Report(Box<ReportUpload>),
    /// A text that cannot be parsed.
    Malformed {
        /// The report's id, empty if it cannot be parsed either.
        id: String,
        /// The cause.
        detail: String,
    },
}

impl BodyReports<'_> {
    /// Returns the number of reports.
    pub(super) fn count(&self) -> usize {
        match self {
            Self::Single(_) => 1,
            Self::List(reports) => reports.len(),
            Self::Parsed(reports) => reports.len(),
        }
    }
}

/// Finds the reports of a JSON body, at most `most`.
pub(super) fn json(body: &[u8], most: u64) -> Result<BodyReports<'_>, Refusal> {
    let shape: Shape<'_> = serde_json::from_slice(body).map_err(|error| {
        Refusal::new(
            ProblemKind::Malformed,
            truncate(&format!(
                "the body cannot be read: {}",
                reason::plain(&error.to_string())
            )),
        )
    })?;
    match shape {
        Shape::Report => Ok(BodyReports::Single(body)),
        Shape::List(reports) if reports.len() as u64 > most => Err(too_many(most)),
        Shape::List(reports) => Ok(BodyReports::List(reports)),
        Shape::TooLong => Err(too_many(MAX_ELEMENTS as u64)),
    }
}

/// Parses one report.
pub(super) fn report(text: &[u8]) -> ParsedReport {
    let malformed = |detail: &str| ParsedReport::Malformed {
        id: parse_id(text),
        detail: truncate(detail),
    };
    match serde_json::from_slice::<JsonReport>(text) {
        Ok(report) => match ReportUpload::try_from(report) {
            Ok(upload) => ParsedReport::Report(Box::new(upload)),
            Err(error) => malformed(&error.to_string()),
        },
        Err(error) => malformed(&reason::explain_report(text, &error)),
    }
}

/// Parses an Avro file within limits, and takes its decompressed blocks from the budget. A file
/// that cannot be read to its end is rejected as a whole: reports after the damage cannot be
/// located.
pub(super) fn avro(
    body: &[u8],
    most: BodyLimits,
    reserve: &mut dyn FnMut(u64) -> bool,
) -> Result<Vec<ParsedReport>, Refusal> {
    // A file without records has no bytes.
    if body.is_empty() {
        return Ok(Vec::new());
    }
    let limits = FileLimits {
        object_bytes: body.len() as u64,
        block_bytes: most.bytes,
        record_bytes: most.bytes,
        records: most.reports,
        expansion_ratio: MAX_EXPANSION,
        ..FileLimits::default()
    };
    let mut unpacked = Unpacked {
        most: unpacked_limit(body.len(), most.bytes),
        bytes: 0,
        reserve,
    };
    let mut reports = Vec::new();
    match parse_avro(body, &limits, &mut unpacked, &mut reports) {
        Ok(()) => Ok(reports),
        Err(AvroError::Limit {
            what: "the number of records",
            ..
        }) => Err(too_many(most.reports)),
        Err(AvroError::NoMemory) if unpacked.bytes > unpacked.most => {
            Err(too_much_unpacked(unpacked.most))
        }
        Err(AvroError::NoMemory) => Err(Refusal::overloaded()),
        Err(AvroError::Limit {
            what: "a decompressed block",
            limit,
        }) => Err(too_much_unpacked(limit)),
        Err(error) => {
            let read = reports.len();
            Err(Refusal::new(
                ProblemKind::Malformed,
                truncate(&format!(
                    "the file cannot be read after {read} reports: {}; none of its reports is stored: send a complete \
                     file, or send these reports again",
                    reason::plain(&error.to_string())
                )),
            ))
        }
    }
}

/// Limits of a body.
#[derive(Clone, Copy)]
pub(super) struct BodyLimits {
    pub(super) bytes: u64,
    pub(super) reports: u64,
}

/// Decompressed bytes of a file so far.
struct Unpacked<'t> {
    most: u64,
    bytes: u64,
    reserve: &'t mut dyn FnMut(u64) -> bool,
}

fn parse_avro(
    body: &[u8],
    limits: &FileLimits,
    unpacked: &mut Unpacked<'_>,
    reports: &mut Vec<ParsedReport>,
) -> Result<(), AvroError> {
    let mut reader = ContainerReader::open(body, limits)?;
    loop {
        let Some(block) = reader.next_block_within(unpacked.reserve)? else {
            return Ok(());
        };
        unpacked.bytes += block.bytes.len() as u64;
        if unpacked.bytes > unpacked.most {
            return Err(AvroError::NoMemory);
        }
        for upload in RecordReader::<ReportUpload>::new(&block, reader.schema(), limits) {
            reports.push(ParsedReport::Report(Box::new(upload?)));
        }
    }
}

fn too_many(most: u64) -> Refusal {
    Refusal::new(
        ProblemKind::TooLarge,
        format!("a body contains at most {most} reports; split the body"),
    )
}

fn truncate(text: &str) -> String {
    text.chars().take(QUOTED_CHARS).collect()
}

/// Most elements that are read from a list, whatever the configured limit: each takes 16 bytes.
const MAX_ELEMENTS: usize = 1 << 16;

/// The form of a JSON body.
enum Shape<'b> {
    Report,
    List(Vec<&'b RawValue>),
    TooLong,
}

impl<'de> Deserialize<'de> for Shape<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ShapeVisitor)
    }
}

struct ShapeVisitor;

impl<'de> Visitor<'de> for ShapeVisitor {
    type Value = Shape<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a report, or an object with a list of reports")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Shape<'de>, A::Error> {
        let mut shape = Shape::Report;
        let mut members = 0;
        while let Some(Name(name)) = map.next_key()? {
            members += 1;
            if name == "reports" {
                let Elements(elements) = map.next_value()?;
                shape = elements.map_or(Shape::TooLong, Shape::List);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        if members > 1 && !matches!(shape, Shape::Report) {
            return Err(A::Error::custom(
                "the member `reports` excludes all other members",
            ));
        }
        Ok(shape)
    }
}

/// The name of a member, borrowed where possible.
#[derive(Deserialize)]
struct Name<'b>(#[serde(borrow)] Cow<'b, str>);

/// The elements of a list, or `None` if there are too many.
struct Elements<'b>(Option<Vec<&'b RawValue>>);

impl<'de> Deserialize<'de> for Elements<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;
        impl<'de> Visitor<'de> for List {
            type Value = Elements<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of reports")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Elements<'de>, A::Error> {
                let mut elements = Vec::new();
                while let Some(element) = seq.next_element::<&RawValue>()? {
                    if elements.len() < MAX_ELEMENTS {
                        elements.push(element);
                    } else {
                        while seq.next_element::<IgnoredAny>()?.is_some() {}
                        return Ok(Elements(None));
                    }
                }
                Ok(Elements(Some(elements)))
            }
        }
        deserializer.deserialize_seq(List)
    }
}

/// Returns the id of a report that cannot be parsed as a whole, or an empty string.
fn parse_id(text: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Outer {
        payload: Inner,
    }
    #[derive(Deserialize)]
    struct Inner {
        uuid: String,
    }
    serde_json::from_slice::<Outer>(text)
        .map(|outer| outer.payload.uuid)
        .unwrap_or_default()
}

/// Entry points for fuzzing.
pub mod fuzzing {
    use super::{BodyReports, ParsedReport};

    /// Returns how many reports of a JSON body can be parsed and how many it contains, or `None` if
    /// the body cannot be split.
    #[must_use]
    pub fn json(body: &[u8]) -> Option<(usize, usize)> {
        let reports = super::json(body, 10_000).ok()?;
        let good = match &reports {
            BodyReports::Single(text) => usize::from(is_good(&super::report(text))),
            BodyReports::List(list) => list
                .iter()
                .filter(|report| is_good(&super::report(report.get().as_bytes())))
                .count(),
            BodyReports::Parsed(list) => list.iter().filter(|report| is_good(report)).count(),
        };
        Some((good, reports.count()))
    }

    /// The same for an Avro body.
    #[must_use]
    pub fn avro(body: &[u8]) -> Option<(usize, usize)> {
        let most = super::BodyLimits {
            bytes: 8 << 20,
            reports: 10_000,
        };
        let reports = super::avro(body, most, &mut |_| true).ok()?;
        Some((
            reports.iter().filter(|report| is_good(report)).count(),
            reports.len(),
        ))
    }

    fn is_good(report: &ParsedReport) -> bool {
        matches!(report, ParsedReport::Report(_))
    }
}
