//! The bytes of a report that a device signs: ENPA's `Payload` message in protobuf encoding.
//!
//! ```text
//! 0a len uuid                      1  uuid, as the client spells it
//!                                  2  created: never set
//! 1a len ( 08 varint               3  parameters: 1  bins
//!          11 8 bytes, LE                         2  epsilon, a double
//!          18 varint                              3  prime
//!          20 varint                              4  number of servers
//!          28 varint )                            5  Hamming weight, only if there is one
//! 20 varint                        4  schema version
//! 2a len ( 0a 02 08 01             5  response:   1  status: 1 = OK
//!          12 len share of First                  2  encrypted shares, in order of the processors
//!          12 len share of Second )
//! ```
//!
//! Fields are in the order of their numbers, as written by ENPA's Android client. The signature
//! does **not** cover the time, the key ids and the metric's name. The metric's name is bound only
//! by the challenge of the attested key.

use super::{ReportUpload, SCHEMA_VERSIONS};

/// Wire types of protobuf, the low bits of a field's key.
const VARINT: u64 = 0;
const FIXED_64: u64 = 1;
const LENGTH: u64 = 2;

/// Returns the bytes that the device has signed; `None` for a schema version whose signed bytes are
/// undefined.
#[must_use]
pub fn signed_bytes(report: &ReportUpload) -> Option<Vec<u8>> {
    if !SCHEMA_VERSIONS.contains(&report.schema_version) {
        return None;
    }
    let mut parameters = Message::default();
    parameters.int(1, i64::from(report.bins));
    parameters.double(2, report.epsilon);
    parameters.int(3, report.prime);
    parameters.int(4, i64::from(report.number_of_servers));
    if let Some(weight) = report.hamming_weight {
        parameters.int(5, i64::from(weight));
    }
    let mut status = Message::default();
    status.int(1, 1);
    let mut response = Message::default();
    response.bytes(1, &status.0);
    for payload in report.payloads() {
        response.bytes(2, payload);
    }
    let mut message = Message::default();
    message.bytes(1, report.id.as_bytes());
    message.bytes(3, &parameters.0);
    message.int(4, i64::from(report.schema_version));
    message.bytes(5, &response.0);
    Some(message.0)
}

/// A protobuf message under construction.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    /// Appends an integer. Negative values take ten bytes, as protobuf requires.
    fn int(&mut self, field: u64, value: i64) {
        self.varint(field << 3 | VARINT);
        self.varint(value.cast_unsigned());
    }

    fn double(&mut self, field: u64, value: f64) {
        self.varint(field << 3 | FIXED_64);
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    /// Appends a text, a byte string or an embedded message.
    fn bytes(&mut self, field: u64, value: &[u8]) {
        self.varint(field << 3 | LENGTH);
        self.varint(value.len() as u64);
        self.0.extend_from_slice(value);
    }

    fn varint(&mut self, mut value: u64) {
        while value > 0x7f {
            // Seven bits at a time, lowest first. The cast truncates intentionally.
            self.0.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::header::PRIME;

    fn report() -> ReportUpload {
        ReportUpload {
            metric: "metric-v1".to_owned(),
            id: "ab".to_owned(),
            created: Some(5),
            schema_version: 2,
            bins: 300,
            epsilon: 12.0,
            prime: PRIME,
            number_of_servers: 2,
            hamming_weight: None,
            key_id_first: "first".to_owned(),
            payload_first: vec![1; 130],
            key_id_second: "second".to_owned(),
            payload_second: vec![2, 3],
            signature: None,
            certificate_chain: Vec::new(),
        }
    }

    #[test]
    fn the_bytes_are_those_of_protobuf() {
        let mut expected = vec![0x0a, 2, b'a', b'b'];
        expected.extend([0x1a, 20, 0x08, 0xac, 0x02]);
        expected.extend([0x11, 0, 0, 0, 0, 0, 0, 0x28, 0x40]);
        expected.extend([0x18, 0x81, 0x80, 0xc0, 0xff, 0x0f, 0x20, 2]);
        expected.extend([0x20, 2]);
        expected.extend([0x2a, 0x8d, 0x01, 0x0a, 2, 0x08, 1, 0x12, 0x82, 0x01]);
        expected.extend([1; 130]);
        expected.extend([0x12, 2, 2, 3]);
        assert_eq!(signed_bytes(&report()).unwrap(), expected);
    }

    #[test]
    fn what_is_covered_changes_them_and_nothing_else_does() {
        let base = signed_bytes(&report());
        let change = |change: fn(&mut ReportUpload)| {
            let mut report = report();
            change(&mut report);
            signed_bytes(&report)
        };
        for covered in [
            change(|report| report.id = "ac".to_owned()),
            change(|report| report.schema_version = 1),
            change(|report| report.bins = -1),
            change(|report| report.epsilon = 11.0),
            change(|report| report.prime = 7),
            change(|report| report.number_of_servers = 3),
            change(|report| report.hamming_weight = Some(0)),
            change(|report| report.payload_first[0] = 9),
            change(|report| report.payload_second.clear()),
        ] {
            assert_ne!(covered, base);
        }
        for free in [
            change(|report| report.metric = "other".to_owned()),
            change(|report| report.created = None),
            change(|report| report.key_id_first = "other".to_owned()),
            change(|report| report.key_id_second = "other".to_owned()),
            change(|report| report.signature = Some(vec![1])),
        ] {
            assert_eq!(free, base);
        }
        assert_eq!(change(|report| report.schema_version = 3), None);
    }
}
