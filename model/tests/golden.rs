//! Reads every file of the predecessor's test data, and writes the same bytes again.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use tallybox_model::avro::{
    AvroError, Block, Codec, ContainerReader, ContainerWriter, FileLimits, Record, RecordKind,
    RecordReader, decode_one, encode_one,
};
use tallybox_model::digest::Digest;
use tallybox_model::header::{IngestionHeader, SumPart, ValidationHeader};
use tallybox_model::packet::{DataSharePacket, InvalidPacket, ValidationPacket};
use tallybox_model::signature::BatchSignature;

fn vectors() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/testdata/vectors")
}

fn files(folder: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, out)
        } else {
            out.push(path)
        }
    }
}

/// Returns the parts of a container file that a rewrite needs.
fn parts(bytes: &[u8]) -> ([u8; 16], bool) {
    let marker = bytes[bytes.len() - 16..].try_into().unwrap();
    let codec_first = bytes[5..].starts_with(b"\x14avro.codec");
    (marker, codec_first)
}

/// Decodes all blocks and passes each to `f`.
fn each(bytes: &[u8], mut f: impl FnMut(&Block, &ContainerReader<&[u8]>)) {
    let mut reader = ContainerReader::open(bytes, &FileLimits::default()).unwrap();
    while let Some(block) = reader.next_block().unwrap() {
        f(&block, &reader);
    }
}

/// Reads all records and writes them again with the same marker. The bytes equal the predecessor's,
/// except for the order of the two metadata entries.
macro_rules! rewrite {
    ($type:ty, $bytes:expr) => {{
        let bytes: &[u8] = $bytes;
        let (marker, codec_first) = parts(bytes);
        let mut writer = ContainerWriter::new(Vec::new(), <$type as Record>::KIND, marker);
        each(bytes, |block, reader| {
            for record in RecordReader::<$type>::new(block, reader.schema(), &FileLimits::default())
            {
                writer.append(&record.unwrap()).unwrap();
            }
        });
        let ours = writer.finish().unwrap();
        let same_schema = bytes
            .windows(60)
            .any(|w| w == &<$type as Record>::KIND.schema_json().as_bytes()[..60]);
        let null = ContainerReader::open(bytes, &FileLimits::default())
            .unwrap()
            .codec()
            == Codec::Null;
        if same_schema && null {
            assert_eq!(ours.len(), bytes.len());
            if codec_first {
                assert_eq!(ours, bytes);
            } else {
                let body = |file: &[u8]| {
                    let at = file.windows(16).position(|w| w == marker).unwrap();
                    file[at..].to_vec()
                };
                assert_eq!(body(&ours), body(bytes));
            }
        }
        ours
    }};
}

#[test]
fn every_file_of_the_predecessor_is_read_and_written_again() {
    let mut all = Vec::new();
    files(&vectors(), &mut all);
    let mut seen = 0;
    for path in all {
        let name = path.file_name().unwrap().to_str().unwrap();
        let bytes = std::fs::read(&path).unwrap();
        if bytes.is_empty()
            || name.ends_with(".json")
            || name.ends_with(".md")
            || path.parent().unwrap().ends_with("keys")
        {
            continue;
        }
        seen += 1;
        if name.ends_with(".sig") {
            rewrite!(BatchSignature, &bytes);
        } else if name.ends_with(".batch.avro") {
            rewrite!(DataSharePacket<'_>, &bytes);
        } else if name.ends_with(".batch") {
            rewrite!(IngestionHeader, &bytes);
        } else if name.contains(".validity_") && name.ends_with(".avro") {
            rewrite!(ValidationPacket, &bytes);
        } else if name.contains(".validity_") {
            rewrite!(ValidationHeader, &bytes);
        } else if name.contains("invalid_uuid") {
            rewrite!(InvalidPacket, &bytes);
        } else {
            rewrite!(SumPart, &bytes);
        }
    }
    assert!(seen > 300, "only {seen} files");
}

#[test]
fn the_published_example_comes_out_to_the_byte() {
    let marker: [u8; 16] = std::array::from_fn(|i| i as u8);
    let mut writer = ContainerWriter::new(Vec::new(), RecordKind::ValidationPacket, marker);
    let id = "00112233-4455-6677-8899-aabbccddeeff".parse().unwrap();
    writer
        .append(&ValidationPacket {
            id,
            f_r: 1,
            g_r: 4_293_918_720,
            h_r: 300,
        })
        .unwrap();
    let bytes = writer.finish().unwrap();
    assert_eq!(bytes.len(), 362);
    assert_eq!(
        Digest::sha256(&bytes).to_hex(),
        "cead1d34bbe11b4028cb937f50b5cfcbc808b1e176f533e3ec184cc1b0256ac9"
    );
}

fn header() -> ValidationHeader {
    let parameters = tallybox_model::header::BatchParameters {
        name: "a".to_owned(),
        bins: 8,
        epsilon: 0.23,
        prime: 4_293_918_721,
        number_of_servers: 2,
        hamming_weight: None,
    };
    ValidationHeader::new(
        "00112233-4455-6677-8899-aabbccddeeff".parse().unwrap(),
        parameters,
        Digest::empty(),
    )
}

#[test]
fn no_records_are_no_bytes() {
    let writer = ContainerWriter::new(Vec::new(), RecordKind::InvalidPacket, [0; 16]);
    assert!(writer.finish().unwrap().is_empty());
    assert!(matches!(
        decode_one::<ValidationHeader>(&[], &FileLimits::default()),
        Err(AvroError::NoRecord(_))
    ));
}

#[test]
fn blocks_end_as_soon_as_they_hold_16000_bytes() {
    let mut writer = ContainerWriter::new(Vec::new(), RecordKind::InvalidPacket, [7; 16]);
    let id = "00112233-4455-6677-8899-aabbccddeeff".parse().unwrap();
    for _ in 0..1000 {
        writer.append(&InvalidPacket { id }).unwrap();
    }
    let bytes = writer.finish().unwrap();
    let mut counts = Vec::new();
    each(&bytes, |block, _| {
        counts.push((block.records, block.bytes.len()))
    });
    // A record has 37 bytes: 433 is the first number of records that reaches 16,000 bytes.
    assert_eq!(counts, [(433, 16_021), (433, 16_021), (134, 4_958)]);
}

#[test]
fn one_record_files_hold_one_record() {
    let one = encode_one(&header(), [3; 16]).unwrap();
    assert_eq!(
        decode_one::<ValidationHeader>(&one, &FileLimits::default()).unwrap(),
        header()
    );
    let mut writer = ContainerWriter::new(Vec::new(), RecordKind::ValidationHeader, [3; 16]);
    writer.append(&header()).unwrap();
    writer.append(&header()).unwrap();
    let two = writer.finish().unwrap();
    assert!(matches!(
        decode_one::<ValidationHeader>(&two, &FileLimits::default()),
        Err(AvroError::ExtraRecord(_))
    ));
}

#[test]
fn damage_is_refused() {
    let good = encode_one(&header(), [3; 16]).unwrap();
    let read = |bytes: &[u8]| decode_one::<ValidationHeader>(bytes, &FileLimits::default());
    for length in 1..good.len() {
        assert!(read(&good[..length]).is_err(), "cut at {length}");
    }
    let mut trailing = good.clone();
    trailing.push(0);
    assert!(read(&trailing).is_err());
    trailing.extend([0; 16]);
    assert!(read(&trailing).is_err());
    let mut marker = good.clone();
    *marker.last_mut().unwrap() ^= 1;
    assert!(matches!(read(&marker), Err(AvroError::SyncMarker)));
    assert!(matches!(read(b"Obj\x02xxxx"), Err(AvroError::Magic)));
    let unknown = good.windows(4).position(|w| w == b"null").unwrap();
    let mut codec = good.clone();
    codec[unknown..unknown + 4].copy_from_slice(b"lzma");
    assert!(matches!(read(&codec), Err(AvroError::UnknownCodec(_))));
}

#[test]
fn limits_hold() {
    let good = encode_one(&header(), [3; 16]).unwrap();
    let read = |limits: FileLimits| decode_one::<ValidationHeader>(&good, &limits);
    assert!(
        read(FileLimits {
            object_bytes: good.len() as u64,
            ..FileLimits::default()
        })
        .is_ok()
    );
    assert!(
        read(FileLimits {
            object_bytes: good.len() as u64 - 1,
            ..FileLimits::default()
        })
        .is_err()
    );
    assert!(matches!(
        read(FileLimits {
            records: 0,
            ..FileLimits::default()
        }),
        Err(AvroError::Limit { .. })
    ));
    assert!(matches!(
        read(FileLimits {
            record_bytes: 10,
            ..FileLimits::default()
        }),
        Err(AvroError::Limit { .. })
    ));
    assert!(matches!(
        read(FileLimits {
            block_bytes: 10,
            ..FileLimits::default()
        }),
        Err(AvroError::Limit { .. })
    ));
    assert!(matches!(
        read(FileLimits {
            metadata_bytes: 100,
            ..FileLimits::default()
        }),
        Err(AvroError::Limit { .. })
    ));
}

/// Writes a file with an independent Avro library and a schema that differs from ours.
fn by_judge<T: Serialize>(schema: &str, codec: apache_avro::Codec, records: &[T]) -> Vec<u8> {
    let schema = apache_avro::Schema::parse_str(schema).unwrap();
    let mut writer = apache_avro::Writer::with_codec(&schema, Vec::new(), codec).unwrap();
    for record in records {
        let value = apache_avro::to_value(record)
            .unwrap()
            .resolve(&schema)
            .unwrap();
        writer.append_value(value).unwrap();
    }
    writer.into_inner().unwrap()
}

#[test]
fn the_judge_reads_what_we_write() {
    let id = "00112233-4455-6677-8899-aabbccddeeff".parse().unwrap();
    let packet = DataSharePacket {
        id: "00112233-4455-6677-8899-aabbccddeeff",
        encrypted_payload: &[1, 2, 3],
        encryption_key_id: None,
        r_pit: -1,
        version_configuration: Some("config-1"),
        device_nonce: Some(&[9]),
    };
    let mut writer = ContainerWriter::new(Vec::new(), RecordKind::DataSharePacket, [5; 16]);
    writer.append(&packet).unwrap();
    let files = [
        writer.finish().unwrap(),
        encode_one(&header(), [3; 16]).unwrap(),
        encode_one(
            &ValidationPacket {
                id,
                f_r: 1,
                g_r: 2,
                h_r: 3,
            },
            [1; 16],
        )
        .unwrap(),
    ];
    for file in files {
        let records: Vec<_> = apache_avro::Reader::new(&file[..])
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        assert_eq!(records.len(), 1);
        let apache_avro::types::Value::Record(fields) = &records[0] else {
            panic!("no record")
        };
        assert!(!fields.is_empty());
    }
}

#[test]
fn we_read_what_the_judge_writes_in_every_codec() {
    #[derive(Serialize, Deserialize)]
    struct Wire {
        uuid: String,
        f_r: i64,
        g_r: i64,
        h_r: i64,
    }
    let wire = |i| Wire {
        uuid: "00112233445566778899AABBCCDDEEFF".to_owned(),
        f_r: i,
        g_r: 2,
        h_r: 3,
    };
    let records: Vec<_> = (0..1000).map(wire).collect();
    // Plain strings, the logical type next to the type, an unknown field, another order, no
    // namespace.
    let schema = r#"{"type":"record","name":"Other","fields":[{"name":"h_r","type":"long"},
        {"name":"uuid","type":"string","logicalType":"uuid"},{"name":"g_r","type":"long"},{"name":"f_r","type":"int"}]}"#;
    let codecs = [
        apache_avro::Codec::Null,
        apache_avro::Codec::Deflate(apache_avro::DeflateSettings::default()),
        apache_avro::Codec::Snappy,
    ];
    for codec in codecs {
        let file = by_judge(schema, codec, &records);
        let mut next = 0;
        each(&file, |block, reader| {
            for packet in RecordReader::<ValidationPacket>::new(
                block,
                reader.schema(),
                &FileLimits::default(),
            ) {
                let packet = packet.unwrap();
                assert_eq!((packet.f_r, packet.g_r, packet.h_r), (next, 2, 3));
                assert_eq!(
                    packet.id.to_string(),
                    "00112233-4455-6677-8899-aabbccddeeff"
                );
                next += 1;
            }
        });
        assert_eq!(next, 1000);
    }
}

#[test]
fn signatures_of_two_fields_and_headers_without_defaults_are_read() {
    #[derive(Serialize)]
    struct Old {
        #[serde(with = "serde_bytes")]
        batch_header_signature: Vec<u8>,
        key_identifier: String,
    }
    let schema = r#"{"type":"record","name":"PrioBatchSignature","fields":[
        {"name":"batch_header_signature","type":"bytes"},{"name":"key_identifier","type":"string"}]}"#;
    let old = Old {
        batch_header_signature: vec![1, 2],
        key_identifier: "k".to_owned(),
    };
    let file = by_judge(schema, apache_avro::Codec::Null, &[old]);
    let signature: BatchSignature = decode_one(&file, &FileLimits::default()).unwrap();
    assert_eq!(signature.key_identifier, "k");
    assert_eq!(signature.inline(), None);
}
