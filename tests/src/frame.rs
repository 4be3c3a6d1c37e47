//! Compares the Avro framing of files with ENPA's files.

use tallybox_model::avro::RecordKind;

/// Asserts that the metadata and the schema of a file equal ENPA's, entry by entry.
///
/// # Panics
/// If they differ.
pub fn assert_framed_as_the_predecessors(file: &[u8], kind: RecordKind) {
    let schema = kind.schema_json();
    let mut head = b"Obj\x01\x04\x14avro.codec\x08null\x16avro.schema".to_vec();
    let length = (schema.len() as u64) << 1;
    head.extend([(length & 0x7f) as u8 | 0x80, (length >> 7) as u8]);
    head.extend(schema.as_bytes());
    head.push(0);
    assert!(file.starts_with(&head), "{kind}: the metadata differ");
    assert_eq!(
        file[head.len()..head.len() + 16],
        file[file.len() - 16..],
        "{kind}: the last sync marker differs from the first"
    );
}
