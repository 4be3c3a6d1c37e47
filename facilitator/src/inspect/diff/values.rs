//! Converts a batch or a fixed sum part into comparable values: its files, and its fields as JSON.

use super::{FileFacts, PartDifference, fields};
use crate::error::Error;
use crate::inspect::batch::Batch;
use crate::prepared::FixedFile;
use crate::sum::FixedSumPart;
use serde_json::{Value, json};
use tallybox_model::digest::Digest;
use tallybox_transport::{SharedBucket, digest};

pub(super) fn header_file(batch: &Batch) -> Option<FileFacts> {
    let file = batch.contents.header.as_ref()?;
    Some(FileFacts {
        bytes: file.len() as u64,
        sha256: Digest::sha256(file),
    })
}

pub(super) fn packets_file(batch: &Batch) -> Option<FileFacts> {
    let packets = batch.facts.packets.as_ref()?;
    Some(FileFacts {
        bytes: packets.bytes,
        sha256: packets.sha256?,
    })
}

pub(super) async fn signature_file(
    bucket: &SharedBucket,
    batch: &Batch,
) -> Result<Option<FileFacts>, Error> {
    let Some(found) = &batch.present.signature else {
        return Ok(None);
    };
    let (sha256, bytes) = digest(&**bucket, &found.key).await?;
    Ok(Some(FileFacts {
        bytes,
        sha256: Digest(sha256),
    }))
}

/// Returns the header's fields. Length and digest of the file are compared separately.
pub(super) fn header_value(batch: &Batch) -> Value {
    let mut value = serde_json::to_value(&batch.facts.header).unwrap_or_default();
    if let Some(fields) = value.as_object_mut() {
        fields.remove("bytes");
        fields.remove("sha256");
        // JSON cannot express NaN or infinity, and has two representations of some equal numbers.
        let epsilon = batch.facts.header.as_ref().map(|header| header.epsilon);
        fields.insert(
            "epsilon".to_owned(),
            json!(epsilon.map(|epsilon| format!("{epsilon:?}"))),
        );
    }
    value
}

pub(super) fn signature_value(batch: &Batch) -> Value {
    let signature = batch.contents.signature.as_ref();
    json!({
        "key-identifier": signature.map(|signature| &signature.key_identifier),
        "signature-sha256": signature.map(|signature| Digest::sha256(&signature.batch_header_signature)),
        "form": batch.facts.form,
    })
}

pub(super) fn fixed_value(fixed: &FixedSumPart) -> Value {
    serde_json::to_value(fixed).unwrap_or_default()
}

/// Returns the values that a fixed sum part has in common with a sum part.
pub(super) fn fixed_facts(fixed: &FixedSumPart) -> Value {
    let id = |name: &String| name.rsplit('/').next().unwrap_or(name).to_owned();
    let file = |object: &FixedFile| json!({ "bytes": object.bytes, "sha256": object.sha256 });
    json!({
        "batches": fixed.batches.iter().map(id).collect::<Vec<_>>(),
        "header": file(&fixed.header),
        "invalid-packets": file(&fixed.invalid_packets),
    })
}

pub(super) fn sum_part_value(batch: &Batch) -> Option<Value> {
    let sum = batch.facts.header.as_ref()?.sum_part.as_ref()?;
    let absent = FileFacts {
        bytes: 0,
        sha256: Digest::empty(),
    };
    Some(json!({
        "batches": sum.batches,
        "header": header_file(batch),
        "invalid-packets": packets_file(batch).unwrap_or(absent),
    }))
}

pub(super) fn fixed_part(a: &Value, b: &Value) -> PartDifference {
    let fields = fields::differences(a, b);
    PartDifference {
        part: "object",
        same_bytes: fields.total == 0,
        fields: Some(fields),
        ..PartDifference::default()
    }
}
