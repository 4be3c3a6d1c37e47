//! Compares two objects or batches: bytes, fields, packets.

mod fields;
mod packets;
mod show;
mod side;
mod values;

pub use fields::{FieldDifference, FieldDifferences};
pub use packets::PacketDifferences;

use super::batch::Batch;
use super::report::BatchForm;
use super::{Inspector, Target};
use crate::error::Error;
use crate::inspect::consistency::with_article;
use futures::TryStreamExt as _;
use serde::Serialize;
use side::Side;
use tallybox_model::digest::Digest;
use tallybox_service::exit::Exit;
use tallybox_transport::SharedBucket;
use values::{
    fixed_facts, fixed_part, fixed_value, header_file, header_value, packets_file, signature_file,
    signature_value, sum_part_value,
};

/// The differences between two objects or batches.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Difference {
    /// The first, from the command line.
    pub a: String,
    /// The second, from the command line.
    pub b: String,
    /// The kind of both, for people.
    pub what: &'static str,
    /// `done` if the two are the same, otherwise `conflict`.
    pub outcome: Exit,
    /// The compared files; each entry is a file that exists on at least one side.
    pub parts: Vec<PartDifference>,
    /// Remarks about both sides.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// The differences between a file of the first and a file of the second.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct PartDifference {
    /// `header`, `packets`, `signature`, or `object`.
    pub part: &'static str,
    /// True if both have the same bytes.
    pub same_bytes: bool,
    /// The length and digest of the first's file, if it exists.
    pub a: Option<FileFacts>,
    /// The length and digest of the second's file, if it exists.
    pub b: Option<FileFacts>,
    /// The index of the first different byte, if the files are compared as bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_different_byte: Option<u64>,
    /// Fields with different values, if the files are compared as records.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fields: Option<FieldDifferences>,
    /// Different packets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packets: Option<PacketDifferences>,
}

/// The length and digest of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct FileFacts {
    /// The length in bytes.
    pub bytes: u64,
    /// The SHA-256 of the file.
    pub sha256: Digest,
}

impl PartDifference {
    fn compare(part: &'static str, a: Option<FileFacts>, b: Option<FileFacts>) -> Self {
        Self {
            part,
            same_bytes: a == b,
            a,
            b,
            ..Self::default()
        }
    }
}

impl Inspector {
    /// Compares two objects, batches, sum parts or records that fix sum parts.
    ///
    /// # Errors
    /// [`Error::Bucket`] if one of them does not exist, and [`Error::Setting`] if they are of
    /// different kinds.
    pub async fn diff(&self, a: &Target, b: &Target) -> Result<Difference, Error> {
        let sides = (self.side(a).await?, self.side(b).await?);
        let mut notes = Vec::new();
        let (what, parts) = match &sides {
            (Side::Batch(left), Side::Batch(right)) if left.facts.family == right.facts.family => {
                for (name, batch) in [("A", left), ("B", right)] {
                    let malformed = batch
                        .problems
                        .iter()
                        .filter(|problem| problem.reason == "malformed");
                    notes.extend(
                        malformed.map(|problem| format!("{name}: malformed: {}", problem.message)),
                    );
                }
                (sides.0.label(), self.batches((a, left), (b, right)).await?)
            }
            (Side::Fixed(left, left_file), Side::Fixed(right, right_file)) => {
                let part = PartDifference::compare("object", Some(*left_file), Some(*right_file));
                let fields = fields::differences(&fixed_value(left), &fixed_value(right));
                (
                    "fixed sum part",
                    vec![PartDifference {
                        fields: Some(fields),
                        ..part
                    }],
                )
            }
            (Side::Fixed(fixed, _), Side::Batch(batch)) if sum_part_value(batch).is_some() => (
                TO_FIXED,
                vec![fixed_part(
                    &fixed_facts(fixed),
                    &sum_part_value(batch).unwrap_or_default(),
                )],
            ),
            (Side::Batch(batch), Side::Fixed(fixed, _)) if sum_part_value(batch).is_some() => (
                TO_FIXED,
                vec![fixed_part(
                    &sum_part_value(batch).unwrap_or_default(),
                    &fixed_facts(fixed),
                )],
            ),
            (Side::Object(left, left_file), Side::Object(right, right_file)) => {
                let mut part =
                    PartDifference::compare("object", Some(*left_file), Some(*right_file));
                if !part.same_bytes {
                    let sides = (
                        (&a.bucket, left.key.as_str()),
                        (&b.bucket, right.key.as_str()),
                    );
                    part.first_different_byte = first_difference(sides.0, sides.1).await?;
                }
                ("object", vec![part])
            }
            (left, right) => {
                let (left, right) = (left.label(), right.label());
                let problem = format!(
                    "{} is {}, but {} is {}",
                    a.shown,
                    with_article(left),
                    b.shown,
                    with_article(right)
                );
                return Err(Error::Setting(problem));
            }
        };
        let same = parts.iter().all(|part| part.same_bytes);
        let outcome = if same { Exit::Done } else { Exit::Conflict };
        Ok(Difference {
            a: a.shown.clone(),
            b: b.shown.clone(),
            what,
            outcome,
            parts,
            notes,
        })
    }

    /// Compares the files of two batches. If one side is a single file, compares only that file.
    async fn batches(
        &self,
        (a, left): (&Target, &Batch),
        (b, right): (&Target, &Batch),
    ) -> Result<Vec<PartDifference>, Error> {
        let alone = |batch: &Batch| {
            batch.present.all().count() == 1 && batch.facts.form != Some(BatchForm::SingleObject)
        };
        let one_file = alone(left) || alone(right);
        let wanted = |part: &PartDifference| match (part.a, part.b) {
            (None, None) => false,
            (Some(_), Some(_)) => true,
            _ => !one_file,
        };
        let mut header = PartDifference::compare("header", header_file(left), header_file(right));
        if !header.same_bytes {
            header.fields = Some(fields::differences(
                &header_value(left),
                &header_value(right),
            ));
        }
        let mut packets =
            PartDifference::compare("packets", packets_file(left), packets_file(right));
        if !packets.same_bytes && packets.a.is_some() && packets.b.is_some() {
            packets.packets = self.packets((a, left), (b, right)).await?;
        }
        let files = (
            signature_file(&a.bucket, left).await?,
            signature_file(&b.bucket, right).await?,
        );
        let mut signature = PartDifference::compare("signature", files.0, files.1);
        if !signature.same_bytes {
            signature.fields = Some(fields::differences(
                &signature_value(left),
                &signature_value(right),
            ));
        }
        Ok([header, packets, signature]
            .into_iter()
            .filter(wanted)
            .collect())
    }

    async fn packets(
        &self,
        (a, left): (&Target, &Batch),
        (b, right): (&Target, &Batch),
    ) -> Result<Option<PacketDifferences>, Error> {
        let inputs = (
            self.open_packets(&a.bucket, left).await?,
            self.open_packets(&b.bucket, right).await?,
        );
        let ((Some((left_input, _)), Some((right_input, _))), Some(family)) =
            (inputs, left.facts.family)
        else {
            return Ok(None);
        };
        let limits = self.limits.clone();
        let joining = tokio::task::spawn_blocking(move || {
            packets::join(family, (left_input, right_input), &limits)
        });
        joining
            .await
            .map_err(|error| Error::Internal(format!("comparing packets: {error}")))
            .map(Some)
    }
}

const TO_FIXED: &str = "sum part and fixed sum part";

/// Returns the index of the first different byte of two objects. Streams both.
async fn first_difference(
    a: (&SharedBucket, &str),
    b: (&SharedBucket, &str),
) -> Result<Option<u64>, Error> {
    let (mut left, mut right) = (a.0.get(a.1).await?.body, b.0.get(b.1).await?.body);
    let (mut left_part, mut right_part) = (bytes::Bytes::new(), bytes::Bytes::new());
    let mut position = 0;
    loop {
        if left_part.is_empty() {
            left_part = left.try_next().await?.unwrap_or_default();
        }
        if right_part.is_empty() {
            right_part = right.try_next().await?.unwrap_or_default();
        }
        let length = left_part.len().min(right_part.len());
        if length == 0 {
            return Ok((left_part.len() != right_part.len()).then_some(position));
        }
        let (left_run, right_run) = (left_part.split_to(length), right_part.split_to(length));
        if let Some(at) = left_run
            .iter()
            .zip(&right_run)
            .position(|(left, right)| left != right)
        {
            return Ok(Some(position + at as u64));
        }
        position += length as u64;
    }
}
