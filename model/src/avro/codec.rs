//! The compression codecs of container files: null, deflate, snappy.

use super::{AvroError, FileLimits};
use flate2::read::DeflateDecoder;
use std::io::Read as _;

/// Blocks of up to this decompressed size, in bytes, are exempt from the expansion limit.
const SMALL_BLOCK_BYTES: u64 = 64 << 10;
/// Number of bytes that `inflate` requests from the caller's budget at a time.
const PIECE_BYTES: u64 = 64 << 10;

/// The compression of the blocks of a container file. Tallybox writes only `null`, because
/// ciphertext does not compress.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Codec {
    /// Not compressed.
    Null,
    /// Raw deflate (RFC 1951).
    Deflate,
    /// Snappy's raw format, followed by the CRC-32 of the decompressed bytes, big-endian.
    Snappy,
}

impl Codec {
    /// Returns the codec with this name in a file's metadata.
    ///
    /// # Errors
    /// [`AvroError::UnknownCodec`] if the name is unknown. (The predecessor took an unknown name
    /// for `null`.)
    pub fn from_name(name: &[u8]) -> Result<Self, AvroError> {
        match name {
            b"null" => Ok(Self::Null),
            b"deflate" => Ok(Self::Deflate),
            b"snappy" => Ok(Self::Snappy),
            other => Err(AvroError::UnknownCodec(
                String::from_utf8_lossy(other).chars().take(40).collect(),
            )),
        }
    }

    /// Decompresses a block, up to the limits and to the memory that `take` grants.
    pub(super) fn decompress(
        self,
        block: Vec<u8>,
        limits: &FileLimits,
        reserve: &mut dyn FnMut(u64) -> bool,
    ) -> Result<Vec<u8>, AvroError> {
        match self {
            Self::Null => granted(reserve(block.len() as u64)).map(|()| block),
            Self::Deflate => inflate(&block, limits, reserve),
            Self::Snappy => unsnap(&block, limits, reserve),
        }
    }
}

/// Returns the maximum decompressed size of `block`.
fn allowance(block: &[u8], limits: &FileLimits) -> u64 {
    let by_ratio = (block.len() as u64)
        .saturating_mul(limits.expansion_ratio)
        .max(SMALL_BLOCK_BYTES);
    by_ratio.min(limits.block_bytes)
}

fn too_large(limit: u64) -> AvroError {
    AvroError::Limit {
        what: "a decompressed block",
        limit,
    }
}

fn granted(granted: bool) -> Result<(), AvroError> {
    granted.then_some(()).ok_or(AvroError::NoMemory)
}

fn inflate(
    block: &[u8],
    limits: &FileLimits,
    reserve: &mut dyn FnMut(u64) -> bool,
) -> Result<Vec<u8>, AvroError> {
    let most = allowance(block, limits);
    let mut decoder = DeflateDecoder::new(block);
    let mut out = Vec::new();
    loop {
        // One byte more than allowed, so that a block that is too large is detected.
        let wanted = PIECE_BYTES.min(most - out.len() as u64 + 1);
        granted(reserve(wanted))?;
        let read = decoder.by_ref().take(wanted).read_to_end(&mut out);
        let read = read.map_err(|error| AvroError::Decompression(error.to_string()))?;
        if out.len() as u64 > most {
            return Err(too_large(most));
        }
        if (read as u64) < wanted {
            break;
        }
    }
    let rest = block.get(decoder.total_in() as usize..).unwrap_or_default();
    if !is_zlib_remnant(rest, &out) {
        return Err(AvroError::TrailingBytes("deflate stream of a block"));
    }
    Ok(out)
}

/// Returns whether `rest` is empty or the first three bytes of zlib's checksum. Avro's Python
/// library produces raw deflate by removing two bytes from the front of a zlib stream and one from
/// its end, and such files exist.
fn is_zlib_remnant(rest: &[u8], out: &[u8]) -> bool {
    rest.is_empty() || rest == &adler2::adler32_slice(out).to_be_bytes()[..3]
}

fn unsnap(
    block: &[u8],
    limits: &FileLimits,
    reserve: &mut dyn FnMut(u64) -> bool,
) -> Result<Vec<u8>, AvroError> {
    let bad = |reason: &str| AvroError::Decompression(reason.to_owned());
    let (body, check) = block
        .split_last_chunk::<4>()
        .ok_or_else(|| bad("no CRC-32"))?;
    // The announced length is checked before the decoder allocates memory for it.
    let length = snap::raw::decompress_len(body).map_err(|error| bad(&error.to_string()))?;
    let most = allowance(block, limits);
    if length as u64 > most {
        return Err(too_large(most));
    }
    granted(reserve(length as u64))?;
    let out = snap::raw::Decoder::new()
        .decompress_vec(body)
        .map_err(|error| bad(&error.to_string()))?;
    if crc32fast::hash(&out) != u32::from_be_bytes(*check) {
        return Err(bad("the CRC-32 differs"));
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use flate2::{Compression, write::DeflateEncoder};
    use std::io::Write as _;

    fn deflated(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn snapped(bytes: &[u8]) -> Vec<u8> {
        let mut out = snap::raw::Encoder::new().compress_vec(bytes).unwrap();
        out.extend(crc32fast::hash(bytes).to_be_bytes());
        out
    }

    #[test]
    fn each_codec_decompresses_and_refuses_damage() {
        let text = b"tally tally tally tally".repeat(20);
        let limits = FileLimits::default();
        assert_eq!(
            Codec::Deflate
                .decompress(deflated(&text), &limits, &mut |_| true)
                .unwrap(),
            text
        );
        assert_eq!(
            Codec::Snappy
                .decompress(snapped(&text), &limits, &mut |_| true)
                .unwrap(),
            text
        );
        let mut trailing = deflated(&text);
        trailing.push(0);
        assert!(matches!(
            Codec::Deflate.decompress(trailing, &limits, &mut |_| true),
            Err(AvroError::TrailingBytes(_))
        ));
        let mut remnant = deflated(&text);
        remnant.extend(&adler2::adler32_slice(&text).to_be_bytes()[..3]);
        assert_eq!(
            Codec::Deflate
                .decompress(remnant, &limits, &mut |_| true)
                .unwrap(),
            text
        );
        let mut flipped = snapped(&text);
        *flipped.last_mut().unwrap() ^= 1;
        assert!(matches!(
            Codec::Snappy.decompress(flipped, &limits, &mut |_| true),
            Err(AvroError::Decompression(_))
        ));
        assert!(
            Codec::Snappy
                .decompress(vec![1, 2], &limits, &mut |_| true)
                .is_err()
        );
        assert!(Codec::from_name(b"zstandard").is_err());
    }

    #[test]
    fn a_block_is_not_decompressed_without_memory() {
        // Bytes that compress, but stay within the expansion limit.
        let mut state = 1u32;
        let mut byte = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 28) as u8
        };
        let text: Vec<u8> = (0..250_000).map(|_| byte()).collect();
        let limits = FileLimits::default();
        for (codec, block) in [
            (Codec::Null, text.clone()),
            (Codec::Deflate, deflated(&text)),
            (Codec::Snappy, snapped(&text)),
        ] {
            let mut left: u64 = 200_000;
            let mut reserve = |bytes: u64| match u64::checked_sub(left, bytes) {
                Some(rest) => {
                    left = rest;
                    true
                }
                None => false,
            };
            let refused = codec.decompress(block.clone(), &limits, &mut reserve);
            assert!(matches!(refused, Err(AvroError::NoMemory)), "{codec:?}");
            let mut reserved = 0;
            let mut count = |bytes| {
                reserved += bytes;
                true
            };
            assert_eq!(codec.decompress(block, &limits, &mut count).unwrap(), text);
            assert!(
                (250_000..=250_000 + PIECE_BYTES).contains(&reserved),
                "{codec:?} {reserved}"
            );
        }
    }

    #[test]
    fn a_bomb_is_refused_before_it_is_unpacked() {
        let zeros = vec![0; 10 << 20];
        let limits = FileLimits::default();
        assert!(matches!(
            Codec::Deflate.decompress(deflated(&zeros), &limits, &mut |_| true),
            Err(AvroError::Limit { .. })
        ));
        let tight = FileLimits {
            expansion_ratio: 10,
            ..limits
        };
        assert!(matches!(
            Codec::Snappy.decompress(snapped(&zeros), &tight, &mut |_| true),
            Err(AvroError::Limit { .. })
        ));
    }
}
