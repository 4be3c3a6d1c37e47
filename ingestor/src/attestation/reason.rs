//! Reasons for rejecting attestations: a code for metrics, and a sentence for client developers.

use super::verifier::Refusal;

/// Generates the enum, the list of its variants, and the two columns from one table.
macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $name:ident: $code:literal, $detail:literal;)+) => {
        /// The reason why an attestation is rejected.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Reason {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Reason {
            /// All reasons.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// Returns the reason code, which never changes; a label of metrics.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code,)+ }
            }

            /// Returns the cause, for the client's developer. The text contains no data from the
            /// device.
            #[must_use]
            pub fn detail(self) -> &'static str {
                match self { $(Self::$name => $detail,)+ }
            }
        }
    };
}

reasons! {
    /// The schema version does not define which bytes are signed.
    SchemaVersion: "schema-version", "this schema version does not define which bytes are signed";
    /// The signature is missing or too long.
    SignatureForm: "signature-form", "the signature is missing or longer than 80 bytes";
    /// The chain has too few or too many certificates.
    ChainLength: "chain-length", "the chain has to have 2 to 10 certificates, the attested key's first";
    /// A certificate or the whole chain is too large.
    ChainSize: "chain-size", "a certificate may have at most 4096 bytes, and the chain at most 16384 bytes";
    /// A part of the chain is not a certificate in DER.
    ChainParse: "chain-parse", "a part of the chain is not an X.509 version 3 certificate in DER";
    /// The last certificate neither belongs to a trusted root nor was issued by one.
    UnknownRoot: "unknown-root", "the chain does not end at a root that this server trusts";
    /// The issuer of a certificate is not the subject of the next one.
    ChainOrder: "chain-order", "a certificate's issuer is not the subject of the next certificate";
    /// The chain contains a key or signature algorithm that is not supported.
    Algorithm: "algorithm", "a key or signature in the chain is not ECDSA on P-256 or P-384, or RSA, with SHA-2";
    /// The signature of a certificate does not verify with the next one.
    ChainSignature: "chain-signature", "a certificate's signature does not verify with the key of the next certificate";
    /// A certificate above the leaf has expired.
    Expired: "expired", "a certificate above the attested key's has expired";
    /// A certificate above the leaf is not valid yet.
    NotYetValid: "not-yet-valid", "a certificate above the attested key's is not valid yet";
    /// A certificate above the leaf may not issue certificates.
    NotAnIssuer: "not-an-issuer", "a certificate above the attested key's does not belong to a certificate authority";
    /// A certificate allows fewer certificates below it than the chain has.
    PathLength: "path-length", "the chain has more certificates below one of its authorities than the authority allows";
    /// A certificate has a critical extension that this program does not support.
    CriticalExtension: "critical-extension", "a certificate has a critical extension that this server does not support";
    /// A certificate above the leaf belongs to an attested key.
    ExtensionInIssuer: "extension-in-issuer", "a certificate above the attested key's contains a key description";
    /// A certificate of the chain is on the revocation list.
    Revoked: "revoked", "a certificate of the chain is revoked or suspended";
    /// The revocation list could not be read for longer than the age limit.
    RevocationUnknown: "revocation-unknown", "the server cannot check for revocation at the moment; try again later";
    /// The leaf has no key description.
    ExtensionMissing: "extension-missing", "the attested key's certificate has no key description";
    /// The leaf has several key descriptions.
    ExtensionRepeated: "extension-repeated", "the attested key's certificate has several key descriptions";
    /// The key description does not have the documented form.
    KeyDescription: "key-description", "the key description does not have the form that Android documents";
    /// The leaf may issue certificates, or may not sign data.
    LeafUsage: "leaf-usage", "the attested key's certificate belongs to an authority, or is not for signatures";
    /// The leaf's key is not a P-256 point.
    LeafKey: "leaf-key", "the attested key is not an uncompressed point of P-256";
    /// The key is in software, or in a trusted environment although a secure element is required.
    SecurityLevel: "security-level", "the key is not in hardware of the required security level";
    /// The key was imported into the hardware.
    KeyOrigin: "key-origin", "the key was not generated inside the hardware";
    /// The key is not for signatures.
    KeyPurpose: "key-purpose", "the key is not for signatures";
    /// The key description does not name exactly one application.
    ApplicationId: "application-id", "the key does not belong to one application";
    /// The key belongs to another application.
    Package: "package", "the key belongs to an application that this server does not accept";
    /// The application was signed with another key.
    PackageSignature: "package-signature", "the application is signed with a key that this server does not accept";
    /// The hardware does not state how the device was started.
    RootOfTrust: "root-of-trust", "the hardware does not state how the device was started";
    /// The bootloader is unlocked.
    DeviceUnlocked: "device-unlocked", "the device's bootloader is not locked";
    /// The system has not been verified as the manufacturer's.
    BootState: "boot-state", "the device's system is not verified";
    /// The key was generated for another metric or day.
    Challenge: "challenge", "the key is for another metric, or for a day that is not accepted now";
    /// The report was not signed with the attested key.
    ReportSignature: "report-signature", "the report's signature does not verify with the attested key";
}

impl From<Reason> for Refusal {
    fn from(reason: Reason) -> Self {
        Self {
            reason: reason.as_str(),
            detail: reason.detail().to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_word_stands_twice() {
        let codes: BTreeSet<&str> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
        assert_eq!(codes.len(), Reason::ALL.len());
    }

    #[test]
    fn every_word_is_explained_to_operators() {
        let page = include_str!("../../../docs/attestation.md");
        for reason in Reason::ALL {
            assert!(
                page.contains(&format!("`{}`", reason.as_str())),
                "{reason:?}"
            );
        }
    }
}
