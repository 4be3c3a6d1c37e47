//! The body of a post.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use rand::Rng as _;
use tallybox_model::avro::{ContainerWriter, RecordKind};
use tallybox_model::report::ReportUpload;
use tallybox_model::report::json::{JsonReport, JsonReports};

/// The encoding of several reports. A single report is always JSON.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum BodyFormat {
    /// `{"reports": […]}`, `application/json`.
    Json,
    /// An Avro container file of `TallyboxReport`, `avro/binary`: about two thirds of the size.
    #[default]
    Avro,
}

/// A body and the facts for its headers.
pub(super) struct Body {
    pub(super) bytes: Vec<u8>,
    pub(super) media_type: &'static str,
    pub(super) gzip: bool,
}

impl Body {
    /// Encodes reports as a body.
    pub(super) fn encode(
        reports: &[&ReportUpload],
        form: BodyFormat,
        gzip: bool,
    ) -> Result<Self, String> {
        let (media_type, bytes) = match (reports, form) {
            ([one], _) => ("application/json", json(&JsonReport::from((*one).clone()))?),
            (many, BodyFormat::Json) => {
                let reports = many
                    .iter()
                    .map(|report| JsonReport::from((*report).clone()))
                    .collect();
                ("application/json", json(&JsonReports { reports })?)
            }
            (many, BodyFormat::Avro) => ("avro/binary", avro(many)?),
        };
        let bytes = if gzip { packed(&bytes)? } else { bytes };
        Ok(Self {
            bytes,
            media_type,
            gzip,
        })
    }
}

fn json(value: &impl serde::Serialize) -> Result<Vec<u8>, String> {
    serde_json::to_vec(value).map_err(|error| error.to_string())
}

fn avro(reports: &[&ReportUpload]) -> Result<Vec<u8>, String> {
    let mut marker = [0; 16];
    rand::rng().fill_bytes(&mut marker);
    let mut writer = ContainerWriter::new(Vec::new(), RecordKind::ReportUpload, marker);
    for report in reports {
        writer.append(*report).map_err(|error| error.to_string())?;
    }
    writer.finish().map_err(|error| error.to_string())
}

fn packed(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder
        .write_all(bytes)
        .map_err(|error| error.to_string())?;
    encoder.finish().map_err(|error| error.to_string())
}
