//! Bodies that are assembled from reports rendered beforehand.

use bytes::{BufMut as _, Bytes, BytesMut};
use tallybox_model::avro::{ContainerReader, FileLimits, encode_one};
use tallybox_model::report::ReportUpload;
use tallybox_model::report::json::JsonReport;
use uuid::Uuid;
use uuid::fmt::Hyphenated;

use super::error::LoadError;

/// The sync marker of the generator's container files.
const SYNC_MARKER: [u8; 16] = *b"tallybox-load-v1";
/// The id in a rendered report, to be overwritten.
pub(super) const PLACEHOLDER: &str = "00000000-0000-4000-8000-000000000000";

/// The encoding of posts with several reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoadFormat {
    /// JSON.
    Json,
    /// An Avro container file.
    Avro,
}

/// A rendered report whose id can be overwritten.
#[derive(Debug, Clone)]
pub(super) struct Template {
    bytes: Bytes,
    id_at: usize,
}

impl Template {
    /// Renders a report whose id is the placeholder.
    pub(super) fn new(report: ReportUpload, form: LoadFormat) -> Result<Self, LoadError> {
        let failed = |error: &dyn std::fmt::Display| LoadError::Render(error.to_string());
        let bytes = match form {
            LoadFormat::Json => {
                serde_json::to_vec(&JsonReport::from(report)).map_err(|error| failed(&error))?
            }
            LoadFormat::Avro => record(&report).map_err(|error| failed(&error))?,
        };
        let id = PLACEHOLDER.as_bytes();
        let id_at = bytes.windows(id.len()).position(|window| window == id);
        Ok(Self {
            id_at: id_at
                .ok_or_else(|| LoadError::Render("the rendered report has no id".to_owned()))?,
            bytes: bytes.into(),
        })
    }

    fn write(&self, id: Uuid, out: &mut BytesMut) {
        let start = out.len() + self.id_at;
        out.extend_from_slice(&self.bytes);
        id.hyphenated()
            .encode_lower(&mut out[start..start + Hyphenated::LENGTH]);
    }
}

/// Returns the Avro record of a report, as in a block.
fn record(report: &ReportUpload) -> Result<Vec<u8>, tallybox_model::avro::AvroError> {
    let file = encode_one(report, SYNC_MARKER)?;
    let mut reader = ContainerReader::open(&file[..], &FileLimits::default())?;
    Ok(reader
        .next_block()?
        .map(|block| block.bytes)
        .unwrap_or_default())
}

/// The parts of a body around its reports.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    form: LoadFormat,
    single: bool,
    header: Bytes,
}

impl Frame {
    /// Creates the frame of posts with one report, or with any number.
    pub(super) fn new(form: LoadFormat, single: bool) -> Self {
        let header = match form {
            LoadFormat::Json => Bytes::from_static(br#"{"reports":["#),
            LoadFormat::Avro => Bytes::from(file_header()),
        };
        Self {
            form,
            single,
            header,
        }
    }

    pub(super) fn media_type(&self) -> &'static str {
        match self.form {
            LoadFormat::Json => "application/json",
            LoadFormat::Avro => "avro/binary",
        }
    }

    /// Assembles a body from reports and their ids.
    pub(super) fn body<'t>(
        &self,
        reports: impl ExactSizeIterator<Item = (&'t Template, Uuid)> + Clone,
    ) -> Bytes {
        let length: usize = reports
            .clone()
            .map(|(template, _)| template.bytes.len() + 1)
            .sum();
        let mut out = BytesMut::with_capacity(self.header.len() + length + 64);
        if self.single {
            reports.for_each(|(template, id)| template.write(id, &mut out));
            return out.freeze();
        }
        out.extend_from_slice(&self.header);
        match self.form {
            LoadFormat::Json => {
                for (index, (template, id)) in reports.enumerate() {
                    if index > 0 {
                        out.put_u8(b',');
                    }
                    template.write(id, &mut out);
                }
                out.extend_from_slice(b"]}");
            }
            LoadFormat::Avro => {
                let count = reports.len();
                long(count as u64, &mut out);
                // `length` includes one byte per report for the separators of JSON.
                long((length - count) as u64, &mut out);
                reports.for_each(|(template, id)| template.write(id, &mut out));
                out.extend_from_slice(&SYNC_MARKER);
            }
        }
        out.freeze()
    }
}

/// Returns the start of a container file, including the sync marker.
fn file_header() -> Vec<u8> {
    let kind = tallybox_model::avro::RecordKind::ReportUpload;
    let mut out = BytesMut::new();
    out.extend_from_slice(b"Obj\x01");
    long(2, &mut out);
    for text in ["avro.codec", "null", "avro.schema", kind.schema_json()] {
        long(text.len() as u64, &mut out);
        out.extend_from_slice(text.as_bytes());
    }
    long(0, &mut out);
    out.extend_from_slice(&SYNC_MARKER);
    out.to_vec()
}

/// Encodes a non-negative number as Avro does: doubled, in groups of seven bits, the lowest first.
fn long(number: u64, out: &mut BytesMut) {
    let mut left = number << 1;
    while left > 0x7f {
        // The cast keeps the low seven bits.
        out.put_u8((left & 0x7f) as u8 | 0x80);
        left >>= 7;
    }
    out.put_u8(left as u8);
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use tallybox_model::avro::RecordReader;
    use tallybox_model::report::json::JsonReports;

    use super::*;

    fn upload(bins: i32) -> ReportUpload {
        ReportUpload {
            metric: "a-v1".into(),
            id: PLACEHOLDER.into(),
            created: Some(7),
            schema_version: 2,
            bins,
            epsilon: 8.0,
            prime: tallybox_model::header::PRIME,
            number_of_servers: 2,
            hamming_weight: None,
            key_id_first: "k1".into(),
            payload_first: vec![1; 100],
            key_id_second: "k2".into(),
            payload_second: vec![2; 113],
            signature: None,
            certificate_chain: Vec::new(),
        }
    }

    fn body(form: LoadFormat, count: usize) -> (Bytes, Vec<ReportUpload>) {
        let templates: Vec<_> = (0..count)
            .map(|bins| Template::new(upload(bins as i32), form).unwrap())
            .collect();
        let ids: Vec<_> = (0..count)
            .map(|index| Uuid::from_u128(index as u128 + 5))
            .collect();
        let expected = (0..count).map(|index| ReportUpload {
            id: ids[index].to_string(),
            ..upload(index as i32)
        });
        let frame = Frame::new(form, false);
        (
            frame.body(templates.iter().zip(ids.iter().copied())),
            expected.collect(),
        )
    }

    #[test]
    fn many_reports_are_what_the_models_readers_read() {
        let (json, expected) = body(LoadFormat::Json, 3);
        let read: JsonReports = serde_json::from_slice(&json).unwrap();
        let read: Vec<_> = read
            .reports
            .into_iter()
            .map(|report| ReportUpload::try_from(report).unwrap())
            .collect();
        assert_eq!(read, expected);

        let (avro, expected) = body(LoadFormat::Avro, 300);
        let limits = FileLimits::default();
        let mut reader = ContainerReader::open(&avro[..], &limits).unwrap();
        let block = reader.next_block().unwrap().unwrap();
        let read: Vec<ReportUpload> = RecordReader::new(&block, reader.schema(), &limits)
            .collect::<Result<_, _>>()
            .unwrap();
        assert_eq!(read, expected);
        assert!(reader.next_block().unwrap().is_none());
    }

    #[test]
    fn one_report_stands_by_itself() {
        let template = Template::new(upload(3), LoadFormat::Json).unwrap();
        let id = Uuid::from_u128(9);
        let body = Frame::new(LoadFormat::Json, true).body([(&template, id)].into_iter());
        let read: JsonReport = serde_json::from_slice(&body).unwrap();
        assert_eq!(read.payload.uuid, id.to_string());
    }
}
