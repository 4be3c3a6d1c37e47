//! The signature object of a batch (`PrioBatchSignature`), which can contain the whole batch
//! inline.

use crate::avro::{AvroError, ContainerReader, FileLimits, Record, RecordKind, RecordReader};
use crate::id::KeyId;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// A signature over a header file. In the single-object form, it also contains the header and the
/// packets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchSignature {
    /// ECDSA P-256 with SHA-256 over the whole header file, ASN.1 DER.
    #[serde(with = "serde_bytes")]
    pub batch_header_signature: Vec<u8>,
    /// The id of the signer's key that verifies the signature.
    pub key_identifier: KeyId,
    /// The header file, if inline. Records of older writers lack this field.
    #[serde(with = "serde_bytes", default)]
    pub batch_header: Option<Vec<u8>>,
    /// The packet file, if inline.
    #[serde(with = "serde_bytes", default)]
    pub packets: Option<Vec<u8>>,
}

impl BatchSignature {
    /// Returns header and packets if **both** are inline. Otherwise, a reader fetches both from
    /// separate objects.
    #[must_use]
    pub fn inline(self) -> Option<(Vec<u8>, Vec<u8>)> {
        self.batch_header.zip(self.packets)
    }
}

impl Record for BatchSignature {
    const KIND: RecordKind = RecordKind::BatchSignature;

    fn variable_bytes(&self) -> u64 {
        let inline = [&self.batch_header, &self.packets]
            .into_iter()
            .flatten()
            .map(Vec::len)
            .sum::<usize>();
        (self.batch_header_signature.len() + self.key_identifier.len() + inline) as u64
    }
}

/// A decoded signature object that keeps an inline header and packets in place. A batch in one
/// object is as large as its packets, so they are not copied a second time.
#[derive(Debug)]
pub struct ReadSignature {
    /// Same as [`BatchSignature::batch_header_signature`].
    pub batch_header_signature: Vec<u8>,
    /// Same as [`BatchSignature::key_identifier`].
    pub key_identifier: KeyId,
    /// The decompressed record.
    pub record: Vec<u8>,
    /// The ranges of header and packets within the record, if both are inline.
    pub inline: Option<(Range<usize>, Range<usize>)>,
}

/// The record, borrowed from its block.
#[derive(Deserialize)]
struct Borrowed<'b> {
    #[serde(with = "serde_bytes", borrow)]
    batch_header_signature: &'b [u8],
    key_identifier: KeyId,
    #[serde(with = "serde_bytes", borrow, default)]
    batch_header: Option<&'b [u8]>,
    #[serde(with = "serde_bytes", borrow, default)]
    packets: Option<&'b [u8]>,
}

impl Record for Borrowed<'_> {
    const KIND: RecordKind = RecordKind::BatchSignature;

    fn variable_bytes(&self) -> u64 {
        let inline = [self.batch_header, self.packets].into_iter().flatten();
        let inline: usize = inline.map(<[u8]>::len).sum();
        (self.batch_header_signature.len() + self.key_identifier.len() + inline) as u64
    }
}

impl ReadSignature {
    /// Parses a signature object, which contains exactly one record.
    ///
    /// # Errors
    /// [`AvroError`], under the same conditions as [`decode_one`](crate::avro::decode_one).
    pub fn parse(file: &[u8], limits: &FileLimits) -> Result<Self, AvroError> {
        let kind = RecordKind::BatchSignature;
        if file.is_empty() {
            return Err(AvroError::NoRecord(kind));
        }
        let mut reader = ContainerReader::open(file, limits)?;
        let mut found: Option<Self> = None;
        while let Some(block) = reader.next_block()? {
            let mut read = None;
            for record in RecordReader::<Borrowed<'_>>::new(&block, reader.schema(), limits) {
                let record = record?;
                if found.is_some() || read.is_some() {
                    return Err(AvroError::ExtraRecord(kind));
                }
                let range_of = |part: &[u8]| {
                    // A part is a slice of the block, so its address lies within the block. The
                    // address of an empty slice need not.
                    if part.is_empty() {
                        return 0..0;
                    }
                    let start =
                        (part.as_ptr() as usize).saturating_sub(block.bytes.as_ptr() as usize);
                    start..start + part.len()
                };
                read = Some((
                    record.batch_header_signature.to_vec(),
                    record.key_identifier,
                    record
                        .batch_header
                        .map(range_of)
                        .zip(record.packets.map(range_of)),
                ));
            }
            if let Some((batch_header_signature, key_identifier, inline)) = read {
                found = Some(Self {
                    batch_header_signature,
                    key_identifier,
                    record: block.bytes,
                    inline,
                });
            }
        }
        found.ok_or(AvroError::NoRecord(kind))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::avro::{decode_one, encode_one};

    #[test]
    fn what_is_read_in_place_is_what_is_decoded() {
        let of = |batch_header: Option<&[u8]>, packets: Option<&[u8]>| BatchSignature {
            batch_header_signature: vec![1, 2, 3],
            key_identifier: "k".to_owned(),
            batch_header: batch_header.map(<[u8]>::to_vec),
            packets: packets.map(<[u8]>::to_vec),
        };
        let limits = FileLimits::default();
        for signature in [
            of(None, None),
            of(Some(b"header"), None),
            of(Some(b"header"), Some(b"")),
            of(Some(b"header"), Some(b"packets")),
        ] {
            let file = encode_one(&signature, [7; 16]).unwrap();
            let read = ReadSignature::parse(&file, &limits).unwrap();
            assert_eq!(
                read.batch_header_signature,
                signature.batch_header_signature
            );
            assert_eq!(read.key_identifier, signature.key_identifier);
            let part = |range: Range<usize>| read.record[range].to_vec();
            let inline = read
                .inline
                .clone()
                .map(|(header, packets)| (part(header), part(packets)));
            assert_eq!(inline, signature.inline());
            // Both readers refuse the file truncated at any length.
            for cut in 0..file.len() {
                let in_place = ReadSignature::parse(&file[..cut], &limits)
                    .unwrap_err()
                    .to_string();
                let decoded = decode_one::<BatchSignature>(&file[..cut], &limits)
                    .unwrap_err()
                    .to_string();
                assert_eq!(in_place, decoded, "{cut}");
            }
        }
    }
}
