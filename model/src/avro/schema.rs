//! The schemas that Tallybox writes (ENPA's seven exactly as the predecessor embeds them, and four
//! additional ones), and the schemas of other writers.

use super::AvroError;
use serde_avro_fast::Schema;
use serde_json::Value;
use std::fmt;
use std::sync::OnceLock;

/// The kinds of record. ENPA's are in the namespace `org.abetterinternet.prio.v1`, the additional
/// ones in `org.tallybox.v1`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum RecordKind {
    /// `PrioIngestionHeader`
    IngestionHeader,
    /// `PrioDataSharePacket`
    DataSharePacket,
    /// `PrioValidityHeader`
    ValidationHeader,
    /// `PrioValidityPacket`
    ValidationPacket,
    /// `PrioSumPart`
    SumPart,
    /// `PrioInvalidPacket`
    InvalidPacket,
    /// `PrioBatchSignature`
    BatchSignature,
    /// `TallyboxReport`, the upload of a client
    ReportUpload,
    /// `TallyboxStoredReport`, a report in an ingestor's slab
    StoredReport,
    /// `TallyboxRosterHeader`, the writer and window of a roster
    RosterHeader,
    /// `TallyboxRosterEntry`, a batch in a roster
    RosterEntry,
}

impl RecordKind {
    /// All kinds, ENPA's first.
    pub const ALL: [Self; 11] = [
        Self::IngestionHeader,
        Self::DataSharePacket,
        Self::ValidationHeader,
        Self::ValidationPacket,
        Self::SumPart,
        Self::InvalidPacket,
        Self::BatchSignature,
        Self::ReportUpload,
        Self::StoredReport,
        Self::RosterHeader,
        Self::RosterEntry,
    ];

    /// Returns the record's name in its schema.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::IngestionHeader => "PrioIngestionHeader",
            Self::DataSharePacket => "PrioDataSharePacket",
            Self::ValidationHeader => "PrioValidityHeader",
            Self::ValidationPacket => "PrioValidityPacket",
            Self::SumPart => "PrioSumPart",
            Self::InvalidPacket => "PrioInvalidPacket",
            Self::BatchSignature => "PrioBatchSignature",
            Self::ReportUpload => "TallyboxReport",
            Self::StoredReport => "TallyboxStoredReport",
            Self::RosterHeader => "TallyboxRosterHeader",
            Self::RosterEntry => "TallyboxRosterEntry",
        }
    }

    /// Returns the schema as written into files, byte for byte.
    #[must_use]
    pub fn schema_json(self) -> &'static str {
        match self {
            Self::IngestionHeader => include_str!("../../schema/ingestion-header.avsc"),
            Self::DataSharePacket => include_str!("../../schema/ingestion-data-share-packet.avsc"),
            Self::ValidationHeader => include_str!("../../schema/validation-header.avsc"),
            Self::ValidationPacket => include_str!("../../schema/validation-packet.avsc"),
            Self::SumPart => include_str!("../../schema/sum-part.avsc"),
            Self::InvalidPacket => include_str!("../../schema/invalid-packet.avsc"),
            Self::BatchSignature => include_str!("../../schema/batch-signature.avsc"),
            Self::ReportUpload => include_str!("../../schema/report-upload.avsc"),
            Self::StoredReport => include_str!("../../schema/stored-report.avsc"),
            Self::RosterHeader => include_str!("../../schema/roster-header.avsc"),
            Self::RosterEntry => include_str!("../../schema/roster-entry.avsc"),
        }
    }

    /// Returns the parsed schema.
    pub(super) fn schema(self) -> &'static Schema {
        static SCHEMAS: OnceLock<Vec<Schema>> = OnceLock::new();
        let parse = |kind: Self| {
            #[allow(
                clippy::expect_used,
                reason = "constants of this program, parsed by a test"
            )]
            kind.schema_json().parse().expect("our schemas parse")
        };
        let schemas = SCHEMAS.get_or_init(|| Self::ALL.into_iter().map(parse).collect());
        &schemas[self as usize]
    }

    /// Returns the kind that a file's schema names, by the record's name with or without namespace.
    #[must_use]
    pub fn of_schema(json: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(json).ok()?;
        let name = value.get("name")?.as_str()?;
        let short = name.rsplit('.').next()?;
        Self::ALL.into_iter().find(|kind| kind.name() == short)
    }
}

impl fmt::Display for RecordKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The schema with which a file was written.
///
/// Records are resolved against it by field name. The record's name and namespace are ignored,
/// unknown fields are skipped, and missing fields take their default if they have one.
/// `logicalType` may be inside the type, as the Avro specification requires, next to it, as in
/// ENPA's sources, or absent.
#[derive(Debug)]
pub struct WriterSchema {
    pub(super) schema: Schema,
    json: String,
}

impl WriterSchema {
    /// Parses the JSON text of a schema.
    ///
    /// # Errors
    /// [`AvroError::Schema`] if the text is not a supported schema of a record.
    pub fn parse(json: &[u8]) -> Result<Self, AvroError> {
        let bad = |reason: String| AvroError::Schema(shown(&reason));
        let json = std::str::from_utf8(json).map_err(|_| bad("not UTF-8".to_owned()))?;
        let value: serde_json::Value =
            serde_json::from_str(json).map_err(|error| bad(error.to_string()))?;
        if value.get("type").and_then(Value::as_str) != Some("record") {
            return Err(bad("not the schema of a record".to_owned()));
        }
        check_fields(&value).map_err(|reason| bad(reason.to_owned()))?;
        let schema = json
            .parse()
            .map_err(|error: serde_avro_fast::schema::SchemaError| bad(error.to_string()))?;
        Ok(Self {
            schema,
            json: json.to_owned(),
        })
    }

    /// Returns the JSON text of the schema as contained in the file.
    #[must_use]
    pub fn json(&self) -> &str {
        &self.json
    }
}

/// Makes foreign text safe for a log: escapes control characters and limits the length.
pub(super) fn shown(text: &str) -> String {
    let short: String = text.chars().take(200).collect();
    short.escape_debug().to_string()
}

/// Maximum number of fields of a foreign schema.
const MOST_FIELDS: usize = 64;

/// Checks that a schema uses only primitives, unions of them with null, and arrays of them, as
/// writers of these records do. With nested types or elements without bytes, a small file could
/// take unlimited time.
fn check_fields(record: &Value) -> Result<(), &'static str> {
    let fields = record
        .get("fields")
        .and_then(Value::as_array)
        .ok_or("no fields")?;
    if fields.len() > MOST_FIELDS {
        return Err("more than 64 fields");
    }
    let is_supported = |field: &Value| field.get("type").is_some_and(is_field_type);
    if fields.iter().all(is_supported) {
        Ok(())
    } else {
        Err("a field is neither a primitive, a union of primitives, nor an array of one")
    }
}

fn is_field_type(kind: &Value) -> bool {
    match kind {
        Value::Array(branches) => {
            branches.len() <= 8 && branches.iter().all(|b| *b == "null" || is_primitive(b))
        }
        Value::Object(parts) if parts.get("type").is_some_and(|name| name == "array") => {
            parts.get("items").is_some_and(is_primitive)
        }
        other => is_primitive(other),
    }
}

/// Returns whether a type is a primitive other than null, which has no bytes. A logical type is
/// allowed.
fn is_primitive(kind: &Value) -> bool {
    let name = match kind {
        Value::String(name) => Some(name.as_str()),
        Value::Object(parts) => parts.get("type").and_then(Value::as_str),
        _ => None,
    };
    name.is_some_and(|name| {
        [
            "boolean", "int", "long", "float", "double", "bytes", "string",
        ]
        .contains(&name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    /// Lengths and digests of the embedded schemas as the predecessor writes them.
    const PUBLISHED: [(RecordKind, usize, &str); 7] = [
        (
            RecordKind::IngestionHeader,
            628,
            "934e0ff8e381ac863eba6c03b5eced7a6e386625feeba1d2bd4c7b2a97782db4",
        ),
        (
            RecordKind::ValidationHeader,
            461,
            "ee0963063ebc59a5d8021083eb06426bd009774aeb03452c09d7c9d3d3be6201",
        ),
        (
            RecordKind::ValidationPacket,
            247,
            "f5e82648900effc2f3c7fe38052dd84cb6c7d28c663eeb930a87516d82418bf4",
        ),
        (
            RecordKind::DataSharePacket,
            396,
            "e6b1b77f67f0018e689bcfb74bd1465e0554cec7ca3859c81b4bfa5d56965bdb",
        ),
        (
            RecordKind::InvalidPacket,
            159,
            "c5125ff611cad584bd607a6fafe4789a132509b104354df14b5ad0336809eb9e",
        ),
        (
            RecordKind::BatchSignature,
            310,
            "971be13e10b302a7e914052645d0721043186fcec28bd8c031b879f99e20258d",
        ),
        (
            RecordKind::SumPart,
            729,
            "10ea9f2e0a430d0dc9278b81e42fa204dadc58c8fcc5b77758913c4000481ed0",
        ),
    ];

    #[test]
    fn the_embedded_schemas_are_the_predecessors() {
        for (kind, length, digest) in PUBLISHED {
            let json = kind.schema_json();
            assert_eq!(
                (
                    json.len(),
                    Digest::sha256(json.as_bytes()).to_hex().as_str()
                ),
                (length, digest),
                "{kind}"
            );
            assert_eq!(RecordKind::of_schema(json), Some(kind));
            let _ = kind.schema();
        }
    }

    #[test]
    fn what_is_no_record_schema_is_refused() {
        let record = |kind: &str| {
            format!(r#"{{"type":"record","name":"a","fields":[{{"name":"b","type":{kind}}}]}}"#)
        };
        for good in [
            r#""long""#,
            r#"["null","bytes"]"#,
            r#"{"type":"array","items":"long"}"#,
            r#"{"type":"string","logicalType":"uuid"}"#,
        ] {
            assert!(
                WriterSchema::parse(record(good).as_bytes()).is_ok(),
                "{good}"
            );
        }
        let nested = r#"{"type":"record","name":"c","fields":[]}"#;
        let deep = r#"{"type":"array","items":{"type":"array","items":"long"}}"#;
        for bad in [
            nested,
            deep,
            r#""null""#,
            r#"{"type":"array","items":"null"}"#,
            r#"{"type":"map","values":"long"}"#,
            r#"{"type":"fixed","name":"f","size":0}"#,
            r#""a""#,
        ] {
            assert!(
                WriterSchema::parse(record(bad).as_bytes()).is_err(),
                "{bad}"
            );
        }
        for bad in [
            &b"\"string\""[..],
            b"{}",
            b"\xff",
            b"{\"type\":\"record\"}",
            b"[]",
        ] {
            assert!(WriterSchema::parse(bad).is_err());
        }
    }
}
