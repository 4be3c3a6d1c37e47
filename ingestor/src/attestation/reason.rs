//! Why attestations are refused: words for counters, sentences for client developers.

use super::Refusal;

/// Makes the enum, its list, and its two columns from one table.
macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $name:ident: $word:literal, $detail:literal;)+) => {
        /// What is wrong with an attestation.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Reason {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Reason {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// A word that never changes, for counters.
            #[must_use]
            pub fn word(self) -> &'static str {
                match self { $(Self::$name => $word,)+ }
            }

            /// What is wrong, for the client's developer. Nothing of it comes from the device.
            #[must_use]
            pub fn detail(self) -> &'static str {
                match self { $(Self::$name => $detail,)+ }
            }
        }
    };
}

reasons! {
    /// The report's schema says nothing about what is signed.
    SchemaVersion: "schema-version", "nothing is known to be signed in this schema version";
    /// No signature, or one too long to be one.
    SignatureForm: "signature-form", "the signature is missing or longer than 80 bytes";
    /// Too few or too many certificates.
    ChainLength: "chain-length", "the chain has to have 2 to 10 certificates, the attested key's first";
    /// A certificate, or all of them together, are too large.
    ChainSize: "chain-size", "a certificate has to be 4096 bytes or less, the chain 16384";
    /// Something that is not a certificate in DER.
    ChainParse: "chain-parse", "something in the chain is not an X.509 version 3 certificate in DER";
    /// The last certificate is not of a root, nor issued by one.
    UnknownRoot: "unknown-root", "the chain does not end at a root that is trusted here";
    /// A certificate's issuer is not the next one's subject.
    ChainOrder: "chain-order", "a certificate's issuer is not the subject of the next certificate";
    /// A key or a signature algorithm that is not used for attestation.
    Algorithm: "algorithm", "a key or signature in the chain is not ECDSA on P-256 or P-384, or RSA, with SHA-2";
    /// A certificate is not signed by the next one.
    ChainSignature: "chain-signature", "a certificate's signature does not verify with the key of the next certificate";
    /// A certificate above the leaf has expired.
    Expired: "expired", "a certificate above the attested key's has expired";
    /// A certificate above the leaf is not valid yet.
    NotYetValid: "not-yet-valid", "a certificate above the attested key's is not valid yet";
    /// A certificate above the leaf may not issue any.
    NotAnIssuer: "not-an-issuer", "a certificate above the attested key's is not that of a certificate authority";
    /// More certificates below one than it allows.
    PathLength: "path-length", "more certificates stand below one of the chain than it allows";
    /// A critical extension that is not understood here.
    CriticalExtension: "critical-extension", "a certificate has a critical extension that is not understood";
    /// An attested key issued a certificate.
    ExtensionInIssuer: "extension-in-issuer", "a certificate above the attested key's has a key description itself";
    /// A certificate of the chain is on the revocation list.
    Revoked: "revoked", "a certificate of the chain is revoked or suspended";
    /// The revocation list could not be read for too long.
    RevocationUnknown: "revocation-unknown", "whether certificates are revoked is not known here at the moment";
    /// The leaf says nothing about the key.
    ExtensionMissing: "extension-missing", "the attested key's certificate has no key description";
    /// The leaf says two things about the key.
    ExtensionRepeated: "extension-repeated", "the attested key's certificate has several key descriptions";
    /// The key description is not what it should be.
    KeyDescription: "key-description", "the key description is not as Android's documentation has it";
    /// The leaf may issue certificates, or may not sign.
    LeafUsage: "leaf-usage", "the attested key's certificate is that of an authority, or not for signatures";
    /// The leaf's key is of another curve.
    LeafKey: "leaf-key", "the attested key is not an uncompressed point of P-256";
    /// Software, or a trusted environment where a secure element is wanted.
    SecurityLevel: "security-level", "the key is not kept in hardware that is trusted enough";
    /// The key was brought into the hardware.
    KeyOrigin: "key-origin", "the key was not made inside the hardware";
    /// The key is not for signatures.
    KeyPurpose: "key-purpose", "the key is not for signatures";
    /// The key does not say for which application it is.
    ApplicationId: "application-id", "the key does not belong to one application";
    /// Another application's key.
    Package: "package", "the key belongs to an application that is not taken here";
    /// The application is signed by somebody else.
    PackageSignature: "package-signature", "the application is signed with another key than is taken here";
    /// The hardware says nothing about how the device was started.
    RootOfTrust: "root-of-trust", "the hardware does not say how the device was started";
    /// The bootloader is unlocked.
    DeviceUnlocked: "device-unlocked", "the device's bootloader is not locked";
    /// The system is not the manufacturer's.
    BootState: "boot-state", "the device's system is not verified";
    /// Another metric's or another day's key.
    Challenge: "challenge", "the key is for another metric, or for a day that is not taken any more or not yet";
    /// Not signed by the attested key.
    ReportSignature: "report-signature", "the report's signature does not verify with the attested key";
}

impl From<Reason> for Refusal {
    fn from(reason: Reason) -> Self {
        Self {
            reason: reason.word(),
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
        let words: BTreeSet<&str> = Reason::ALL.iter().map(|reason| reason.word()).collect();
        assert_eq!(words.len(), Reason::ALL.len());
    }

    #[test]
    fn every_word_is_explained_to_operators() {
        let page = include_str!("../../../docs/attestation.md");
        for reason in Reason::ALL {
            assert!(page.contains(&format!("`{}`", reason.word())), "{reason:?}");
        }
    }
}
