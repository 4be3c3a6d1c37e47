//! Identifies the signer: the known keys, and the result of verifying a signature with them.

use super::name::Family;
use crate::processor::Processor;
use serde::Serialize;
use std::fmt;
use tallybox_crypto::VerifyingKey;
use tallybox_model::id::KeyId;
use tallybox_model::role::Role;

/// A party with known keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Party {
    /// The ingestor, which writes ingestion batches.
    Ingestor,
    /// The other processor.
    Peer,
    /// The processor of this configuration.
    Own,
    /// The party whose key the command line gives with `--key`.
    Given,
}

impl Party {
    /// Returns the party that must sign a batch of this kind; for validation batches and sum parts
    /// it depends on the writer.
    #[must_use]
    pub fn expected(family: Family, writer: Option<Role>, own: Role) -> Option<Self> {
        match (family, writer) {
            (Family::IngestionBatch, _) => Some(Self::Ingestor),
            (_, Some(writer)) => Some(if writer == own { Self::Own } else { Self::Peer }),
            (_, None) => None,
        }
    }
}

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ingestor => "the ingestor",
            Self::Peer => "the peer",
            Self::Own => "this processor",
            Self::Given => "the command line",
        })
    }
}

/// The holder of a key that verifies a signature.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Signer {
    /// The holder of the private half.
    pub party: Party,
    /// The key's identifier in the configuration or on the command line.
    pub key: KeyId,
    /// The fingerprint of the key.
    pub fingerprint: String,
}

/// The result of verifying a signature.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(tag = "result", rename_all = "kebab-case")]
pub enum Verification {
    /// The signature verifies with a key that has the identifier in the signature.
    Verifies(Signer),
    /// The signature verifies only with a key of another identifier; a processor rejects it.
    OtherKey(Signer),
    /// The signature verifies neither with the key that it names nor with any other.
    DoesNotVerify(Signer),
    /// The signature names a key that is neither configured nor given, and verifies with no known
    /// key.
    UnknownKey,
    /// No key is configured or given.
    NoKeyConfigured,
    /// The signed header does not exist.
    NoHeader,
}

/// The known keys: those that verify signatures, and the names of the others.
#[derive(Debug, Default)]
pub(super) struct KnownKeys {
    keys: Vec<(Signer, VerifyingKey)>,
    /// Fingerprints and descriptions of keys that do not verify signatures.
    others: Vec<(String, String)>,
}

impl KnownKeys {
    pub(super) fn from_processor(processor: &Processor) -> Self {
        let named = |party: Party| {
            move |(id, key): (&KeyId, &VerifyingKey)| {
                (
                    Signer {
                        party,
                        key: id.clone(),
                        fingerprint: key.fingerprint(),
                    },
                    key.clone(),
                )
            }
        };
        let own = (
            &processor.keys.signing_id,
            &processor.keys.signing.verifying_key(),
        );
        let ingestor = processor.keys.ingestor.iter().map(named(Party::Ingestor));
        let peer = processor.keys.peer.iter().map(named(Party::Peer));
        let packet = processor.keys.packet.iter();
        let packet = packet.map(|key| {
            (
                key.fingerprint.clone(),
                format!("packet key {} of {}", key.id, Party::Own),
            )
        });
        let sealing = processor.keys.sealing.iter();
        let sealing = sealing.map(|key| (key.id(), format!("a sealing key of {}", Party::Own)));
        let others = packet.chain(sealing).collect();
        let keys = ingestor
            .chain(peer)
            .chain([named(Party::Own)(own)])
            .collect();
        Self { keys, others }
    }

    /// Adds keys from the command line.
    pub(super) fn add(&mut self, given: impl IntoIterator<Item = (KeyId, VerifyingKey)>) {
        let named = given.into_iter().map(|(id, key)| {
            let signer = Signer {
                party: Party::Given,
                key: id,
                fingerprint: key.fingerprint(),
            };
            (signer, key)
        });
        self.keys.extend(named);
    }

    /// Verifies a signature over `header` that names `key`. Several parties may use the same
    /// identifier.
    pub(super) fn judge(&self, key: &str, header: &[u8], signature: &[u8]) -> Verification {
        let named = |signer: &Signer| signer.key == key;
        let verifies = || {
            self.keys
                .iter()
                .filter(|(_, key)| key.verify(header, signature).is_ok())
        };
        if let Some((signer, _)) = verifies().find(|(signer, _)| named(signer)) {
            return Verification::Verifies(signer.clone());
        }
        if let Some((signer, _)) = verifies().next() {
            return Verification::OtherKey(signer.clone());
        }
        match self.keys.iter().find(|(signer, _)| named(signer)) {
            Some((signer, _)) => Verification::DoesNotVerify(signer.clone()),
            None => Verification::UnknownKey,
        }
    }

    /// Returns the description of the configured key with this fingerprint.
    pub(super) fn name(&self, fingerprint: &str) -> Option<String> {
        let signer = self
            .keys
            .iter()
            .map(|(signer, _)| signer)
            .find(|signer| signer.fingerprint == fingerprint);
        let other = || self.others.iter().find(|(other, _)| other == fingerprint);
        let signer = signer.map(|signer| format!("signing key {} of {}", signer.key, signer.party));
        signer.or_else(|| other().map(|(_, description)| description.clone()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use tallybox_crypto::SigningKey;

    #[test]
    fn each_party_is_told_from_the_others() {
        let [ingestor, peer] = [0, 1].map(|_| SigningKey::generate(&mut rand::rng()));
        let entry = |party, id: &str, key: &SigningKey| {
            let key = key.verifying_key();
            (
                Signer {
                    party,
                    key: id.to_owned(),
                    fingerprint: key.fingerprint(),
                },
                key,
            )
        };
        // Both parties use the identifier "k1".
        let keys = vec![
            entry(Party::Ingestor, "k1", &ingestor),
            entry(Party::Peer, "k1", &peer),
        ];
        let known_keys = KnownKeys {
            keys,
            others: Vec::new(),
        };
        let party = |verification: Verification| match verification {
            Verification::Verifies(signer) => Some(signer.party),
            _ => None,
        };
        assert_eq!(
            party(known_keys.judge("k1", b"header", &ingestor.sign(b"header"))),
            Some(Party::Ingestor)
        );
        assert_eq!(
            party(known_keys.judge("k1", b"header", &peer.sign(b"header"))),
            Some(Party::Peer)
        );
        let other = known_keys.judge("k2", b"header", &peer.sign(b"header"));
        assert!(matches!(other, Verification::OtherKey(signer) if signer.party == Party::Peer));
        let bad = peer.sign(b"another");
        assert!(matches!(
            known_keys.judge("k1", b"header", &bad),
            Verification::DoesNotVerify(_)
        ));
        assert_eq!(
            known_keys.judge("k2", b"header", &bad),
            Verification::UnknownKey
        );
        assert_eq!(
            KnownKeys::default().judge("k1", b"header", &bad),
            Verification::UnknownKey
        );
    }

    #[test]
    fn who_has_to_sign_what() {
        let expected = |family, writer| Party::expected(family, writer, Role::First);
        assert_eq!(
            expected(Family::IngestionBatch, None),
            Some(Party::Ingestor)
        );
        assert_eq!(
            expected(Family::ValidationBatch, Some(Role::First)),
            Some(Party::Own)
        );
        assert_eq!(
            expected(Family::SumPart, Some(Role::Second)),
            Some(Party::Peer)
        );
        assert_eq!(expected(Family::SumPart, None), None);
    }
}
