//! Any file as a container: its blocks, then their records as each kind.

use crate::forge::{blocks, brief, generous, tight};
use serde::Deserialize;
use tallybox_model::avro::{Block, FileLimits, Record, RecordReader, WriterSchema};
use tallybox_model::header::{IngestionHeader, SumPart, ValidationHeader};
use tallybox_model::packet::{DataSharePacket, InvalidPacket, ValidationPacket};
use tallybox_model::signature::BatchSignature;

pub fn run(data: &[u8]) {
    let wide = blocks(data, &generous());
    // A file within the tight limits is also within the generous limits, with the same blocks.
    if let Ok((narrow, _)) = blocks(data, &tight()) {
        assert_eq!(narrow, wide.as_ref().expect("what is in the tight limits is in the generous ones").0);
    }
    let Ok((blocks, schema)) = wide else { return };
    for block in &blocks {
        decode_all(block, &schema, &generous());
    }
}

/// Decodes a block as each kind of record.
pub fn decode_all(block: &Block, schema: &WriterSchema, limits: &FileLimits) {
    decode::<IngestionHeader>(block, schema, limits);
    decode::<DataSharePacket<'_>>(block, schema, limits);
    decode::<ValidationHeader>(block, schema, limits);
    decode::<ValidationPacket>(block, schema, limits);
    decode::<SumPart>(block, schema, limits);
    decode::<InvalidPacket>(block, schema, limits);
    decode::<BatchSignature>(block, schema, limits);
}

fn decode<'b, T: Record + Deserialize<'b>>(block: &'b Block, schema: &'b WriterSchema, limits: &FileLimits) {
    let mut decoded = 0;
    for record in RecordReader::<T>::new(block, schema, limits) {
        let record = match record {
            Ok(record) => record,
            Err(error) => return brief(&error),
        };
        decoded += 1;
        assert!(record.variable_bytes() <= limits.record_bytes, "a record over the limit");
        assert!(decoded <= block.records, "more records than announced");
    }
    assert_eq!(decoded, block.records, "fewer records than announced, and no error");
}
