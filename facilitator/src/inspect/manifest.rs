//! Inspects manifests: their kind, and the keys that they publish.

use super::report::{Facts, ObjectFinding, ObjectProblem};
use super::signer::KnownKeys;
use serde::Serialize;
use serde_json::Value;
use tallybox_crypto::{KeyError, PacketPublicKey, VerifyingKey};
use tallybox_model::manifest::{
    DEFAULT_SIZE_LIMIT, IngestorManifest, ManifestError, PortalManifest, ProcessorGlobalManifest,
    ProcessorManifest,
};

/// The content of a manifest.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ManifestFacts {
    /// The format number.
    pub format: u64,
    /// Accounts and mailboxes, by their name in the manifest.
    #[serde(rename = "places")]
    pub locations: Vec<(&'static str, String)>,
    /// The published keys.
    pub keys: Vec<ManifestKey>,
}

/// A key in a manifest.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ManifestKey {
    /// `batch-signing` or `packet-encryption`.
    pub purpose: &'static str,
    /// The key's identifier.
    pub id: String,
    /// The fingerprint; `None` if the key is malformed.
    pub fingerprint: Option<String>,
    /// The expiration time in the manifest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expiration: Option<String>,
    /// The description of the same key in the configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub configured: Option<String>,
}

/// The kinds of manifest, distinguished by fields that only one kind has.
#[derive(Clone, Copy)]
enum Kind {
    Portal,
    Processor,
    Ingestor,
    ProcessorGlobal,
}

impl Kind {
    fn parse(document: &Value) -> Option<Self> {
        let has = |key: &str| document.get(key).is_some();
        if has("facilitator-sum-part-bucket") || has("pha-sum-part-bucket") {
            Some(Self::Portal)
        } else if has("ingestion-bucket")
            || has("peer-validation-bucket")
            || has("packet-encryption-keys")
        {
            Some(Self::Processor)
        } else if has("batch-signing-public-keys") {
            Some(Self::Ingestor)
        } else if has("server-identity") {
            Some(Self::ProcessorGlobal)
        } else {
            None
        }
    }

    fn kind_and_title(self) -> (&'static str, &'static str) {
        match self {
            Self::Portal => ("portal-manifest", "manifest of a portal"),
            Self::Processor => (
                "processor-manifest",
                "manifest of a processor, for one instance",
            ),
            Self::Ingestor => ("ingestor-manifest", "manifest of an ingestor"),
            Self::ProcessorGlobal => (
                "processor-global-manifest",
                "global manifest of a processor",
            ),
        }
    }
}

/// Reads a JSON document as a manifest; `None` if it has no field of a manifest.
pub(super) fn inspect(
    object: &str,
    document: &Value,
    bytes: &[u8],
    known_keys: Option<&KnownKeys>,
) -> Option<ObjectFinding> {
    let kind = Kind::parse(document)?;
    let (kind_name, title) = kind.kind_and_title();
    let mut problems = Vec::new();
    let facts = match read(kind, object, bytes) {
        Ok((mut facts, faults)) => {
            for key in &mut facts.keys {
                key.configured = key
                    .fingerprint
                    .as_deref()
                    .zip(known_keys)
                    .and_then(|(print, known_keys)| known_keys.name(print));
            }
            let bad = |(key, error): (String, KeyError)| {
                ObjectProblem::rejected("malformed", object, format!("key {key}: {error}"))
            };
            problems.extend(faults.into_iter().map(bad));
            Facts::Manifest(facts)
        }
        Err(error) => {
            let failure = tallybox_service::output::Failure::from_error(
                tallybox_service::exit::Exit::Rejected,
                "malformed",
                &error,
            );
            problems.push(ObjectProblem::rejected(
                "malformed",
                object,
                failure.message,
            ));
            Facts::Text {
                bytes: bytes.len() as u64,
                text: None,
            }
        }
    };
    Some(ObjectFinding {
        problems,
        ..ObjectFinding::new(kind_name, title, object, facts)
    })
}

type Faults = Vec<(String, KeyError)>;

fn read(kind: Kind, object: &str, bytes: &[u8]) -> Result<(ManifestFacts, Faults), ManifestError> {
    let mut draft = Draft::default();
    let limit = DEFAULT_SIZE_LIMIT;
    let format = match kind {
        Kind::Portal => {
            let manifest = PortalManifest::parse(object, bytes, limit)?;
            draft.location("pha-sum-part-bucket", manifest.pha_sum_part_bucket.as_str());
            draft.location(
                "facilitator-sum-part-bucket",
                manifest.facilitator_sum_part_bucket.as_str(),
            );
            manifest.format
        }
        Kind::Processor => {
            let manifest = ProcessorManifest::parse(object, bytes, limit)?;
            draft.location("ingestion-bucket", manifest.ingestion_bucket.as_str());
            draft.location(
                "peer-validation-bucket",
                manifest.peer_validation_bucket.as_str(),
            );
            for (id, key) in &manifest.batch_signing_public_keys {
                draft.signing(id, &key.public_key, key.expiration.as_str());
            }
            for (id, key) in &manifest.packet_encryption_keys {
                draft.packet(id, &key.certificate_signing_request);
            }
            manifest.format
        }
        Kind::Ingestor => {
            let manifest = IngestorManifest::parse(object, bytes, limit)?;
            draft.location(
                "gcp-service-account-email",
                &manifest.server_identity.gcp_service_account_email,
            );
            for (id, key) in &manifest.batch_signing_public_keys {
                draft.signing(id, &key.public_key, key.expiration.as_str());
            }
            manifest.format
        }
        Kind::ProcessorGlobal => {
            let manifest = ProcessorGlobalManifest::parse(object, bytes, limit)?;
            draft.location(
                "gcp-service-account-email",
                &manifest.server_identity.gcp_service_account_email,
            );
            manifest.format
        }
    };
    Ok((
        ManifestFacts {
            format,
            locations: draft.locations,
            keys: draft.keys,
        },
        draft.faults,
    ))
}

#[derive(Default)]
struct Draft {
    locations: Vec<(&'static str, String)>,
    keys: Vec<ManifestKey>,
    faults: Faults,
}

impl Draft {
    fn location(&mut self, name: &'static str, value: &str) {
        self.locations.push((name, value.to_owned()));
    }

    fn signing(&mut self, id: &str, pem: &str, expiration: &str) {
        let fingerprint = VerifyingKey::parse(pem).map(|key| key.fingerprint());
        self.key(
            "batch-signing",
            id,
            fingerprint,
            Some(expiration.to_owned()),
        );
    }

    fn packet(&mut self, id: &str, pem: &str) {
        let fingerprint = PacketPublicKey::parse(pem).map(|key| key.fingerprint());
        self.key("packet-encryption", id, fingerprint, None);
    }

    fn key(
        &mut self,
        purpose: &'static str,
        id: &str,
        fingerprint: Result<String, KeyError>,
        expiration: Option<String>,
    ) {
        let fault = fingerprint
            .as_ref()
            .err()
            .map(|error| (id.to_owned(), *error));
        self.faults.extend(fault);
        let (id, fingerprint) = (id.to_owned(), fingerprint.ok());
        self.keys.push(ManifestKey {
            purpose,
            id,
            fingerprint,
            expiration,
            configured: None,
        });
    }
}
