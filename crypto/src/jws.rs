//! Signed JSON documents: flattened JWS (RFC 7515 section 7.2.2) with ES256. Clients verify their
//! configuration with them.
//!
//! ```json
//! {"payload": "base64url", "protected": "base64url of {\"alg\":\"ES256\",\"kid\":…,\"typ\":…}", "signature": "base64url"}
//! ```
//!
//! The documents are compatible with any JOSE library. Only ES256 is accepted, and only with the
//! key that the caller selects for the key id. The document itself chooses neither the algorithm
//! nor the key.

use base64ct::{Base64UrlUnpadded, Encoding as _};
use serde::{Deserialize, Serialize};

use crate::error::JwsError;
use crate::keys::{SigningKey, VerifyingKey};

/// The document as transmitted.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Flattened {
    payload: String,
    protected: String,
    signature: String,
}

/// The protected header, which the signature covers in addition to the payload.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Protected {
    alg: String,
    kid: String,
    typ: String,
}

/// Signs `payload` as a document of type `typ`.
///
/// # Errors
/// [`JwsError::Form`] if `serde_json` cannot write the document, which does not happen. The error
/// replaces a panic.
pub fn sign(
    payload: &[u8],
    typ: &str,
    key_id: &str,
    key: &SigningKey,
) -> Result<Vec<u8>, JwsError> {
    let protected = Protected {
        alg: "ES256".to_owned(),
        kid: key_id.to_owned(),
        typ: typ.to_owned(),
    };
    let protected = serde_json::to_vec(&protected).map_err(|_| JwsError::Form)?;
    let [payload, protected] =
        [payload, protected.as_slice()].map(Base64UrlUnpadded::encode_string);
    let signature = key.sign_fixed(format!("{protected}.{payload}").as_bytes());
    let document = Flattened {
        signature: Base64UrlUnpadded::encode_string(&signature),
        payload,
        protected,
    };
    serde_json::to_vec(&document).map_err(|_| JwsError::Form)
}

/// Verifies a document of type `typ` and returns its payload. `key_of` returns the key for a key id
/// if the key is trusted.
///
/// # Errors
/// [`JwsError`]. The function never returns the payload of a document whose signature does not
/// verify.
pub fn verify<'k>(
    document: &[u8],
    typ: &str,
    key_of: impl FnOnce(&str) -> Option<&'k VerifyingKey>,
) -> Result<Vec<u8>, JwsError> {
    let Flattened {
        payload,
        protected,
        signature,
    } = serde_json::from_slice(document).map_err(|_| JwsError::Form)?;
    let decode = |text: &str| Base64UrlUnpadded::decode_vec(text).map_err(|_| JwsError::Form);
    let head: Protected =
        serde_json::from_slice(&decode(&protected)?).map_err(|_| JwsError::Form)?;
    if head.alg != "ES256" {
        return Err(JwsError::Algorithm);
    }
    if head.typ != typ {
        return Err(JwsError::Type);
    }
    let Some(key) = key_of(&head.kid) else {
        return Err(JwsError::UnknownKey { key_id: head.kid });
    };
    // The fixed length of ES256: r and s, 32 bytes each.
    let signature: [u8; 64] = decode(&signature)?.try_into().map_err(|_| JwsError::Form)?;
    key.verify_fixed(format!("{protected}.{payload}").as_bytes(), &signature)
        .map_err(|_| JwsError::Signature { key_id: head.kid })?;
    decode(&payload)
}

/// Returns the payload of a document of type `typ` without verifying its signature. Use it only for
/// comparisons whose sole result is a warning.
///
/// # Errors
/// [`JwsError`] if the document is malformed or has another type.
pub fn read_unverified(document: &[u8], typ: &str) -> Result<Vec<u8>, JwsError> {
    let Flattened {
        payload, protected, ..
    } = serde_json::from_slice(document).map_err(|_| JwsError::Form)?;
    let decode = |text: &str| Base64UrlUnpadded::decode_vec(text).map_err(|_| JwsError::Form);
    let head: Protected =
        serde_json::from_slice(&decode(&protected)?).map_err(|_| JwsError::Form)?;
    if head.typ != typ {
        return Err(JwsError::Type);
    }
    decode(&payload)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha20Rng;

    use super::*;

    fn key(seed: u64) -> SigningKey {
        SigningKey::generate(&mut ChaCha20Rng::seed_from_u64(seed))
    }

    #[test]
    fn only_what_was_signed_by_the_chosen_key_comes_out() {
        let (ours, other) = (key(1).verifying_key(), key(2).verifying_key());
        let document = sign(b"{\"a\":1}", "t", "k1", &key(1)).unwrap();
        assert_eq!(
            verify(&document, "t", |id| (id == "k1").then_some(&ours)).unwrap(),
            b"{\"a\":1}"
        );
        assert_eq!(read_unverified(&document, "t").unwrap(), b"{\"a\":1}");
        assert!(matches!(
            read_unverified(&document, "u"),
            Err(JwsError::Type)
        ));
        let fault = |document: &[u8], typ, key| verify(document, typ, |_| key).unwrap_err();
        assert!(matches!(
            fault(&document, "t", Some(&other)),
            JwsError::Signature { .. }
        ));
        assert!(matches!(fault(&document, "u", Some(&ours)), JwsError::Type));
        assert!(matches!(
            fault(&document, "t", None),
            JwsError::UnknownKey { .. }
        ));
        assert!(matches!(
            fault(b"{\"a\":1}", "t", Some(&ours)),
            JwsError::Form
        ));
    }

    #[test]
    fn no_byte_can_change() {
        let ours = key(1).verifying_key();
        let document = sign(b"payload", "t", "k1", &key(1)).unwrap();
        for index in 0..document.len() {
            let mut changed = document.clone();
            changed[index] ^= 1;
            let read = verify(&changed, "t", |id| (id == "k1").then_some(&ours));
            assert!(read.is_err(), "byte {index}");
        }
    }

    #[test]
    fn the_algorithm_is_not_the_documents_to_choose() {
        let ours = key(1).verifying_key();
        for alg in ["none", "HS256", "es256"] {
            let encode = |text: &str| Base64UrlUnpadded::encode_string(text.as_bytes());
            let head = format!(r#"{{"alg":"{alg}","kid":"k1","typ":"t"}}"#);
            let document = format!(
                r#"{{"payload":"{}","protected":"{}","signature":""}}"#,
                encode("x"),
                encode(&head)
            );
            let fault = verify(document.as_bytes(), "t", |_| Some(&ours)).unwrap_err();
            assert!(matches!(fault, JwsError::Algorithm), "{alg}");
        }
    }
}
