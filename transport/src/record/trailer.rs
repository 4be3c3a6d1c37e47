//! The last bytes of a record, and the input of its authentication code.

use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::fault::RecordFault;
use super::key::RecordKey;
use crate::error::hex;

/// Length of a trailer in bytes. The trailer is a line of text after the payload.
pub const TRAILER_BYTES: usize = FORMAT.len() + ID_DIGITS + 1 + MAC_DIGITS + 1;

/// The first bytes of a trailer.
const FORMAT: &[u8] = b"\ntallybox-record-v1 ";
/// Number of hex digits of a key's id.
const ID_DIGITS: usize = 8;
/// Number of hex digits of an authentication code.
const MAC_DIGITS: usize = 64;
/// Domain separation for authentication codes.
const DOMAIN: &[u8] = b"tallybox record v1";
/// Domain separation for key ids.
const ID_DOMAIN: &[u8] = b"tallybox record key id v1";

/// A parsed trailer.
pub(super) struct Trailer<'t> {
    pub(super) key_id: &'t [u8],
    mac: [u8; 32],
}

impl<'t> Trailer<'t> {
    /// Parses a trailer. Only the spelling that [`encode`] writes is accepted.
    pub(super) fn parse(bytes: &'t [u8]) -> Result<Self, RecordFault> {
        let parse = || {
            let text = bytes.strip_prefix(FORMAT)?.strip_suffix(b"\n")?;
            let (key_id, rest) = text.split_at_checked(ID_DIGITS)?;
            let digits = rest.strip_prefix(b" ")?;
            let (pairs, odd) = digits.as_chunks::<2>();
            let mac: Vec<u8> = pairs
                .iter()
                .map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?))
                .collect::<Option<_>>()?;
            let is_id = odd.is_empty() && key_id.iter().all(|byte| digit(*byte).is_some());
            Some((key_id, mac)).filter(|_| is_id)
        };
        let (key_id, mac) = parse().ok_or(RecordFault::NoTrailer)?;
        let mac = mac.try_into().map_err(|_| RecordFault::NoTrailer)?;
        Ok(Self { key_id, mac })
    }

    /// Returns whether the code was computed with this key for this object.
    pub(super) fn fits(
        &self,
        key: &RecordKey,
        context: &[u8],
        name: &str,
        payload: (&[u8; 32], u64),
    ) -> bool {
        mac(key.bytes(), context, name, payload)
            .verify_slice(&self.mac)
            .is_ok()
    }
}

/// Encodes the trailer of a payload with this SHA-256 and length.
pub(super) fn encode(
    key: &RecordKey,
    context: &[u8],
    name: &str,
    payload: (&[u8; 32], u64),
) -> Bytes {
    let code = mac(key.bytes(), context, name, payload)
        .finalize()
        .into_bytes();
    let text = [key.id().as_bytes(), b" ", hex(&code).as_bytes(), b"\n"].concat();
    [FORMAT, &text].concat().into()
}

/// Encodes the identity of the owner: the number of components, then each component with its
/// length, so that different identities never have the same encoding.
pub(super) fn context(components: &[&str]) -> Vec<u8> {
    let mut encoded = (components.len() as u64).to_be_bytes().to_vec();
    for component in components {
        encoded.extend((component.len() as u64).to_be_bytes());
        encoded.extend_from_slice(component.as_bytes());
    }
    encoded
}

/// Derives the id of a key with these bytes.
pub(super) fn id_of(key: &Zeroizing<[u8; 32]>) -> String {
    let mut code = keyed(key);
    code.update(ID_DOMAIN);
    hex(&code.finalize().into_bytes()[..ID_DIGITS / 2])
}

/// Computes the authentication code. The code covers the digest of the payload instead of the
/// payload, so that an object that is written in pieces, possibly under several names, needs only
/// one pass.
fn mac(
    key: &[u8; 32],
    context: &[u8],
    name: &str,
    (digest, bytes): (&[u8; 32], u64),
) -> Hmac<Sha256> {
    let mut code = keyed(key);
    code.update(DOMAIN);
    code.update(context);
    code.update(&(name.len() as u64).to_be_bytes());
    code.update(name.as_bytes());
    code.update(&bytes.to_be_bytes());
    code.update(digest);
    code
}

#[allow(clippy::expect_used, reason = "HMAC takes keys of any length")]
fn keyed(key: &[u8; 32]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("32 bytes are a key")
}

/// Returns the value of a lower-case hexadecimal digit.
fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}
