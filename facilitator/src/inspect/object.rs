//! Objects whose name is not a batch's name, identified by their content.

use super::header::record_in;
use super::name::{Family, Part};
use super::own_object::OwnObject;
use super::present::{Found, Present};
use super::report::{Facts, ObjectFinding, ObjectProblem};
use super::{Inspector, key_file, manifest};
use crate::error::Error;
use crate::sum::FixedSumPart;
use bytes::Bytes;
use tallybox_model::avro::RecordKind;
use tallybox_model::path::FailedProofs;
use tallybox_transport::{SharedBucket, read_all};
use zeroize::Zeroizing;

/// How many bytes of a file are read to identify it.
pub(super) const BEGINNING_BYTES: u64 = 128 << 10;
/// How many bytes of a short text are shown.
const SHOWN_TEXT_BYTES: usize = 4096;
/// The longest text (JSON or key) that is read.
const MAX_TEXT_BYTES: u64 = 64 << 20;

impl Inspector {
    /// Inspects an object that is not a record, or the payload of a record, by its content.
    pub(super) async fn plain(
        &self,
        bucket: &SharedBucket,
        key: &str,
        bytes: u64,
    ) -> Result<ObjectFinding, Error> {
        let own = OwnObject::parse(key).map(|(own, _)| own);
        let beginning = bucket.get_range(key, 0..BEGINNING_BYTES.min(bytes)).await?;
        if let Some(OwnObject::Window(name, object)) = &own {
            return self
                .window(bucket, key, (name, *object), &beginning, bytes)
                .await;
        }
        if beginning.starts_with(b"Obj\x01") {
            return self.container(bucket, key, bytes, &beginning).await;
        }
        if beginning.starts_with(b"TALLYPB1") {
            let named = match own {
                Some(OwnObject::Prepared { batch, sealing_key }) => Some((batch, sealing_key)),
                _ => None,
            };
            return self.prepared(bucket, key, bytes, named).await;
        }
        let text = |text: Option<&str>| Facts::Text {
            bytes,
            text: text.map(str::to_owned),
        };
        if let Some((kind, title)) = own.as_ref().and_then(kind_and_title) {
            let beginning_text =
                String::from_utf8_lossy(&beginning[..beginning.len().min(SHOWN_TEXT_BYTES)])
                    .into_owned();
            let mut finding = ObjectFinding::new(kind, title, key, text(Some(&beginning_text)));
            if let Some(OwnObject::FailedProofs(count)) = &own {
                finding.notes.push(self.failed_proofs(count));
            }
            return Ok(finding);
        }
        match own {
            Some(OwnObject::Point) => {
                let mut finding = ObjectFinding::new(
                    "pinned-point",
                    "evaluation point of a packet key",
                    key,
                    text(None),
                );
                finding
                    .notes
                    .push("the point is not shown, since clients must not learn it".to_owned());
                Ok(finding)
            }
            Some(OwnObject::Prepared { .. }) => Ok(unrecognised(
                key,
                bytes,
                "the name is that of a prepared batch, but the content is not".to_owned(),
            )),
            _ if bytes == 0 => Ok(ObjectFinding::new("empty", "empty file", key, text(None))),
            _ if bytes > MAX_TEXT_BYTES => Ok(unrecognised(
                key,
                bytes,
                "too large to be a text".to_owned(),
            )),
            _ => {
                let file = Zeroizing::new(read_all(&**bucket, key, MAX_TEXT_BYTES).await?.to_vec());
                Ok(self.text(key, &file))
            }
        }
    }

    /// Describes a count of failed proofs, which is part of the object's name.
    fn failed_proofs(&self, count: &FailedProofs) -> String {
        let name = self.keys.as_ref().and_then(|keys| keys.name(&count.key));
        let key = name.unwrap_or_else(|| format!("the packet key with fingerprint {}", count.key));
        let FailedProofs { batch, failed, .. } = count;
        format!("{failed} proofs of batch {batch} failed under {key}")
    }

    /// Inspects an Avro container file by the record that its schema names.
    async fn container(
        &self,
        bucket: &SharedBucket,
        key: &str,
        bytes: u64,
        beginning: &Bytes,
    ) -> Result<ObjectFinding, Error> {
        let part = match record_in(beginning, &self.limits) {
            Ok(Some(RecordKind::BatchSignature)) => Part::Signature,
            Ok(Some(record)) => Family::from_record(record).map_or(Part::Packets, |(_, part)| part),
            Ok(None) => {
                return Ok(unrecognised(
                    key,
                    bytes,
                    "an Avro file with an unknown record".to_owned(),
                ));
            }
            Err(error) => {
                let facts = Facts::Text { bytes, text: None };
                let problems = vec![ObjectProblem::rejected(
                    "malformed",
                    key,
                    format!("cannot read its beginning: {error}"),
                )];
                return Ok(ObjectFinding {
                    problems,
                    ..ObjectFinding::new("container", "Avro container file", key, facts)
                });
            }
        };
        let found = Found {
            key: key.to_owned(),
            bytes,
        };
        Ok(self
            .batch(bucket, Present::alone(found, part))
            .await?
            .finding())
    }

    /// Inspects a text: JSON or a key.
    fn text(&self, key: &str, file: &[u8]) -> ObjectFinding {
        let bytes = file.len() as u64;
        let Ok(text) = std::str::from_utf8(file) else {
            return unrecognised(
                key,
                bytes,
                "neither an Avro file nor a prepared batch nor a text".to_owned(),
            );
        };
        if text.trim_start().starts_with('{') {
            return self.json(key, file);
        }
        match key_file::inspect(key, text, self.keys.as_ref()) {
            Ok(finding) => finding,
            Err(_) if key.ends_with(".yaml") || key.ends_with(".yml") => {
                let message =
                    "possibly a configuration: check it with `facilitator --config FILE check-config`".to_owned();
                unrecognised(key, bytes, message)
            }
            Err(error) => unrecognised(
                key,
                bytes,
                format!("a text, but neither JSON nor a key: {error}"),
            ),
        }
    }

    fn json(&self, key: &str, file: &[u8]) -> ObjectFinding {
        let bytes = file.len() as u64;
        // Try the key document before parsing the JSON: no other value may hold a copy of the
        // secret.
        if let Ok(text) = std::str::from_utf8(file)
            && let Ok(finding) = key_file::inspect_document(key, text, self.keys.as_ref())
        {
            return finding;
        }
        let document: serde_json::Value = match serde_json::from_slice(file) {
            Ok(document) => document,
            Err(error) => {
                return unrecognised(
                    key,
                    bytes,
                    format!("begins like JSON, but is not valid JSON: {error}"),
                );
            }
        };
        if let Some(finding) = manifest::inspect(key, &document, file, self.keys.as_ref()) {
            return finding;
        }
        let is_fixed = matches!(OwnObject::parse(key), Some((OwnObject::Fixed(_), _)));
        match serde_json::from_value::<FixedSumPart>(document) {
            Ok(fixed) => {
                let title = "record of a sum part that will be published";
                ObjectFinding::new("fixed-sum-part", title, key, Facts::Fixed(Box::new(fixed)))
            }
            Err(error) if is_fixed => unrecognised(
                key,
                bytes,
                format!("the name is that of a fixed sum part, but the content is not: {error}"),
            ),
            Err(_) => unrecognised(
                key,
                bytes,
                "JSON, but neither a manifest nor a fixed sum part".to_owned(),
            ),
        }
    }
}

/// Returns the kind and title of an object of the own bucket that contains a short text.
fn kind_and_title(own: &OwnObject) -> Option<(&'static str, &'static str)> {
    Some(match own {
        OwnObject::FirstSeen => ("first-seen-date", "date under which a batch was first seen"),
        OwnObject::FailedProofs(_) => (
            "failed-proofs",
            "failed proofs of a batch under a packet key",
        ),
        OwnObject::Summed => (
            "summed-batch",
            "name of the window that sums a batch (without rosters)",
        ),
        OwnObject::BucketCreated => ("bucket-created", "time of an own bucket's first use"),
        OwnObject::Chain => ("roster-chain", "first window with rosters"),
        OwnObject::Batches(_) => ("window-batches", "batches named by the task of a window"),
        OwnObject::Switch => ("roster-switch", "announced or fixed use of rosters"),
        OwnObject::Marker => ("task-marker", "marker of a started task"),
        OwnObject::Leader => ("leader", "leading workflow manager"),
        OwnObject::Prepared { .. }
        | OwnObject::Fixed(_)
        | OwnObject::Point
        | OwnObject::Window(..) => return None,
    })
}

fn unrecognised(key: &str, bytes: u64, message: String) -> ObjectFinding {
    let facts = Facts::Text { bytes, text: None };
    let problems = vec![ObjectProblem::rejected("unrecognised", key, message)];
    ObjectFinding {
        problems,
        ..ObjectFinding::new("unrecognised", "not recognised", key, facts)
    }
}
