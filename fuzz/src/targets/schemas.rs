//! Schemas of other writers. An input is JSON up to the first zero byte, followed by a block with
//! one record.

use super::container::decode_all;
use crate::forge::{blocks, brief, container, generous};
use tallybox_model::avro::{RecordKind, WriterSchema};

pub fn run(data: &[u8]) {
    let (json, block) = match data.iter().position(|byte| *byte == 0) {
        Some(end) => (&data[..end], &data[end + 1..]),
        None => (data, &[][..]),
    };
    let schema = match WriterSchema::parse(json) {
        Ok(schema) => schema,
        Err(error) => return brief(&error),
    };
    assert_eq!(schema.json().as_bytes(), json);
    let _ = RecordKind::of_schema(schema.json());
    let Ok((blocks, schema)) = blocks(&container(json, "null", 1, block), &generous()) else { return };
    for block in &blocks {
        decode_all(block, &schema, &generous());
    }
}
