//! What two objects or batches differ in: bytes, fields, packets.

mod fields;
mod packets;
mod show;

pub use fields::{FieldDifference, FieldDifferences};
pub use packets::PacketDifferences;

use super::batch::{Batch, Found, Present, article};
use super::report::Form;
use super::{Facts, Inspector, OwnObject, StemObject, Target, not_found, stem_objects};
use crate::aggregate::FixedSumPart;
use crate::error::Error;
use crate::prepared::FixedObject;
use futures::TryStreamExt as _;
use serde::Serialize;
use serde_json::{Value, json};
use tallybox_model::digest::Digest;
use tallybox_service::exit::Exit;
use tallybox_transport::{BucketError, SharedBucket, digest};

/// What two things differ in.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Difference {
    /// The first, as it was given.
    pub a: String,
    /// The second.
    pub b: String,
    /// What both are, in words.
    pub what: &'static str,
    /// `done` if nothing differs, else `conflict`.
    pub outcome: Exit,
    /// One entry a file that both have, or that one has.
    pub parts: Vec<PartDifference>,
    /// What is worth knowing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// What a file of the first and one of the second differ in.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct PartDifference {
    /// `header`, `packets`, `signature`, or `object`.
    pub part: &'static str,
    /// Whether both have the same bytes.
    pub same_bytes: bool,
    /// Length and digest of the first's file, if it has one.
    pub a: Option<FileFacts>,
    /// Length and digest of the second's.
    pub b: Option<FileFacts>,
    /// The first byte, counted from 0, in which they differ, where they are compared as bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_different_byte: Option<u64>,
    /// Fields with other values, where they are compared as records.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fields: Option<FieldDifferences>,
    /// Packets that differ.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packets: Option<PacketDifferences>,
}

/// Length and digest of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct FileFacts {
    /// Length in bytes.
    pub bytes: u64,
    /// SHA-256.
    pub sha256: Digest,
}

impl PartDifference {
    fn of(part: &'static str, a: Option<FileFacts>, b: Option<FileFacts>) -> Self {
        Self { part, same_bytes: a == b, a, b, ..Self::default() }
    }
}

/// One of the two things.
enum Side {
    Batch(Box<Batch>),
    Fixed(Box<FixedSumPart>, FileFacts),
    Object(Found, FileFacts),
}

impl Side {
    fn words(&self) -> &'static str {
        match self {
            Self::Batch(batch) => batch.facts.family.map_or("signature", super::Family::words),
            Self::Fixed(..) => "fixed sum part",
            Self::Object(..) => "object",
        }
    }
}

impl Inspector {
    /// Compares two objects, batches, sum parts or fixed records.
    ///
    /// # Errors
    /// If one is not there, or they are of different kinds.
    pub async fn diff(&self, a: &Target, b: &Target) -> Result<Difference, Error> {
        let sides = (self.side(a).await?, self.side(b).await?);
        let mut notes = Vec::new();
        let (what, parts) = match &sides {
            (Side::Batch(left), Side::Batch(right)) if left.facts.family == right.facts.family => {
                for (name, batch) in [("A", left), ("B", right)] {
                    let malformed = batch.problems.iter().filter(|problem| problem.reason == "malformed");
                    notes.extend(malformed.map(|problem| format!("{name}: malformed: {}", problem.message)));
                }
                (sides.0.words(), self.batches((a, left), (b, right)).await?)
            }
            (Side::Fixed(left, left_file), Side::Fixed(right, right_file)) => {
                let part = PartDifference::of("object", Some(*left_file), Some(*right_file));
                let fields = fields::differences(&fixed_value(left), &fixed_value(right));
                ("fixed sum part", vec![PartDifference { fields: Some(fields), ..part }])
            }
            (Side::Fixed(fixed, _), Side::Batch(batch)) if sum_part_value(batch).is_some() => {
                (TO_FIXED, vec![fixed_part(&fixed_facts(fixed), &sum_part_value(batch).unwrap_or_default())])
            }
            (Side::Batch(batch), Side::Fixed(fixed, _)) if sum_part_value(batch).is_some() => {
                (TO_FIXED, vec![fixed_part(&sum_part_value(batch).unwrap_or_default(), &fixed_facts(fixed))])
            }
            (Side::Object(left, left_file), Side::Object(right, right_file)) => {
                let mut part = PartDifference::of("object", Some(*left_file), Some(*right_file));
                if !part.same_bytes {
                    let sides = ((&a.bucket, left.key.as_str()), (&b.bucket, right.key.as_str()));
                    part.first_different_byte = first_difference(sides.0, sides.1).await?;
                }
                ("object", vec![part])
            }
            (left, right) => {
                let (left, right) = (left.words(), right.words());
                let problem = format!("{} is {}, but {} is {}", a.shown, article(left), b.shown, article(right));
                return Err(Error::Setting(problem));
            }
        };
        let same = parts.iter().all(|part| part.same_bytes);
        let outcome = if same { Exit::Done } else { Exit::Conflict };
        Ok(Difference { a: a.shown.clone(), b: b.shown.clone(), what, outcome, parts, notes })
    }

    /// What a target is: a batch by any of its objects or their common beginning, a fixed record, or an object.
    async fn side(&self, target: &Target) -> Result<Side, Error> {
        let Target { bucket, key, .. } = target;
        if let Some(name) = super::ObjectName::parse(key) {
            let present = Present::ask(bucket, name).await?;
            if present.all().next().is_some() {
                return Ok(Side::Batch(Box::new(self.batch(bucket, present).await?)));
            }
        }
        let bytes = match bucket.size(key).await {
            Ok(bytes) => bytes,
            Err(BucketError::NotFound { .. } | BucketError::InvalidKey { .. }) => return self.stem_side(target).await,
            Err(error) => return Err(error.into()),
        };
        let found = Found { key: key.clone(), bytes };
        let head = bucket.get_range(key, 0..super::BEGINNING.min(bytes)).await?;
        if let Ok(Some(record)) = super::header::record_in(&head, &self.limits) {
            let part = super::Family::of_record(record).map_or(super::Part::Signature, |(_, part)| part);
            return Ok(Side::Batch(Box::new(self.batch(bucket, Present::alone(found, part)).await?)));
        }
        let (sha256, bytes) = digest(&**bucket, key).await?;
        let file = FileFacts { bytes, sha256: Digest(sha256) };
        if matches!(OwnObject::parse(key), Some((OwnObject::Fixed(_), _)))
            && let Facts::Fixed(fixed) = self.object(bucket, key, bytes).await?.facts
        {
            return Ok(Side::Fixed(fixed, file));
        }
        Ok(Side::Object(found, file))
    }

    async fn stem_side(&self, target: &Target) -> Result<Side, Error> {
        let Target { bucket, key, .. } = target;
        let mut found = stem_objects(bucket, key).await?;
        let batches = found.extract_if(.., |object| matches!(object, StemObject::Batch(_)));
        let batches: Vec<StemObject> = batches.collect();
        match <[StemObject; 1]>::try_from(batches) {
            Ok([StemObject::Batch(name)]) => {
                let present = Present::ask(bucket, name).await?;
                Ok(Side::Batch(Box::new(self.batch(bucket, present).await?)))
            }
            Err(several) if several.len() > 1 => {
                let problem = format!("{} is the beginning of several batches: name one of them", target.shown);
                Err(Error::Setting(problem))
            }
            _ => Err(not_found(bucket, key)),
        }
    }

    /// Compares the files of two batches; of a batch and a single file of one, that file only.
    async fn batches(
        &self,
        (a, left): (&Target, &Batch),
        (b, right): (&Target, &Batch),
    ) -> Result<Vec<PartDifference>, Error> {
        let alone = |batch: &Batch| batch.present.all().count() == 1 && batch.facts.form != Some(Form::SingleObject);
        let one_file = alone(left) || alone(right);
        let wanted = |part: &PartDifference| match (part.a, part.b) {
            (None, None) => false,
            (Some(_), Some(_)) => true,
            _ => !one_file,
        };
        let mut header = PartDifference::of("header", header_file(left), header_file(right));
        if !header.same_bytes {
            header.fields = Some(fields::differences(&header_value(left), &header_value(right)));
        }
        let mut packets = PartDifference::of("packets", packets_file(left), packets_file(right));
        if !packets.same_bytes && packets.a.is_some() && packets.b.is_some() {
            packets.packets = self.packets((a, left), (b, right)).await?;
        }
        let files = (signature_file(&a.bucket, left).await?, signature_file(&b.bucket, right).await?);
        let mut signature = PartDifference::of("signature", files.0, files.1);
        if !signature.same_bytes {
            signature.fields = Some(fields::differences(&signature_value(left), &signature_value(right)));
        }
        Ok([header, packets, signature].into_iter().filter(wanted).collect())
    }

    async fn packets(
        &self,
        (a, left): (&Target, &Batch),
        (b, right): (&Target, &Batch),
    ) -> Result<Option<PacketDifferences>, Error> {
        let inputs = (self.open_packets(&a.bucket, left).await?, self.open_packets(&b.bucket, right).await?);
        let ((Some((left_input, _)), Some((right_input, _))), Some(family)) = (inputs, left.facts.family) else {
            return Ok(None);
        };
        let limits = self.limits.clone();
        let joining =
            tokio::task::spawn_blocking(move || packets::join(family, (left_input, right_input), &limits));
        joining.await.map_err(|error| Error::Internal(format!("comparing packets: {error}"))).map(Some)
    }
}

const TO_FIXED: &str = "sum part and what was fixed of one";

fn header_file(batch: &Batch) -> Option<FileFacts> {
    let file = batch.contents.header.as_ref()?;
    Some(FileFacts { bytes: file.len() as u64, sha256: Digest::of(file) })
}

fn packets_file(batch: &Batch) -> Option<FileFacts> {
    let packets = batch.facts.packets.as_ref()?;
    Some(FileFacts { bytes: packets.bytes, sha256: packets.sha256? })
}

async fn signature_file(bucket: &SharedBucket, batch: &Batch) -> Result<Option<FileFacts>, Error> {
    let Some(found) = &batch.present.signature else { return Ok(None) };
    let (sha256, bytes) = digest(&**bucket, &found.key).await?;
    Ok(Some(FileFacts { bytes, sha256: Digest(sha256) }))
}

/// The header's fields; length and digest of its file are compared apart.
fn header_value(batch: &Batch) -> Value {
    let mut value = serde_json::to_value(&batch.facts.header).unwrap_or_default();
    if let Some(fields) = value.as_object_mut() {
        fields.remove("bytes");
        fields.remove("sha256");
        // JSON has no word for the epsilons that are no numbers, and two texts for some that are equal.
        let epsilon = batch.facts.header.as_ref().map(|header| header.epsilon);
        fields.insert("epsilon".to_owned(), json!(epsilon.map(|epsilon| format!("{epsilon:?}"))));
    }
    value
}

fn signature_value(batch: &Batch) -> Value {
    let signature = batch.contents.signature.as_ref();
    json!({
        "key-identifier": signature.map(|signature| &signature.key_identifier),
        "signature-sha256": signature.map(|signature| Digest::of(&signature.batch_header_signature)),
        "form": batch.facts.form,
    })
}

fn fixed_value(fixed: &FixedSumPart) -> Value {
    serde_json::to_value(fixed).unwrap_or_default()
}

/// What a fixed record and a sum part have in common.
fn fixed_facts(fixed: &FixedSumPart) -> Value {
    let id = |name: &String| name.rsplit('/').next().unwrap_or(name).to_owned();
    let file = |object: &FixedObject| json!({ "bytes": object.bytes, "sha256": object.sha256 });
    json!({
        "batches": fixed.batches.iter().map(id).collect::<Vec<_>>(),
        "header": file(&fixed.header),
        "invalid-packets": file(&fixed.invalid_packets),
    })
}

fn sum_part_value(batch: &Batch) -> Option<Value> {
    let sum = batch.facts.header.as_ref()?.sum_part.as_ref()?;
    let absent = FileFacts { bytes: 0, sha256: Digest::empty() };
    Some(json!({
        "batches": sum.batches,
        "header": header_file(batch),
        "invalid-packets": packets_file(batch).unwrap_or(absent),
    }))
}

fn fixed_part(a: &Value, b: &Value) -> PartDifference {
    let fields = fields::differences(a, b);
    PartDifference { part: "object", same_bytes: fields.total == 0, fields: Some(fields), ..PartDifference::default() }
}

/// The first byte, counted from 0, in which two objects differ. Both are streamed.
async fn first_difference(a: (&SharedBucket, &str), b: (&SharedBucket, &str)) -> Result<Option<u64>, Error> {
    let (mut left, mut right) = (a.0.get(a.1).await?.body, b.0.get(b.1).await?.body);
    let (mut left_part, mut right_part) = (bytes::Bytes::new(), bytes::Bytes::new());
    let mut place = 0;
    loop {
        if left_part.is_empty() {
            left_part = left.try_next().await?.unwrap_or_default();
        }
        if right_part.is_empty() {
            right_part = right.try_next().await?.unwrap_or_default();
        }
        let length = left_part.len().min(right_part.len());
        if length == 0 {
            return Ok((left_part.len() != right_part.len()).then_some(place));
        }
        let (left_run, right_run) = (left_part.split_to(length), right_part.split_to(length));
        if let Some(at) = left_run.iter().zip(&right_run).position(|(left, right)| left != right) {
            return Ok(Some(place + at as u64));
        }
        place += length as u64;
    }
}
