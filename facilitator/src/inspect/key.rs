//! Inspects a key file of any kind and in any encoding.

use super::facts::{Fact, Facts};
use super::inspector::Inspector;
use super::report::ObjectFinding;
use crate::key_encoding::{AnyKey, KeyEncoding};
use tallybox_crypto::{KeyError, PacketKeyDocument};
use tallybox_service::chart::Tone;

/// Inspects a JSON file that may be a packet key document.
pub(super) fn inspect_document(
    inspector: &Inspector,
    object: &str,
    text: &str,
) -> Result<ObjectFinding, KeyError> {
    let finding = inspect(inspector, object, text)?;
    if finding.problems.is_empty() || text.contains("\"purpose\"") {
        Ok(finding)
    } else {
        Err(KeyError::Encoding)
    }
}

/// Inspects a file that may contain a key.
pub(super) fn inspect(
    inspector: &Inspector,
    object: &str,
    text: &str,
) -> Result<ObjectFinding, KeyError> {
    let (key, encoding) = match AnyKey::parse(text) {
        Err(
            error @ (KeyError::Placeholder
            | KeyError::Invalid
            | KeyError::Mismatch
            | KeyError::Document { .. }
            | KeyError::RequestSignature),
        ) => {
            let mut finding =
                ObjectFinding::new("key", "key", object, Facts::size(text.len() as u64));
            finding.reject("malformed", error.to_string());
            return Ok(finding);
        }
        other => other?,
    };
    let (kind, title) = match &key {
        AnyKey::Private(_) => ("private-key", "private key on P-256"),
        AnyKey::Packet(_) => ("packet-key", "packet key document"),
        AnyKey::Public(_) => ("public-key", "public key on P-256"),
        AnyKey::Sealing(_) => ("sealing-key", "sealing key, or any other 32 bytes"),
    };
    let facts = key_facts(inspector, &key, encoding)?;
    Ok(ObjectFinding::new(kind, title, object, facts))
}

fn key_facts(
    inspector: &Inspector,
    key: &AnyKey,
    encoding: Option<KeyEncoding>,
) -> Result<Facts, KeyError> {
    let mut facts = Facts::default();
    facts.add(match encoding {
        Some(encoding) => Fact::new("encoding", encoding.to_string()),
        None => Fact::new("encoding", None::<String>).shown("SEC1 PEM (read, never written)"),
    });
    let is_secret = !matches!(key, AnyKey::Public(_));
    facts.add(Fact::flag("secret", is_secret, ["not shown", ""]));
    let fingerprint = Fact::new("fingerprint", key.fingerprint());
    match key.encode(KeyEncoding::SpkiPem, "")? {
        Some(pem) => {
            facts.add(fingerprint);
            facts.add(Fact::new("public-key", pem.as_str()).hidden());
        }
        None => facts.add(fingerprint.row("id")),
    }
    if let AnyKey::Packet(document) = key {
        facts.add(Fact::group("packet-key", document_facts(document)));
    }
    if let Some(name) = inspector.key_description(&key.fingerprint()) {
        facts.add(Fact::new("configured", name).tone(Tone::Good));
    }
    Ok(facts)
}

/// Returns the content of a packet key document, without the key.
fn document_facts(document: &PacketKeyDocument) -> Facts {
    let mut facts = Facts::default();
    facts.add(Fact::new("id", document.id.as_str()));
    facts.add(Fact::new("instance", document.instance.as_str()));
    facts.add(Fact::new("bins", document.bins));
    facts.add(Fact::new("created", document.created.as_str()));
    facts
}
