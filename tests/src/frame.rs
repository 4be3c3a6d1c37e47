//! What the predecessor's files look like from outside.

use tallybox_model::avro::RecordKind;

/// Asserts that metadata and schema of a file of ours are the predecessor's, entry by entry.
///
/// # Panics
/// If they are not.
pub fn assert_framed_as_the_predecessors(file: &[u8], kind: RecordKind) {
    let schema = kind.schema_json();
    let mut head = b"Obj\x01\x04\x14avro.codec\x08null\x16avro.schema".to_vec();
    let length = (schema.len() as u64) << 1;
    head.extend([(length & 0x7f) as u8 | 0x80, (length >> 7) as u8]);
    head.extend(schema.as_bytes());
    head.push(0);
    assert!(file.starts_with(&head), "{kind}: other metadata");
    assert_eq!(
        file[head.len()..head.len() + 16],
        file[file.len() - 16..],
        "{kind}: other sync marker at the end"
    );
}
