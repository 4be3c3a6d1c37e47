//! Files with one record: the three headers and the signature. Encoding and decoding a decoded
//! record again yields the same record.

use crate::forge::{MARKER, generous};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tallybox_model::avro::{Record, decode_one, encode_one};
use tallybox_model::header::{IngestionHeader, SumPart, ValidationHeader};
use tallybox_model::signature::BatchSignature;

pub fn run(data: &[u8]) {
    if let Some(header) = round_trip::<IngestionHeader>(data) {
        assert!(header.parameters().same(&header.parameters()));
    }
    if let Some(header) = round_trip::<ValidationHeader>(data) {
        assert!(header.parameters().same(&header.parameters()));
    }
    if let Some(header) = round_trip::<SumPart>(data) {
        assert!(header.parameters().same(&header.parameters()));
    }
    if let Some(signature) = round_trip::<BatchSignature>(data) {
        let both = signature.batch_header.is_some() && signature.packets.is_some();
        assert_eq!(signature.inline().is_some(), both);
    }
}

fn round_trip<T: Record + Serialize + DeserializeOwned>(data: &[u8]) -> Option<T> {
    let header: T = decode_one(data, &generous().for_header()).ok()?;
    let ours = encode_one(&header, MARKER).expect("what was decoded can be encoded");
    let reencoded: T = decode_one(&ours, &generous().for_header()).expect("what we encode decodes");
    // The comparison uses bytes, because NaN does not equal itself.
    assert_eq!(encode_one(&reencoded, MARKER).expect("encoded before"), ours);
    Some(header)
}
