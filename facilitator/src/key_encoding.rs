//! Reads a key file in any encoding: identifies the encoding, and derives the public half.

use clap::ValueEnum as _;
use serde::Serialize;
use std::fmt;
use tallybox_crypto::{
    KeyError, PacketKeyDocument, PacketPrivateKey, PacketPublicKey, SealingKey, SigningKey,
    VerifyingKey,
};
use zeroize::Zeroizing;

/// The encodings of keys (`docs/formats.md`, "Keys").
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum KeyEncoding {
    /// Private: base64 of PKCS#8 DER without PEM; ENPA's form of a signing key
    Pkcs8Base64,
    /// Private: PKCS#8 as PEM `PRIVATE KEY`
    Pkcs8Pem,
    /// Private: base64 of point and scalar, 97 bytes; ENPA's form of a packet key
    X963Base64,
    /// Private: base64 without padding of a type byte, compressed point and scalar; the form of
    /// ENPA's key-rotator
    RotatorMaterial,
    /// Public: PEM `PUBLIC KEY`; the form of signing keys in manifests
    SpkiPem,
    /// Public: base64 of SPKI DER
    SpkiBase64,
    /// Public: base64 of the uncompressed point, 65 bytes; the form for ENPA's command line
    X962Base64,
    /// Public: PEM `CERTIFICATE REQUEST`, signed by the key; the form of packet keys in manifests
    CsrPem,
    /// Private: base64 of 32 bytes; sealing keys only
    Base64,
    /// Private: JSON of a packet key with its instance and number of bins; packet keys only
    PacketDocument,
}

impl KeyEncoding {
    /// Returns whether text in this encoding contains a secret.
    pub(crate) fn is_private(self) -> bool {
        !matches!(
            self,
            Self::SpkiPem | Self::SpkiBase64 | Self::X962Base64 | Self::CsrPem
        )
    }
}

impl fmt::Display for KeyEncoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Every encoding has a name, because none is skipped.
        let value = self.to_possible_value();
        f.write_str(value.as_ref().map_or("", |value| value.get_name()))
    }
}

/// A key of any kind. Has no `Debug`, so that no secret can be printed.
pub(crate) enum AnyKey {
    /// A P-256 private key. The file does not contain its purpose, signing or decryption.
    Private(Box<PacketPrivateKey>),
    /// A packet key with its instance and number of bins.
    Packet(Box<PacketKeyDocument>),
    /// A P-256 public key.
    Public(VerifyingKey),
    /// A sealing key.
    Sealing(SealingKey),
}

impl AnyKey {
    /// Parses a key in any encoding, and returns the encoding; `None` for an encoding that is read
    /// but never written.
    ///
    /// # Errors
    /// [`KeyError`] if the text is not a key.
    pub(crate) fn parse(text: &str) -> Result<(Self, Option<KeyEncoding>), KeyError> {
        let text = text.trim();
        if text.starts_with('{') {
            let document = PacketKeyDocument::parse(text)?;
            return Ok((
                Self::Packet(Box::new(document)),
                Some(KeyEncoding::PacketDocument),
            ));
        }
        if let Ok(key) = SealingKey::parse(text) {
            return Ok((Self::Sealing(key), Some(KeyEncoding::Base64)));
        }
        match PacketPrivateKey::parse(text) {
            Ok(key) => {
                let encoding = private_encoding(&key, text);
                Ok((Self::Private(Box::new(key)), encoding))
            }
            Err(private) => match public(text) {
                Ok((key, encoding)) => Ok((Self::Public(key), encoding)),
                // Return the more specific of the two errors.
                Err(KeyError::Format { .. } | KeyError::Private) => Err(private),
                Err(public) => Err(public),
            },
        }
    }

    /// Returns the fingerprint of the public half, or the identifier of a sealing key.
    pub(crate) fn fingerprint(&self) -> String {
        match self {
            Self::Private(key) => key.public().fingerprint(),
            Self::Packet(document) => document.key.public().fingerprint(),
            Self::Public(key) => key.fingerprint(),
            Self::Sealing(key) => key.id(),
        }
    }

    /// Encodes the key or its public half. Returns `None` if the encoding does not apply: for
    /// example a private encoding to a public key, or anything but base64 to a sealing key. A
    /// certificate request needs `common_name`.
    ///
    /// # Errors
    /// [`KeyError::CommonName`] if `common_name` cannot be used.
    pub(crate) fn encode(
        &self,
        encoding: KeyEncoding,
        common_name: &str,
    ) -> Result<Option<Zeroizing<String>>, KeyError> {
        let text = match (self, encoding) {
            (Self::Sealing(key), KeyEncoding::Base64) => key.to_base64(),
            (Self::Packet(document), KeyEncoding::PacketDocument) => document.to_json()?,
            (Self::Sealing(_), _) | (_, KeyEncoding::Base64 | KeyEncoding::PacketDocument) => {
                return Ok(None);
            }
            (Self::Packet(document), _) => {
                let bare = PacketPrivateKey::parse(&document.key.to_x963_base64())?;
                return Self::Private(Box::new(bare)).encode(encoding, common_name);
            }
            (Self::Private(key), KeyEncoding::Pkcs8Base64) => {
                SigningKey::parse(&key.to_pkcs8_pem())?.to_pkcs8_base64()
            }
            (Self::Private(key), KeyEncoding::Pkcs8Pem) => key.to_pkcs8_pem(),
            (Self::Private(key), KeyEncoding::X963Base64) => key.to_x963_base64(),
            (Self::Private(key), KeyEncoding::RotatorMaterial) => key.to_rotator_material(),
            (Self::Private(key), KeyEncoding::CsrPem) => {
                Zeroizing::new(key.certificate_request(common_name)?)
            }
            (Self::Private(key), _) => {
                let public = VerifyingKey::parse(&key.public().to_x962_base64())?;
                return Self::Public(public).encode(encoding, common_name);
            }
            (Self::Public(key), KeyEncoding::SpkiPem) => Zeroizing::new(key.to_spki_pem()),
            (Self::Public(key), KeyEncoding::SpkiBase64) => Zeroizing::new(key.to_spki_base64()),
            (Self::Public(key), KeyEncoding::X962Base64) => Zeroizing::new(key.to_x962_base64()),
            (Self::Public(_), _) => return Ok(None),
        };
        Ok(Some(text))
    }
}

fn private_encoding(key: &PacketPrivateKey, text: &str) -> Option<KeyEncoding> {
    if text.starts_with("-----BEGIN PRIVATE KEY-----") {
        return Some(KeyEncoding::Pkcs8Pem);
    }
    if text.starts_with("-----BEGIN") {
        return None;
    }
    let is = |form: Zeroizing<String>| form.trim_end_matches('=') == text.trim_end_matches('=');
    if is(key.to_x963_base64()) {
        Some(KeyEncoding::X963Base64)
    } else if is(key.to_rotator_material()) {
        Some(KeyEncoding::RotatorMaterial)
    } else {
        // PKCS#8 in DER has optional parts, so the text may differ from this program's encoding.
        Some(KeyEncoding::Pkcs8Base64)
    }
}

fn public(text: &str) -> Result<(VerifyingKey, Option<KeyEncoding>), KeyError> {
    if text.starts_with("-----BEGIN CERTIFICATE REQUEST-----") {
        let key = PacketPublicKey::parse(text)?;
        return Ok((
            VerifyingKey::parse(&key.to_x962_base64())?,
            Some(KeyEncoding::CsrPem),
        ));
    }
    let key = VerifyingKey::parse(text)?;
    let encoding = if text.starts_with("-----BEGIN") {
        KeyEncoding::SpkiPem
    } else if key.to_x962_base64().trim_end_matches('=') == text.trim_end_matches('=') {
        KeyEncoding::X962Base64
    } else {
        KeyEncoding::SpkiBase64
    };
    Ok((key, Some(encoding)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    const PRIVATE: [KeyEncoding; 4] = [
        KeyEncoding::Pkcs8Base64,
        KeyEncoding::Pkcs8Pem,
        KeyEncoding::X963Base64,
        KeyEncoding::RotatorMaterial,
    ];
    const PUBLIC: [KeyEncoding; 4] = [
        KeyEncoding::SpkiPem,
        KeyEncoding::SpkiBase64,
        KeyEncoding::X962Base64,
        KeyEncoding::CsrPem,
    ];

    #[test]
    fn every_encoding_is_recognised_and_leads_to_every_other() {
        let key = AnyKey::Private(Box::new(PacketPrivateKey::generate(&mut rand::rng())));
        for from in PRIVATE {
            let text = key.encode(from, "").unwrap().expect("a private key has it");
            let (read, encoding) = AnyKey::parse(&format!("\n{}\n", &*text)).unwrap();
            assert_eq!(
                (encoding, read.fingerprint()),
                (Some(from), key.fingerprint())
            );
            for to in PRIVATE.into_iter().chain(PUBLIC) {
                assert_eq!(
                    read.encode(to, "a.example").unwrap(),
                    key.encode(to, "a.example").unwrap()
                );
            }
        }
        for from in PUBLIC {
            let text = key
                .encode(from, "a.example")
                .unwrap()
                .expect("a private key has it");
            let (read, encoding) = AnyKey::parse(&text).unwrap();
            assert_eq!(
                (encoding, read.fingerprint()),
                (Some(from), key.fingerprint())
            );
            assert_eq!(
                read.encode(KeyEncoding::SpkiPem, "").unwrap(),
                key.encode(KeyEncoding::SpkiPem, "").unwrap()
            );
            for private in PRIVATE
                .into_iter()
                .chain([KeyEncoding::CsrPem, KeyEncoding::Base64])
            {
                assert_eq!(read.encode(private, "a").unwrap(), None);
            }
        }
    }

    #[test]
    fn a_packet_key_document_leads_to_every_bare_encoding() {
        let text = include_str!("../../crypto/testdata/packet-key.json");
        let (key, encoding) = AnyKey::parse(text).unwrap();
        assert_eq!(encoding, Some(KeyEncoding::PacketDocument));
        assert_eq!(
            key.encode(KeyEncoding::PacketDocument, "")
                .unwrap()
                .unwrap()
                .as_str(),
            text
        );
        for to in PRIVATE.into_iter().chain(PUBLIC) {
            let bare = key.encode(to, "a.example").unwrap().expect("it has it");
            let (bare, encoding) = AnyKey::parse(&bare).unwrap();
            assert_eq!(
                (encoding, bare.fingerprint()),
                (Some(to), key.fingerprint())
            );
            assert_eq!(bare.encode(KeyEncoding::PacketDocument, "").unwrap(), None);
        }
    }

    #[test]
    fn sealing_keys_have_one_encoding() {
        let key = AnyKey::Sealing(SealingKey::generate(&mut rand::rng()));
        let text = key.encode(KeyEncoding::Base64, "").unwrap().unwrap();
        let (read, encoding) = AnyKey::parse(&text).unwrap();
        assert_eq!(
            (encoding, read.fingerprint()),
            (Some(KeyEncoding::Base64), key.fingerprint())
        );
        assert_eq!(read.encode(KeyEncoding::SpkiPem, "").unwrap(), None);
    }

    #[test]
    fn what_is_no_key_says_why() {
        let refused = |text| AnyKey::parse(text).err().expect("no key");
        assert_eq!(refused("not-a-real-key"), KeyError::Placeholder);
        assert!(matches!(refused("AAAA"), KeyError::Format { .. }));
        assert_eq!(refused("hello there!"), KeyError::Encoding);
        assert!(matches!(refused("{}"), KeyError::Document { .. }));
    }
}
