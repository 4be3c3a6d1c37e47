//! Compressed blocks: decompression stays within the limits, and restores compressed content.

use crate::forge::{container, generous, take_bytes};
use flate2::{Compression, write::DeflateEncoder};
use std::io::Write as _;
use tallybox_model::avro::{AvroError, ContainerReader, FileLimits, RecordKind};

/// Blocks of up to this many bytes are exempt from the expansion limit.
const SMALL_BLOCK_BYTES: u64 = 64 << 10;

pub fn run(mut data: &[u8]) {
    let [mode] = take_bytes(&mut data);
    match mode % 4 {
        0 => bounded("deflate", data),
        1 => bounded("snappy", data),
        // The checksum is computed here, so that the fuzzer does not have to guess it.
        2 => snappy_with_checksum(data),
        _ => {
            assert_eq!(decompress("deflate", &deflated(data)).expect("we deflated it"), data);
            assert_eq!(decompress("snappy", &snapped(data)).expect("we compressed it"), data);
        }
    }
}

fn limits() -> FileLimits {
    FileLimits { block_bytes: 1 << 18, expansion_ratio: 20, ..generous() }
}

fn bounded(codec: &str, block: &[u8]) {
    if let Ok(bytes) = decompress(codec, block) {
        let most = (block.len() as u64 * limits().expansion_ratio).max(SMALL_BLOCK_BYTES).min(limits().block_bytes);
        assert!(bytes.len() as u64 <= most, "{} bytes of {} are over the limit", bytes.len(), block.len());
    }
}

fn snappy_with_checksum(body: &[u8]) {
    let small = snap::raw::decompress_len(body).is_ok_and(|length| length as u64 <= SMALL_BLOCK_BYTES);
    let plain = if small { snap::raw::Decoder::new().decompress_vec(body).ok() } else { None };
    let check = crc32fast::hash(plain.as_deref().unwrap_or_default());
    let block = [body, &check.to_be_bytes()].concat();
    bounded("snappy", &block);
    if small {
        assert_eq!(decompress("snappy", &block).ok(), plain);
    }
}

/// Decompresses the block.
fn decompress(codec: &str, block: &[u8]) -> Result<Vec<u8>, AvroError> {
    let schema = RecordKind::InvalidPacket.schema_json().as_bytes();
    let file = container(schema, codec, 0, block);
    let mut reader = ContainerReader::open(&file[..], &limits())?;
    Ok(reader.next_block()?.expect("there is a block").bytes)
}

fn deflated(plain: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(plain).expect("a vector takes everything");
    encoder.finish().expect("a vector takes everything")
}

fn snapped(plain: &[u8]) -> Vec<u8> {
    let mut block = snap::raw::Encoder::new().compress_vec(plain).expect("short enough");
    block.extend(crc32fast::hash(plain).to_be_bytes());
    block
}
