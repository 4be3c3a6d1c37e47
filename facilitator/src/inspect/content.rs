//! Identifies an object by its content, or by the kind that its name states.

use super::batch::{Found, Present, record_in};
use super::facts::{Fact, Facts};
use super::family::Family;
use super::inspector::Inspector;
use super::located::{Item, own_object};
use super::own_bucket::{Content, FIXED_TITLE, OwnKind};
use super::report::ObjectFinding;
use super::{key, manifest};
use crate::error::Error;
use crate::prepared::FixedFile;
use crate::sum::FixedSumPart;
use bytes::Bytes;
use serde_json::Value as Json;
use tallybox_model::avro::RecordKind;
use tallybox_model::path::{BatchPart, FailedProofs, OwnObject};
use tallybox_model::roster::RosterObject;
use tallybox_transport::{SharedBucket, read_all};
use zeroize::Zeroizing;

/// How many bytes of a file are read to identify it.
const BEGINNING_BYTES: u64 = 128 << 10;
/// How many bytes of a short text are shown.
const SHOWN_TEXT_BYTES: usize = 4096;
/// The longest text (JSON or key) that is read.
const MAX_TEXT_BYTES: u64 = 64 << 20;

impl Inspector {
    /// Inspects an object that is not a record, or the payload of a record.
    pub(super) async fn content(
        &self,
        bucket: &SharedBucket,
        found: &Found,
    ) -> Result<Item, Error> {
        let Found { key, bytes } = found;
        let beginning = bucket
            .get_range(key, 0..BEGINNING_BYTES.min(*bytes))
            .await?;
        let own = own_object(key);
        let kind = own.as_ref().map(OwnKind::new);
        if let Some(OwnObject::Window(name, RosterObject::Roster(writer))) = &own {
            let file = read_all(&**bucket, key, self.limits.object_bytes).await?;
            return Ok(Item::Object(self.roster(key, name, *writer, &file)));
        }
        if beginning.starts_with(b"Obj\x01") {
            return self.container(bucket, found, &beginning).await;
        }
        if beginning.starts_with(b"TALLYPB1") {
            return Ok(Item::Object(self.prepared(bucket, found, own).await?));
        }
        let finding = match kind {
            Some(kind) if kind.content != Content::FixedSumPart => {
                let mut finding = named(&kind, found, &beginning);
                if let Some(OwnObject::FailedProofs(count)) = &own {
                    finding.note(self.failed_proofs(count));
                }
                finding
            }
            _ if *bytes == 0 => ObjectFinding::new("empty", "empty file", key, Facts::size(0)),
            _ if *bytes > MAX_TEXT_BYTES => unrecognised(found, "too large to be a text"),
            _ => {
                let file = Zeroizing::new(read_all(&**bucket, key, MAX_TEXT_BYTES).await?.to_vec());
                let read = self.text(key, &file, kind.is_some());
                read.unwrap_or_else(|problem| unrecognised(found, problem))
            }
        };
        Ok(Item::Object(finding))
    }

    /// Describes a count of failed proofs, which is part of the object's name.
    fn failed_proofs(&self, count: &FailedProofs) -> String {
        let FailedProofs {
            key, batch, failed, ..
        } = count;
        let description = self.key_description(key);
        let key = description.unwrap_or_else(|| format!("the packet key with fingerprint {key}"));
        format!("{failed} proofs of batch {batch} failed under {key}")
    }

    /// Inspects an Avro container file by the record that its schema names.
    async fn container(
        &self,
        bucket: &SharedBucket,
        found: &Found,
        beginning: &Bytes,
    ) -> Result<Item, Error> {
        let record = match record_in(beginning, &self.limits) {
            Ok(Some(record)) => record,
            Ok(None) => {
                let problem = "an Avro file with an unknown record";
                return Ok(Item::Object(unrecognised(found, problem)));
            }
            Err(error) => {
                let Found { key, bytes } = found;
                let facts = Facts::size(*bytes);
                let mut finding =
                    ObjectFinding::new("container", "Avro container file", key, facts);
                finding.reject("malformed", format!("cannot read its beginning: {error}"));
                return Ok(Item::Object(finding));
            }
        };
        let present = Present::alone(found.clone(), part_of(record));
        Ok(Item::Batch(Box::new(self.batch(bucket, present).await?)))
    }

    /// Inspects a text: JSON or a key. Returns the problem if it is neither.
    fn text(&self, key: &str, file: &[u8], is_fixed: bool) -> Result<ObjectFinding, String> {
        let not_text = |_| "neither an Avro file nor a prepared batch nor a text";
        let text = std::str::from_utf8(file).map_err(not_text)?;
        if text.trim_start().starts_with('{') {
            return self.json(key, text, is_fixed);
        }
        let is_yaml = [".yaml", ".yml"].iter().any(|suffix| key.ends_with(suffix));
        key::inspect(self, key, text).map_err(|error| match is_yaml {
            true => "possibly a configuration: check it with `facilitator --config FILE \
                     check-config`"
                .to_owned(),
            false => format!("a text, but neither JSON nor a key: {error}"),
        })
    }

    fn json(&self, key: &str, text: &str, is_fixed: bool) -> Result<ObjectFinding, String> {
        // Try the key document before parsing the JSON: no other value may hold a copy of the
        // secret.
        if let Ok(finding) = key::inspect_document(self, key, text) {
            return Ok(finding);
        }
        let invalid = |error| format!("begins like JSON, but is not valid JSON: {error}");
        let document: Json = serde_json::from_str(text).map_err(invalid)?;
        if let Some(finding) = manifest::inspect(self, key, &document, text.as_bytes()) {
            return Ok(finding);
        }
        let fixed = serde_json::from_value::<FixedSumPart>(document).map_err(|error| {
            let named = "the name is that of a fixed sum part, but the content is not";
            match is_fixed {
                true => format!("{named}: {error}"),
                false => "JSON, but neither a manifest nor a fixed sum part".to_owned(),
            }
        })?;
        let facts = fixed_facts(&fixed);
        Ok(ObjectFinding::new(
            "fixed-sum-part",
            FIXED_TITLE,
            key,
            facts,
        ))
    }
}

/// Returns the part of a batch that consists of this record.
fn part_of(record: RecordKind) -> BatchPart {
    for part in [BatchPart::Header, BatchPart::Packets] {
        if Family::of_record(record, part).is_some() {
            return part;
        }
    }
    BatchPart::Signature
}

/// Describes an object by the kind that its name states.
fn named(kind: &OwnKind, found: &Found, beginning: &Bytes) -> ObjectFinding {
    let Found { key, bytes } = found;
    let mut finding = ObjectFinding::new(kind.name, kind.title, key, Facts::size(*bytes));
    match kind.content {
        Content::Text => {
            let shown = &beginning[..beginning.len().min(SHOWN_TEXT_BYTES)];
            let text = String::from_utf8_lossy(shown).into_owned();
            finding.facts.add(Fact::new("text", text).row("content"));
        }
        Content::Secret => {
            finding.note("the point is not shown, since clients must not learn it");
        }
        Content::Sealed(magic) if !beginning.starts_with(magic) => {
            let message = "the content does not begin with the magic that its name implies";
            finding.reject("malformed", message);
        }
        Content::Prepared => {
            let message = "the name is that of a prepared batch, but the content is not";
            return unrecognised(found, message);
        }
        Content::Sealed(_) | Content::Roster | Content::FixedSumPart => {}
    }
    finding
}

/// Returns the facts about the record of a sum part.
fn fixed_facts(fixed: &FixedSumPart) -> Facts {
    let mut facts = Facts::default();
    facts.row(
        "content",
        [
            Fact::new("generation", fixed.generation)
                .shown(format!("encoder generation {}", fixed.generation)),
            Fact::new("accepted", fixed.accepted).unit("packets accepted"),
        ],
    );
    facts.add(Fact::new("batches", fixed.batches.clone()));
    facts.add(Fact::group(
        "invalid-packets",
        fixed_file(&fixed.invalid_packets),
    ));
    facts.add(Fact::group("header", fixed_file(&fixed.header)));
    facts
}

/// Returns the facts about a file that is fixed before it is published.
pub(super) fn fixed_file(file: &FixedFile) -> Facts {
    let mut facts = Facts::default();
    facts.head(Fact::new("object", file.object.as_str()).unnamed());
    facts.row("", Fact::file(file.bytes, Some(file.sha256)));
    facts
}

fn unrecognised(found: &Found, problem: impl Into<String>) -> ObjectFinding {
    let facts = Facts::size(found.bytes);
    let mut finding = ObjectFinding::new("unrecognised", "not recognised", &found.key, facts);
    finding.reject("unrecognised", problem);
    finding
}
