//! Reports as JSON, with ENPA's field names.
//!
//! ```json
//! {"metricName": "CodeVerified-v1",
//!  "payload": {"uuid": "…", "created": "2026-11-23T10:15:00Z", "schemaVersion": 2,
//!    "prioParams": {"prime": 4293918721, "bins": 6, "epsilon": 8.0, "numberServers": 2},
//!    "encryptedDataShares": [{"payload": "base64", "encryptionKeyId": "…"}, {"payload": "base64", "encryptionKeyId": "…"}]},
//!  "signature": "base64", "certificateChain": ["base64 of DER", "…"]}
//! ```
//!
//! `created`, `hammingWeight`, `signature` and `certificateChain` may be absent or null. Unknown
//! members are rejected, so that a client learns that the ingestor would not store them.

use super::ReportUpload;
use base64ct::{Base64, Encoding as _};
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_bytes::ByteBuf;

/// The JSON form of a report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(
    rename_all = "camelCase",
    deny_unknown_fields,
    expecting = "a report: an object with metricName and payload"
)]
pub struct JsonReport {
    /// The metric with its version, the last component of ENPA's document path.
    pub metric_name: String,
    /// The part that the signature covers.
    pub payload: JsonPayload,
    /// The attested key's signature, base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<Encoded>,
    /// The attested key's certificates, base64 of DER, leaf first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_chain: Option<Vec<Encoded>>,
}

/// The body of a report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(
    rename_all = "camelCase",
    deny_unknown_fields,
    expecting = "an object with uuid, schemaVersion, prioParams and encryptedDataShares"
)]
pub struct JsonPayload {
    /// The report's id.
    pub uuid: String,
    /// The time at which the client created the report, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// Version of the schema.
    pub schema_version: i32,
    /// The parameters of the metric.
    pub prio_params: JsonParameters,
    /// The encrypted shares, the first processor's first.
    pub encrypted_data_shares: [JsonShare; 2],
}

/// The parameters of Prio and of the randomised response.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(
    rename_all = "camelCase",
    deny_unknown_fields,
    expecting = "an object with prime, bins, epsilon and numberServers"
)]
pub struct JsonParameters {
    /// Modulus of the field.
    pub prime: i64,
    /// Number of bins.
    pub bins: i32,
    /// Parameter of the randomised response.
    pub epsilon: f64,
    /// The number of processors among which the report is split.
    pub number_servers: i32,
    /// The number of bins that are set, if the metric defines it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hamming_weight: Option<i32>,
}

/// One processor's share.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(
    rename_all = "camelCase",
    deny_unknown_fields,
    expecting = "a share: an object with payload and encryptionKeyId"
)]
pub struct JsonShare {
    /// The encrypted share, base64.
    pub payload: Encoded,
    /// The id of the key to which the share is encrypted.
    pub encryption_key_id: String,
}

/// The body of a POST request with several reports.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JsonReports {
    /// The reports.
    pub reports: Vec<JsonReport>,
}

/// Bytes as base64 text (RFC 4648 section 4, padded).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded(pub Vec<u8>);

impl Serialize for Encoded {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&Base64::encode_string(&self.0))
    }
}

impl<'de> Deserialize<'de> for Encoded {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl serde::de::Visitor<'_> for Text {
            type Value = Encoded;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("base64 text")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Encoded, E> {
                Base64::decode_vec(text)
                    .map(Encoded)
                    .map_err(|_| E::custom("not padded base64"))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

/// The reason why a member of a report is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JsonReportError {
    /// `created` is not a time.
    #[error("payload.created is not an RFC 3339 time such as 2026-11-23T10:15:00Z")]
    Created,
}

impl TryFrom<JsonReport> for ReportUpload {
    type Error = JsonReportError;

    fn try_from(report: JsonReport) -> Result<Self, JsonReportError> {
        let payload = report.payload;
        let millis = |text: String| text.parse::<Timestamp>().map(Timestamp::as_millisecond);
        let created = payload.created.map(millis).transpose();
        let created = created.map_err(|_| JsonReportError::Created)?;
        let [first, second] = payload.encrypted_data_shares;
        let JsonParameters {
            prime,
            bins,
            epsilon,
            number_servers,
            hamming_weight,
        } = payload.prio_params;
        let chain = report.certificate_chain.unwrap_or_default();
        Ok(Self {
            metric: report.metric_name,
            id: payload.uuid,
            created,
            schema_version: payload.schema_version,
            bins,
            epsilon,
            prime,
            number_of_servers: number_servers,
            hamming_weight,
            key_id_first: first.encryption_key_id,
            payload_first: first.payload.0,
            key_id_second: second.encryption_key_id,
            payload_second: second.payload.0,
            signature: report.signature.map(|signature| signature.0),
            certificate_chain: chain
                .into_iter()
                .map(|certificate| ByteBuf::from(certificate.0))
                .collect(),
        })
    }
}

impl From<ReportUpload> for JsonReport {
    fn from(report: ReportUpload) -> Self {
        let created = report
            .created
            .and_then(|millis| Timestamp::from_millisecond(millis).ok());
        let chain: Vec<_> = report
            .certificate_chain
            .into_iter()
            .map(|certificate| Encoded(certificate.into_vec()))
            .collect();
        let share = |payload, encryption_key_id| JsonShare {
            payload: Encoded(payload),
            encryption_key_id,
        };
        Self {
            metric_name: report.metric,
            payload: JsonPayload {
                uuid: report.id,
                created: created.map(|time| time.to_string()),
                schema_version: report.schema_version,
                prio_params: JsonParameters {
                    prime: report.prime,
                    bins: report.bins,
                    epsilon: report.epsilon,
                    number_servers: report.number_of_servers,
                    hamming_weight: report.hamming_weight,
                },
                encrypted_data_shares: [
                    share(report.payload_first, report.key_id_first),
                    share(report.payload_second, report.key_id_second),
                ],
            },
            signature: report.signature.map(Encoded),
            certificate_chain: (!chain.is_empty()).then_some(chain),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::avro::{ContainerReader, FileLimits, RecordReader, encode_one};

    fn upload() -> ReportUpload {
        ReportUpload {
            metric: "a-v1".into(),
            id: "00112233-4455-4677-8899-aabbccddeeff".into(),
            created: Some(1_764_000_000_000),
            schema_version: 2,
            bins: 5,
            epsilon: 8.0,
            prime: crate::header::PRIME,
            number_of_servers: 2,
            hamming_weight: None,
            key_id_first: "k1".into(),
            payload_first: vec![1, 2, 3],
            key_id_second: "k2".into(),
            payload_second: vec![4],
            signature: Some(vec![9]),
            certificate_chain: vec![ByteBuf::from([7, 8])],
        }
    }

    #[test]
    fn json_and_avro_say_the_same() {
        let text = serde_json::to_string(&JsonReport::from(upload())).unwrap();
        assert!(
            text.contains(r#""created":"2025-11-24T16:00:00Z""#),
            "{text}"
        );
        let read: JsonReport = serde_json::from_str(&text).unwrap();
        assert_eq!(ReportUpload::try_from(read).unwrap(), upload());
        let file = encode_one(&upload(), [1; 16]).unwrap();
        let mut reader = ContainerReader::open(&file[..], &FileLimits::default()).unwrap();
        let block = reader.next_block().unwrap().unwrap();
        let records: Vec<ReportUpload> =
            RecordReader::new(&block, reader.schema(), &FileLimits::default())
                .collect::<Result<_, _>>()
                .unwrap();
        assert_eq!(records, [upload()]);
    }

    #[test]
    fn members_nobody_knows_are_refused() {
        let text = serde_json::to_string(&JsonReport::from(upload())).unwrap();
        for (from, to) in [
            (r#""bins":5"#, r#""bins":5,"rPit":1"#),
            (r#""metricName""#, r#""user":"me","metricName""#),
            (r#""AQID""#, r#""AQI""#),
            (r#""2025-11-24T16:00:00Z""#, "7"),
        ] {
            let changed = text.replace(from, to);
            assert_ne!(changed, text);
            assert!(
                serde_json::from_str::<JsonReport>(&changed).is_err(),
                "{to}"
            );
        }
    }
}
