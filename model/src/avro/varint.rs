//! Avro's `int` and `long` in the container format: zig-zag, base 128, lowest group first.

use super::AvroError;
use std::io::Read;

/// Appends `value`.
pub(super) fn write_long(out: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while rest >= 0x80 {
        out.push((rest as u8 & 0x7f) | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// Reads a `long`; returns `None` if the input ends before its first byte.
pub(super) fn read_long(
    input: &mut impl Read,
    what: &'static str,
) -> Result<Option<i64>, AvroError> {
    let mut value = 0_u64;
    for group in 0..10 {
        let mut byte = [0];
        match input.read_exact(&mut byte) {
            Ok(()) => {}
            Err(error) if group == 0 && error.kind() == std::io::ErrorKind::UnexpectedEof => {
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        }
        // The tenth group contains the last of 64 bits.
        if group == 9 && byte[0] > 1 {
            return Err(AvroError::Number(what));
        }
        value |= u64::from(byte[0] & 0x7f) << (7 * group);
        if byte[0] < 0x80 {
            return Ok(Some((value >> 1) as i64 ^ -((value & 1) as i64)));
        }
    }
    Err(AvroError::Number(what))
}

/// Reads a required `long` that must not be negative.
pub(super) fn read_size(input: &mut impl Read, what: &'static str) -> Result<u64, AvroError> {
    let value = read_long(input, what)?.ok_or(AvroError::Truncated)?;
    u64::try_from(value).map_err(|_| AvroError::Number(what))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn longs_round_trip() {
        for value in [
            0,
            1,
            -1,
            63,
            64,
            -64,
            -65,
            4_293_918_720,
            i64::MAX,
            i64::MIN,
        ] {
            let mut bytes = Vec::new();
            write_long(&mut bytes, value);
            let mut rest = &bytes[..];
            assert_eq!(read_long(&mut rest, "x").unwrap(), Some(value));
            assert!(rest.is_empty());
        }
        assert!(read_long(&mut &[0x80_u8; 11][..], "x").is_err());
        assert!(read_long(&mut &[0x80_u8][..], "x").is_err());
        assert_eq!(read_long(&mut &[][..], "x").unwrap(), None);
    }
}
