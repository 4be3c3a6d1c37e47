//! A tar archive (POSIX ustar) of fixed form: mode 0444, no owner, no date. Nothing in it depends
//! on the machine, so equal files give equal bytes.

use bytes::Bytes;

/// Size of a header, and of the unit to which contents are padded, in bytes.
const BLOCK: usize = 512;
/// Length of the longest name in bytes.
const NAME: usize = 100;
/// Position and length of the size of a file: 11 octal digits and a NUL.
const SIZE: std::ops::Range<usize> = 124..135;
/// Position of the checksum: 6 octal digits, a NUL and a blank.
const CHECKSUM: std::ops::Range<usize> = 148..156;

/// Writes an archive. Names have at most 100 bytes.
pub(super) fn encode(files: &[(&str, &[u8])]) -> Vec<u8> {
    let blocks: usize = files
        .iter()
        .map(|(_, content)| 1 + padded(content.len()))
        .sum();
    let mut out = Vec::with_capacity((blocks + 2) * BLOCK);
    for (name, content) in files {
        out.extend(header(name, content.len()));
        out.extend(*content);
        out.resize(out.len().next_multiple_of(BLOCK), 0);
    }
    // Two blocks of zeros end an archive.
    out.resize(out.len() + 2 * BLOCK, 0);
    out
}

/// Reads the files of an archive that [`encode`] has written. The caller encodes them again and
/// compares, so only what is needed to find the files is checked here.
pub(super) fn decode(archive: &Bytes) -> Result<Vec<(String, Bytes)>, &'static str> {
    let mut files = Vec::new();
    let mut position = 0;
    loop {
        let header = archive.get(position..position + BLOCK).ok_or("truncated")?;
        if header.iter().all(|byte| *byte == 0) {
            return Ok(files);
        }
        let name = header[..NAME].split(|byte| *byte == 0).next();
        let name = name.and_then(|name| std::str::from_utf8(name).ok());
        let size = std::str::from_utf8(&header[SIZE]).ok();
        let size = size.and_then(|digits| usize::from_str_radix(digits, 8).ok());
        let (Some(name), Some(size)) = (name, size) else {
            return Err("a header is damaged");
        };
        let start = position + BLOCK;
        if size > archive.len().saturating_sub(start) {
            return Err("truncated");
        }
        files.push((name.to_owned(), archive.slice(start..start + size)));
        position = start + padded(size) * BLOCK;
    }
}

/// Returns the number of blocks of a content.
fn padded(bytes: usize) -> usize {
    bytes.div_ceil(BLOCK)
}

fn header(name: &str, size: usize) -> [u8; BLOCK] {
    let mut header = [0; BLOCK];
    let mut put = |at: usize, text: &[u8]| header[at..at + text.len()].copy_from_slice(text);
    put(0, &name.as_bytes()[..name.len().min(NAME)]);
    put(100, b"0000444\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(SIZE.start, format!("{size:011o}\0").as_bytes());
    put(136, b"00000000000\0");
    // The checksum is computed as if its field contained blanks.
    put(CHECKSUM.start, b"        ");
    put(156, b"0");
    put(257, b"ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[CHECKSUM].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header
}

/// Returns the size of an archive of files with these sizes.
pub(super) fn encoded_len(sizes: impl Iterator<Item = u64>) -> u64 {
    let block = BLOCK as u64;
    let blocks: u64 = sizes.map(|size| 1 + size.div_ceil(block)).sum();
    (blocks + 2) * block
}
