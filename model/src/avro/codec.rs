//! The compression codecs of container files: null, deflate, snappy.

use super::{AvroError, Limits};
use flate2::read::DeflateDecoder;
use std::io::Read as _;

/// Blocks of up to this many decompressed bytes are exempt from the expansion limit.
const SMALL: u64 = 64 << 10;

/// How the blocks of a container file are compressed. We write `null` only: ciphertext does not compress.
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
    /// The codec of this name in a file's metadata.
    ///
    /// # Errors
    /// [`AvroError::UnknownCodec`]; the predecessor took an unknown name for `null`.
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

    /// Decompresses a block, never to more than the limits allow.
    pub(super) fn decompress(self, block: Vec<u8>, limits: &Limits) -> Result<Vec<u8>, AvroError> {
        match self {
            Self::Null => Ok(block),
            Self::Deflate => inflate(&block, limits),
            Self::Snappy => unsnap(&block, limits),
        }
    }
}

/// The most bytes that `block` may become.
fn allowance(block: &[u8], limits: &Limits) -> u64 {
    let by_ratio = (block.len() as u64).saturating_mul(limits.expansion_ratio).max(SMALL);
    by_ratio.min(limits.block_bytes)
}

fn too_large(limit: u64) -> AvroError {
    AvroError::Limit {
        what: "a decompressed block",
        limit,
    }
}

fn inflate(block: &[u8], limits: &Limits) -> Result<Vec<u8>, AvroError> {
    let most = allowance(block, limits);
    let mut decoder = DeflateDecoder::new(block);
    let mut out = Vec::new();
    let read = decoder.by_ref().take(most + 1).read_to_end(&mut out);
    read.map_err(|error| AvroError::Decompression(error.to_string()))?;
    if out.len() as u64 > most {
        return Err(too_large(most));
    }
    let rest = block.get(decoder.total_in() as usize..).unwrap_or_default();
    if !is_zlib_remnant(rest, &out) {
        return Err(AvroError::TrailingBytes("deflate stream of a block"));
    }
    Ok(out)
}

/// Whether `rest` is nothing, or the first three bytes of zlib's checksum: Avro's own Python library makes raw deflate
/// by cutting two bytes off the front of a zlib stream and one off its end, and such files are about.
fn is_zlib_remnant(rest: &[u8], out: &[u8]) -> bool {
    rest.is_empty() || rest == &adler2::adler32_slice(out).to_be_bytes()[..3]
}

fn unsnap(block: &[u8], limits: &Limits) -> Result<Vec<u8>, AvroError> {
    let bad = |reason: &str| AvroError::Decompression(reason.to_owned());
    let (body, check) = block.split_last_chunk::<4>().ok_or_else(|| bad("no CRC-32"))?;
    let length = snap::raw::decompress_len(body).map_err(|error| bad(&error.to_string()))?;
    let most = allowance(block, limits);
    if length as u64 > most {
        return Err(too_large(most));
    }
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
        let limits = Limits::default();
        assert_eq!(Codec::Deflate.decompress(deflated(&text), &limits).unwrap(), text);
        assert_eq!(Codec::Snappy.decompress(snapped(&text), &limits).unwrap(), text);
        let mut trailing = deflated(&text);
        trailing.push(0);
        assert!(matches!(
            Codec::Deflate.decompress(trailing, &limits),
            Err(AvroError::TrailingBytes(_))
        ));
        let mut remnant = deflated(&text);
        remnant.extend(&adler2::adler32_slice(&text).to_be_bytes()[..3]);
        assert_eq!(Codec::Deflate.decompress(remnant, &limits).unwrap(), text);
        let mut flipped = snapped(&text);
        *flipped.last_mut().unwrap() ^= 1;
        assert!(matches!(
            Codec::Snappy.decompress(flipped, &limits),
            Err(AvroError::Decompression(_))
        ));
        assert!(Codec::Snappy.decompress(vec![1, 2], &limits).is_err());
        assert!(Codec::from_name(b"zstandard").is_err());
    }

    #[test]
    fn a_bomb_is_refused_before_it_is_unpacked() {
        let zeros = vec![0; 10 << 20];
        let limits = Limits::default();
        assert!(matches!(
            Codec::Deflate.decompress(deflated(&zeros), &limits),
            Err(AvroError::Limit { .. })
        ));
        let tight = Limits {
            expansion_ratio: 10,
            ..limits
        };
        assert!(matches!(
            Codec::Snappy.decompress(snapped(&zeros), &tight),
            Err(AvroError::Limit { .. })
        ));
    }
}
