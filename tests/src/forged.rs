//! Forged rosters and validation batches: modified content with a valid signature by the writer's
//! key.

use tallybox_crypto::SigningKey;
use tallybox_model::avro::{
    ContainerReader, ContainerWriter, FileLimits, Record, RecordReader, decode_one, encode_one,
};
use tallybox_model::digest::Digest;
use tallybox_model::roster::{RosterEntry, RosterHeader};
use tallybox_model::signature::BatchSignature;
use tallybox_transport::batch::signature_file;

/// Returns the roster `old` with changed header and entries, signed again.
///
/// # Panics
/// If `old` is not a roster.
#[must_use]
pub fn roster(
    old: &[u8],
    key: (&str, &SigningKey),
    change: impl FnOnce(&mut RosterHeader, &mut Vec<RosterEntry>),
) -> Vec<u8> {
    let limits = FileLimits::default();
    let signature: BatchSignature = decode_one(old, &limits).expect("a signature file");
    let (header, packets) = signature.inline().expect("a batch in one object");
    let mut header: RosterHeader = decode_one(&header, &limits).expect("a header");
    let mut entries = records(&packets);
    change(&mut header, &mut entries);
    let packets = file(&entries);
    header.packet_file_digest = Digest::sha256(&packets);
    let header = encode_one(&header, [6; 16]).expect("a header");
    signature_file("forged", 1, &header, Some(packets), key).expect("a signature file")
}

/// Decodes all records of a file.
///
/// # Panics
/// If the file contains other records.
#[must_use]
pub fn records<T: Record + for<'a> serde::Deserialize<'a>>(file: &[u8]) -> Vec<T> {
    let (mut all, limits) = (Vec::new(), FileLimits::default());
    let mut reader = ContainerReader::open(file, &limits).expect("a container");
    while let Some(block) = reader.next_block().expect("a block") {
        let records = RecordReader::<T>::new(&block, reader.schema(), &limits);
        all.extend(records.map(|record| record.expect("a record")));
    }
    all
}

/// Encodes a file of these records.
///
/// # Panics
/// If a record cannot be encoded.
#[must_use]
pub fn file<T: Record + serde::Serialize>(records: &[T]) -> Vec<u8> {
    let mut file = ContainerWriter::new(Vec::new(), T::KIND, [9; 16]);
    for record in records {
        file.append(record).expect("a record");
    }
    file.finish().expect("a file")
}
