//! Identifies the signer: the known keys, and the result of verifying a signature with them.

use super::facts::{Fact, Facts};
use super::family::Family;
use crate::processor::Processor;
use serde::Serialize;
use serde_json::json;
use std::fmt;
use tallybox_crypto::VerifyingKey;
use tallybox_model::id::KeyId;
use tallybox_model::role::Role;
use tallybox_service::chart::Tone;

/// A party with known keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Party {
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
    pub(super) fn expected(family: Family, writer: Option<Role>, own: Role) -> Option<Self> {
        match (family, writer) {
            (Family::IngestionBatch, _) => Some(Self::Ingestor),
            (_, Some(writer)) if writer == own => Some(Self::Own),
            (_, Some(_)) => Some(Self::Peer),
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

/// A key of a known party.
#[derive(Clone, Debug)]
struct KnownKey {
    /// The holder of the private half.
    party: Party,
    /// `signing key`, `packet key` or `sealing key`.
    kind: &'static str,
    /// The key's identifier in the configuration or on the command line.
    id: KeyId,
    fingerprint: String,
    /// The public half of a signing key.
    public: Option<VerifyingKey>,
}

/// The result of verifying a signature. With several keys, the first of these that occurs counts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Outcome {
    /// The signature verifies with a key that has the identifier in the signature.
    Verifies,
    /// The signature verifies only with a key of another identifier; a processor rejects it.
    OtherKey,
    /// The signature verifies neither with the key that it names nor with any other.
    DoesNotVerify,
    /// The signature names a key that is neither configured nor given, and verifies with no known
    /// key.
    UnknownKey,
    /// No key is configured or given.
    NoKeyConfigured,
    /// The signed header does not exist.
    NoHeader,
}

/// The result of verifying a signature, and the key with which it verifies or should verify.
#[derive(Debug)]
pub(super) struct Verification {
    pub(super) outcome: Outcome,
    signer: Option<KnownKey>,
}

impl From<Outcome> for Verification {
    fn from(outcome: Outcome) -> Self {
        let signer = None;
        Self { outcome, signer }
    }
}

impl Verification {
    /// Describes the result, and returns the reason if it is a fault.
    fn describe(&self) -> (String, Tone, Option<&'static str>) {
        let (text, tone, reason) = match self.outcome {
            Outcome::Verifies => ("verifies with", Tone::Good, None),
            Outcome::OtherKey => ("verifies only with", Tone::Bad, Some("unknown-key")),
            Outcome::DoesNotVerify => ("does not verify with", Tone::Bad, Some("bad-signature")),
            Outcome::UnknownKey => {
                let text = "is neither configured nor given; give it with --key";
                (text, Tone::Bad, Some("unknown-key"))
            }
            Outcome::NoKeyConfigured => ("no key is configured or given", Tone::Faint, None),
            Outcome::NoHeader => ("the signed header does not exist", Tone::Faint, None),
        };
        match &self.signer {
            Some(KnownKey { party, id, .. }) => (format!("{text} {id} of {party}"), tone, reason),
            None => (text.to_owned(), tone, reason),
        }
    }

    /// Returns the reason and the description of the fault, if there is one. `key` is the
    /// identifier in the signature.
    pub(super) fn fault(
        &self,
        key: &str,
        expected: Option<Party>,
    ) -> Option<(&'static str, String)> {
        if self.outcome == Outcome::Verifies {
            let party = self.signer.as_ref()?.party;
            let expected = expected.filter(|expected| ![*expected, Party::Given].contains(&party));
            let message = format!(
                "signed by {party}, but the expected signer is {}",
                expected?
            );
            return Some(("wrong-signer", message));
        }
        let (text, _, reason) = self.describe();
        let message = match self.outcome {
            Outcome::UnknownKey => format!("the key of the signature, {key:?}, {text}"),
            _ => format!("the signature by key {key:?} {text}"),
        };
        Some((reason?, message))
    }

    /// Returns the facts about the signature by a key with this identifier.
    pub(super) fn signature_facts(&self, key: &str) -> Facts {
        let (text, tone, _) = self.describe();
        let mut facts = Facts::default();
        let result = Fact::new("result", json!(self.outcome)).tone(tone);
        facts.head(result.shown(text));
        if let Some(signer) = &self.signer {
            let party = Fact::new("party", json!(signer.party)).hidden();
            let key = Fact::new("key", signer.id.as_str()).hidden();
            let fingerprint = Fact::new("fingerprint", signer.fingerprint.as_str());
            facts.row("", [party, key, fingerprint]);
        }
        let mut signature = Facts::default();
        signature.head(Fact::new("key-identifier", key).shown(format!("by {key}")));
        signature.add(Fact::group("verification", facts).conclusion());
        signature
    }
}

/// The known keys.
#[derive(Debug, Default)]
pub(super) struct KnownKeys(Vec<KnownKey>);

impl KnownKeys {
    pub(super) fn from_processor(processor: &Processor) -> Self {
        let mut known = Self::default();
        let keys = &processor.keys;
        known.add(Party::Ingestor, keys.ingestor.iter());
        known.add(Party::Peer, keys.peer.iter());
        let signing = keys.signing.verifying_key();
        known.add(Party::Own, [(&keys.signing_id, &signing)]);
        let own = |kind, id, fingerprint| KnownKey {
            party: Party::Own,
            kind,
            id,
            fingerprint,
            public: None,
        };
        for key in &keys.packet {
            let fingerprint = key.fingerprint.clone();
            known.0.push(own("packet key", key.id.clone(), fingerprint));
        }
        for key in &keys.sealing {
            known.0.push(own("sealing key", key.id(), key.id()));
        }
        known
    }

    /// Adds keys that verify signatures.
    pub(super) fn add<'a>(
        &mut self,
        party: Party,
        keys: impl IntoIterator<Item = (&'a KeyId, &'a VerifyingKey)>,
    ) {
        self.0.extend(keys.into_iter().map(|(id, key)| KnownKey {
            party,
            kind: "signing key",
            id: id.clone(),
            fingerprint: key.fingerprint(),
            public: Some(key.clone()),
        }));
    }

    /// Verifies a signature over `header` that names `key`. Several parties may use the same
    /// identifier.
    pub(super) fn judge(&self, key: &str, header: &[u8], signature: &[u8]) -> Verification {
        let mut best = Verification::from(Outcome::UnknownKey);
        for known in &self.0 {
            let Some(public) = &known.public else {
                continue;
            };
            let verifies = public.verify(header, signature).is_ok();
            let outcome = match (known.id == key, verifies) {
                (true, true) => Outcome::Verifies,
                (false, true) => Outcome::OtherKey,
                (true, false) => Outcome::DoesNotVerify,
                (false, false) => Outcome::UnknownKey,
            };
            if outcome < best.outcome {
                let signer = Some(known.clone());
                best = Verification { outcome, signer };
            }
        }
        best
    }

    /// Returns the description of the known key with this fingerprint.
    pub(super) fn description(&self, fingerprint: &str) -> Option<String> {
        let mut keys = self.0.iter();
        let known = keys.find(|known| known.fingerprint == fingerprint)?;
        Some(format!("{} {} of {}", known.kind, known.id, known.party))
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
        // Both parties use the identifier "k1".
        let id = "k1".to_owned();
        let mut known_keys = KnownKeys::default();
        known_keys.add(Party::Ingestor, [(&id, &ingestor.verifying_key())]);
        known_keys.add(Party::Peer, [(&id, &peer.verifying_key())]);
        let judge = |key: &str, signature: &[u8]| {
            let verification = known_keys.judge(key, b"header", signature);
            (
                verification.outcome,
                verification.signer.map(|signer| signer.party),
            )
        };
        let by_ingestor = ingestor.sign(b"header");
        let by_peer = peer.sign(b"header");
        let bad = peer.sign(b"another");
        assert_eq!(
            judge("k1", &by_ingestor),
            (Outcome::Verifies, Some(Party::Ingestor))
        );
        assert_eq!(
            judge("k1", &by_peer),
            (Outcome::Verifies, Some(Party::Peer))
        );
        assert_eq!(
            judge("k2", &by_peer),
            (Outcome::OtherKey, Some(Party::Peer))
        );
        assert_eq!(
            judge("k1", &bad),
            (Outcome::DoesNotVerify, Some(Party::Ingestor))
        );
        assert_eq!(judge("k2", &bad), (Outcome::UnknownKey, None));
        let none = KnownKeys::default().judge("k1", b"header", &bad);
        assert_eq!(none.outcome, Outcome::UnknownKey);
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
