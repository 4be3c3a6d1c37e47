//! A certificate of a chain: strictly parsed, but not yet verified.

use der::asn1::AnyRef;
use der::oid::{AssociatedOid, ObjectIdentifier};
use der::{Decode, Reader as _};
use x509_cert::certificate::Version;
use x509_cert::ext::pkix::{BasicConstraints, KeyUsage};
use x509_cert::name::Name;
use x509_cert::spki::SubjectPublicKeyInfoOwned;

use super::algorithm;
use crate::attestation::Reason;

/// The extension in which a keystore describes a key.
const KEY_DESCRIPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.11129.2.1.17");

/// A serial number without leading zeros.
pub(super) type Serial = Box<[u8]>;

/// A certificate, and the bytes that its signature covers.
pub(super) struct Certificate<'a> {
    signed: &'a [u8],
    parsed: x509_cert::Certificate,
}

impl<'a> Certificate<'a> {
    /// Parses a certificate. The caller has checked its size.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, Reason> {
        let signed = AnyRef::from_der(bytes)
            .and_then(|outer| {
                outer.sequence(|reader| -> der::Result<&'a [u8]> {
                    let signed = reader.tlv_bytes()?;
                    reader.tlv_bytes()?;
                    reader.tlv_bytes()?;
                    Ok(signed)
                })
            })
            .map_err(|_| Reason::ChainParse)?;
        let parsed = x509_cert::Certificate::from_der(bytes).map_err(|_| Reason::ChainParse)?;
        let inner = parsed.tbs_certificate();
        // The algorithm is repeated outside the signed part, and both have to be equal (RFC 5280
        // section 4.1.1.2).
        if inner.version() != Version::V3 || inner.signature() != parsed.signature_algorithm() {
            return Err(Reason::ChainParse);
        }
        Ok(Self { signed, parsed })
    }

    pub(super) fn subject(&self) -> &Name {
        self.parsed.tbs_certificate().subject()
    }

    pub(super) fn issuer(&self) -> &Name {
        self.parsed.tbs_certificate().issuer()
    }

    pub(super) fn key(&self) -> &SubjectPublicKeyInfoOwned {
        self.parsed.tbs_certificate().subject_public_key_info()
    }

    pub(super) fn serial(&self) -> Serial {
        significant(self.parsed.tbs_certificate().serial_number().as_bytes()).into()
    }

    /// Returns the first and last second of the validity period, since the epoch.
    pub(super) fn validity(&self) -> (u64, u64) {
        let validity = self.parsed.tbs_certificate().validity();
        let seconds = |time: x509_cert::time::Time| time.to_unix_duration().as_secs();
        (seconds(validity.not_before), seconds(validity.not_after))
    }

    /// Verifies the signature with this key.
    pub(super) fn signed_by(&self, key: &SubjectPublicKeyInfoOwned) -> Result<(), Reason> {
        let signature = self
            .parsed
            .signature()
            .as_bytes()
            .ok_or(Reason::ChainParse)?;
        algorithm::verify(
            key,
            self.parsed.signature_algorithm(),
            self.signed,
            signature,
        )
    }

    /// Returns the limit on authorities below this one, if the certificate states it. Returns an
    /// error if the certificate may not issue certificates.
    pub(super) fn may_issue(&self) -> Result<Option<u8>, Reason> {
        self.understood()?;
        let constraints = self
            .extension::<BasicConstraints>()?
            .ok_or(Reason::NotAnIssuer)?;
        let usage = self.extension::<KeyUsage>()?;
        if !constraints.ca || usage.is_some_and(|usage| !usage.key_cert_sign()) {
            return Err(Reason::NotAnIssuer);
        }
        Ok(constraints.path_len_constraint)
    }

    /// Checks that the certificate's key may sign reports, and may not sign certificates.
    pub(super) fn may_sign_reports(&self) -> Result<(), Reason> {
        self.understood()?;
        let authority = self
            .extension::<BasicConstraints>()?
            .is_some_and(|constraints| constraints.ca);
        let usage = self.extension::<KeyUsage>()?;
        if authority
            || usage.is_some_and(|usage| !usage.digital_signature() || usage.key_cert_sign())
        {
            return Err(Reason::LeafUsage);
        }
        Ok(())
    }

    /// Returns whether the certificate contains a key description.
    pub(super) fn describes_a_key(&self) -> bool {
        self.descriptions().next().is_some()
    }

    /// Returns the key description.
    pub(super) fn description(&self) -> Result<&[u8], Reason> {
        let mut descriptions = self.descriptions();
        let first = descriptions.next().ok_or(Reason::ExtensionMissing)?;
        match descriptions.next() {
            None => Ok(first),
            Some(_) => Err(Reason::ExtensionRepeated),
        }
    }

    fn descriptions(&self) -> impl Iterator<Item = &[u8]> {
        let extensions = self.parsed.tbs_certificate().extensions();
        let extensions = extensions.map_or(&[][..], Vec::as_slice).iter();
        extensions
            .filter(|extension| extension.extn_id == KEY_DESCRIPTION)
            .map(|extension| extension.extn_value.as_bytes())
    }

    fn extension<T: AssociatedOid + for<'b> Decode<'b, Error = der::Error>>(
        &self,
    ) -> Result<Option<T>, Reason> {
        match self.parsed.tbs_certificate().get_extension::<T>() {
            Ok(found) => Ok(found.map(|(_, extension)| extension)),
            Err(_) => Err(Reason::ChainParse),
        }
    }

    /// Checks that all critical extensions are known to this module.
    fn understood(&self) -> Result<(), Reason> {
        let understood = [BasicConstraints::OID, KeyUsage::OID, KEY_DESCRIPTION];
        let extensions = self.parsed.tbs_certificate().extensions();
        let strange = extensions
            .into_iter()
            .flatten()
            .any(|extension| extension.critical && !understood.contains(&extension.extn_id));
        if strange {
            return Err(Reason::CriticalExtension);
        }
        Ok(())
    }
}

/// Returns the bytes of a number without leading zeros.
pub(super) fn significant(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    &bytes[zeros..]
}
