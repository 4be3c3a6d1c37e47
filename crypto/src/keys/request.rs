//! PKCS#10 certificate requests (RFC 2986): the form in which manifests publish packet keys.

use p256::pkcs8::{EncodePublicKey as _, LineEnding};
use p256::{PublicKey, SecretKey};
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::der::asn1::{
    Any, BitString, ObjectIdentifier, PrintableStringRef, SetOfVec, Utf8StringRef,
};
use x509_cert::der::referenced::OwnedToRef as _;
use x509_cert::der::{self, Decode as _, DecodePem as _, Encode as _, EncodePem as _};
use x509_cert::name::{Name, RdnSequence, RelativeDistinguishedName};
use x509_cert::request::{CertReq, CertReqInfo, Version};
use x509_cert::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};

use super::{SigningKey, VerifyingKey};
use crate::error::KeyError;

/// `ecdsa-with-SHA256` (RFC 5758).
const ECDSA_WITH_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
/// `id-at-commonName` (X.520).
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
/// `ub-common-name` (X.520).
const COMMON_NAME_MAX: usize = 64;

/// Returns the key in a certificate request after verifying the request's signature with it.
pub(crate) fn read(pem: &str, wanted: &'static str) -> Result<PublicKey, KeyError> {
    let request = CertReq::from_pem(pem).map_err(|_| KeyError::Format { wanted })?;
    let public = PublicKey::try_from(request.info.public_key.owned_to_ref())
        .map_err(|_| KeyError::Invalid)?;
    let signed = request
        .info
        .to_der()
        .map_err(|_| KeyError::Format { wanted })?;
    let signature = request
        .signature
        .as_bytes()
        .ok_or(KeyError::RequestSignature)?;
    if request.algorithm.oid != ECDSA_WITH_SHA256 {
        return Err(KeyError::RequestSignature);
    }
    match VerifyingKey::from_public(&public).verify(&signed, signature) {
        Ok(()) => Ok(public),
        Err(_) => Err(KeyError::RequestSignature),
    }
}

/// Creates a certificate request for `secret`, signed by it, as PEM.
pub(crate) fn write(secret: &SecretKey, common_name: &str) -> Result<String, KeyError> {
    if common_name.is_empty() || common_name.chars().count() > COMMON_NAME_MAX {
        return Err(KeyError::CommonName);
    }
    // A name of at most 64 characters and a P-256 key always fit into DER, so no other error is
    // possible.
    build(secret, common_name).map_err(|_| KeyError::CommonName)
}

fn build(secret: &SecretKey, common_name: &str) -> der::Result<String> {
    let spki = secret
        .public_key()
        .to_public_key_der()
        .map_err(|_| der::ErrorKind::Failed)?;
    let info = CertReqInfo {
        version: Version::V1,
        subject: subject(common_name)?,
        public_key: SubjectPublicKeyInfoOwned::from_der(spki.as_bytes())?,
        attributes: SetOfVec::new(),
    };
    let signature = SigningKey::from_secret(secret.clone()).sign(&info.to_der()?);
    CertReq {
        info,
        algorithm: AlgorithmIdentifierOwned {
            oid: ECDSA_WITH_SHA256,
            parameters: None,
        },
        signature: BitString::from_bytes(&signature)?,
    }
    .to_pem(LineEnding::LF)
}

/// Creates a distinguished name with one common name, as PrintableString if possible, like Go's
/// library, otherwise as UTF8String.
fn subject(common_name: &str) -> der::Result<Name> {
    let value = match PrintableStringRef::new(common_name) {
        Ok(printable) => Any::encode_from(&printable)?,
        Err(_) => Any::encode_from(&Utf8StringRef::new(common_name)?)?,
    };
    let attribute = AttributeTypeAndValue {
        oid: COMMON_NAME,
        value,
    };
    let rdn = RelativeDistinguishedName::try_from(vec![attribute])?;
    Name::from_der(&RdnSequence::from(vec![rdn]).to_der()?)
}
