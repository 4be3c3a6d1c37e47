//! Inspects manifests: their kind, and the keys that they publish.

use super::facts::{Fact, Facts};
use super::inspector::Inspector;
use super::report::ObjectFinding;
use serde_json::Value as Json;
use tallybox_crypto::{KeyError, PacketPublicKey, VerifyingKey};
use tallybox_model::manifest::{
    DEFAULT_SIZE_LIMIT, IngestorManifest, ManifestError, PortalManifest, ProcessorGlobalManifest,
    ProcessorManifest,
};
use tallybox_service::chart::Tone;
use tallybox_service::exit::Exit;
use tallybox_service::output::Failure;

/// A kind of manifest.
struct Kind {
    /// Fields that no later kind has.
    fields: &'static [&'static str],
    name: &'static str,
    title: &'static str,
    /// Parses the manifest, and returns the number of its format.
    parse: fn(&str, &[u8]) -> Result<u64, ManifestError>,
}

const KINDS: [Kind; 4] = [
    Kind {
        fields: &["facilitator-sum-part-bucket", "pha-sum-part-bucket"],
        name: "portal-manifest",
        title: "manifest of a portal",
        parse: |object, file| Ok(PortalManifest::parse(object, file, DEFAULT_SIZE_LIMIT)?.format),
    },
    Kind {
        fields: &[
            "ingestion-bucket",
            "peer-validation-bucket",
            "packet-encryption-keys",
        ],
        name: "processor-manifest",
        title: "manifest of a processor, for one instance",
        parse: |object, file| Ok(ProcessorManifest::parse(object, file, DEFAULT_SIZE_LIMIT)?.format),
    },
    Kind {
        fields: &["batch-signing-public-keys"],
        name: "ingestor-manifest",
        title: "manifest of an ingestor",
        parse: |object, file| Ok(IngestorManifest::parse(object, file, DEFAULT_SIZE_LIMIT)?.format),
    },
    Kind {
        fields: &["server-identity"],
        name: "processor-global-manifest",
        title: "global manifest of a processor",
        parse: |object, file| {
            Ok(ProcessorGlobalManifest::parse(object, file, DEFAULT_SIZE_LIMIT)?.format)
        },
    },
];

/// The names and JSON pointers of mailboxes and accounts.
const PLACES: [(&str, &str); 5] = [
    ("pha-sum-part-bucket", "/pha-sum-part-bucket"),
    (
        "facilitator-sum-part-bucket",
        "/facilitator-sum-part-bucket",
    ),
    ("ingestion-bucket", "/ingestion-bucket"),
    ("peer-validation-bucket", "/peer-validation-bucket"),
    (
        "gcp-service-account-email",
        "/server-identity/gcp-service-account-email",
    ),
];

/// Reads a JSON document as a manifest; `None` if it has no field of a manifest.
pub(super) fn inspect(
    inspector: &Inspector,
    object: &str,
    document: &Json,
    file: &[u8],
) -> Option<ObjectFinding> {
    let has = |field: &&str| document.get(field).is_some();
    let kind = KINDS.iter().find(|kind| kind.fields.iter().any(has))?;
    let mut finding = ObjectFinding::new(kind.name, kind.title, object, Facts::default());
    let format = match (kind.parse)(object, file) {
        Ok(format) => format,
        Err(error) => {
            let failure = Failure::from_error(Exit::Rejected, "malformed", &error);
            finding.facts = Facts::size(file.len() as u64);
            finding.reject("malformed", failure.message);
            return Some(finding);
        }
    };
    let mut places = Facts::default();
    for (name, pointer) in PLACES {
        let place = document.pointer(pointer).and_then(Json::as_str);
        places.0.extend(place.map(|place| Fact::new(name, place)));
    }
    let mut keys = Vec::new();
    for (field, purpose) in [
        ("batch-signing-public-keys", "batch-signing"),
        ("packet-encryption-keys", "packet-encryption"),
    ] {
        for (id, key) in document[field].as_object().into_iter().flatten() {
            let (facts, error) = key_facts(inspector, purpose, id, key);
            keys.push(facts);
            if let Some(error) = error {
                finding.reject("malformed", format!("key {id}: {error}"));
            }
        }
    }
    finding.facts.add(Fact::new("format", format));
    finding.facts.add(Fact::group("places", places));
    finding.facts.add(Fact::groups("keys", keys));
    Some(finding)
}

/// Returns the facts about a published key, and the error if it is malformed.
fn key_facts(
    inspector: &Inspector,
    purpose: &str,
    id: &str,
    key: &Json,
) -> (Facts, Option<KeyError>) {
    let parsed = match (&key["public-key"], &key["certificate-signing-request"]) {
        (Json::String(pem), _) => VerifyingKey::parse(pem).map(|key| key.fingerprint()),
        (_, request) => {
            let request = request.as_str().unwrap_or_default();
            PacketPublicKey::parse(request).map(|key| key.fingerprint())
        }
    };
    let error = parsed.as_ref().err().copied();
    let fingerprint = parsed.ok();
    let print = fingerprint.as_deref();
    let configured = print.and_then(|print| inspector.key_description(print));
    let mut facts = Facts::default();
    facts.row(
        "",
        [
            Fact::new("purpose", purpose).unnamed(),
            Fact::new("id", id).unnamed(),
        ],
    );
    facts.add(Fact::new("fingerprint", fingerprint));
    if let Some(expiration) = key["expiration"].as_str() {
        facts.add(Fact::new("expiration", expiration));
    }
    if let Some(description) = configured {
        facts.add(Fact::new("configured", description).tone(Tone::Good));
    }
    (facts, error)
}
