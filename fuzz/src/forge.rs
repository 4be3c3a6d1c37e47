//! Containers, limits and damage that several targets use.

use serde::de::DeserializeOwned;
use std::fmt::Display;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use tallybox_model::avro::{
    AvroError, Block, ContainerReader, FileLimits, RecordKind, WriterSchema,
};
use tallybox_service::ConfigError;
use tallybox_service::config::{Loaded, load};

/// The sync marker of forged files.
pub const MARKER: [u8; 16] = *b"tallybox fuzzing";

/// Returns limits that inputs of a few kilobytes do not exceed.
pub fn generous() -> FileLimits {
    FileLimits {
        object_bytes: 1 << 20,
        block_bytes: 1 << 19,
        record_bytes: 1 << 18,
        expansion_ratio: 50,
        records: 1 << 14,
        metadata_bytes: 1 << 14,
        ..FileLimits::default()
    }
}

/// Returns limits that many inputs exceed.
pub fn tight() -> FileLimits {
    FileLimits {
        object_bytes: 1 << 13,
        block_bytes: 1 << 12,
        record_bytes: 1 << 7,
        expansion_ratio: 4,
        records: 1 << 5,
        metadata_bytes: 1 << 10,
        ..FileLimits::default()
    }
}

/// Returns a container with one block, so that any input passes the container format.
pub fn container(schema: &[u8], codec: &str, records: u64, block: &[u8]) -> Vec<u8> {
    let mut out = b"Obj\x01".to_vec();
    long(&mut out, 2);
    for (key, value) in [("avro.codec", codec.as_bytes()), ("avro.schema", schema)] {
        for text in [key.as_bytes(), value] {
            long(&mut out, text.len() as u64);
            out.extend(text);
        }
    }
    long(&mut out, 0);
    out.extend(MARKER);
    long(&mut out, records);
    long(&mut out, block.len() as u64);
    out.extend(block);
    out.extend(MARKER);
    out
}

/// Returns the input as a container. An input that begins like a container is used unchanged; any
/// other becomes a block of records of this kind, whose number is its first byte.
pub fn as_container(data: &[u8], kind: RecordKind) -> Vec<u8> {
    match data.split_first() {
        Some((records, block)) if !data.starts_with(b"Obj") => container(
            kind.schema_json().as_bytes(),
            "null",
            u64::from(*records),
            block,
        ),
        _ => data.to_vec(),
    }
}

/// Asserts that the error can be logged: it has one line, whatever text it repeats.
pub fn printable(error: &impl Display) {
    let text = error.to_string();
    assert!(!text.contains(char::is_control), "{text:?}");
}

/// Asserts that the error can be logged, and that the writer of the file cannot make it long.
pub fn brief(error: &impl Display) {
    printable(error);
    let length = error.to_string().len();
    assert!(length < 1000, "{length} bytes of error");
}

/// Reads all blocks of a container, and asserts that they are within the limits.
pub fn blocks(
    file: &[u8],
    limits: &FileLimits,
) -> Result<(Vec<Block>, Arc<WriterSchema>), AvroError> {
    read_blocks(file, limits).inspect_err(brief)
}

fn read_blocks(
    file: &[u8],
    limits: &FileLimits,
) -> Result<(Vec<Block>, Arc<WriterSchema>), AvroError> {
    let mut reader = ContainerReader::open(file, limits)?;
    let (mut blocks, mut records) = (Vec::new(), 0);
    while let Some(block) = reader.next_block()? {
        records += block.records;
        assert!(
            block.bytes.len() as u64 <= limits.block_bytes,
            "a block over the limit"
        );
        assert!(records <= limits.records, "more records than the limit");
        blocks.push(block);
    }
    assert!(
        file.len() as u64 <= limits.object_bytes,
        "a file over the limit"
    );
    Ok((blocks, Arc::clone(reader.schema())))
}

/// Appends a non-negative number in zig-zag base 128.
fn long(out: &mut Vec<u8>, value: u64) {
    let mut rest = u128::from(value) << 1;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// Changes `bytes` according to the input. Each three bytes of the input are a position and a
/// change; a remaining byte may shorten or lengthen the end. Returns whether `bytes` changed.
pub fn damage(bytes: &mut Vec<u8>, input: &[u8]) -> bool {
    let before = bytes.clone();
    let (changes, rest) = input.as_chunks::<3>();
    for [high, low, change] in changes {
        let position = usize::from(u16::from_be_bytes([*high, *low])) % bytes.len().max(1);
        if let Some(byte) = bytes.get_mut(position) {
            *byte ^= change;
        }
    }
    match rest {
        [cut] => bytes.truncate(bytes.len().saturating_sub(usize::from(*cut))),
        [more, fill] => bytes.extend(std::iter::repeat_n(*fill, usize::from(*more))),
        _ => {}
    }
    *bytes != before
}

/// Removes and returns the first `N` bytes of the input, padded with zeros.
pub fn take_bytes<const N: usize>(input: &mut &[u8]) -> [u8; N] {
    let (start, rest) = input.split_at(input.len().min(N));
    *input = rest;
    let mut taken = [0; N];
    taken[..start.len()].copy_from_slice(start);
    taken
}

/// Loads the input as a YAML file. The temporary file exists only during the call.
pub fn yaml<T: DeserializeOwned>(data: &[u8]) -> Result<Loaded<T>, ConfigError> {
    static FILE: OnceLock<PathBuf> = OnceLock::new();
    let file = FILE.get_or_init(|| {
        let memory = PathBuf::from("/dev/shm");
        let folder = if memory.is_dir() {
            memory
        } else {
            std::env::temp_dir()
        };
        folder.join(format!("tallybox-fuzz-{}.yaml", std::process::id()))
    });
    std::fs::write(file, data).expect("a temporary file can be written");
    let loaded = load(file);
    // Removed immediately, because no code runs after a crash.
    std::fs::remove_file(file).expect("the temporary file is there");
    loaded
}
