//! Inspects a prepared batch: the counts and the fixed validation batch in its footer. Shares,
//! verification messages and sums are not shown.

use super::Inspector;
use super::report::{Facts, ObjectFinding, ObjectProblem};
use crate::error::Error;
use crate::prepared::{ChunkKind, FixedValidation, Footer, Owner, PreparedError, PreparedReader};
use crate::reason::Rejections;
use serde::Serialize;
use tallybox_model::digest::Digest;
use tallybox_model::path::BatchName;
use tallybox_transport::SharedBucket;

/// The length of the magic and the digest, which are not encrypted.
const HEAD_BYTES: u64 = 40;

/// The content of a prepared batch.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct PreparedFacts {
    /// The length in bytes.
    pub bytes: u64,
    /// The identifier of the sealing key, from the object's name.
    pub sealing_key: Option<String>,
    /// The SHA-256 of the ingestion header file that the intake read.
    pub ingestion_header: Option<Digest>,
    /// The sealed content, if it could be decrypted.
    pub opened: Option<OpenedFacts>,
}

/// The sealed content.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct OpenedFacts {
    /// The batch whose intake produced this prepared batch.
    pub batch: BatchName,
    /// The number of bins.
    pub bins: i32,
    /// The number of packets read.
    pub packets: u64,
    /// The number of packets with a verification message.
    pub messages: u64,
    /// Packets without a verification message, by reason.
    pub rejections: Rejections,
    /// The length of the ingestion batch's packet file in bytes.
    pub ingestion_bytes: u64,
    /// The validation batch, fixed before it is published.
    pub validation: FixedValidation,
    /// The number of sealed chunks, without the footer.
    pub chunks: u64,
}

impl From<&Footer> for OpenedFacts {
    fn from(footer: &Footer) -> Self {
        Self {
            batch: footer.batch.clone(),
            bins: footer.parameters.bins,
            packets: footer.packets,
            messages: footer.messages,
            rejections: footer.rejections.clone(),
            ingestion_bytes: footer.ingestion_bytes,
            validation: footer.validation.clone(),
            chunks: footer.chunks.len() as u64,
        }
    }
}

impl Inspector {
    /// Inspects a prepared batch. `named` is the batch and the sealing key in its name, if the name
    /// is canonical.
    pub(super) async fn prepared(
        &self,
        bucket: &SharedBucket,
        key: &str,
        bytes: u64,
        named: Option<(BatchName, String)>,
    ) -> Result<ObjectFinding, Error> {
        let head = bucket.get_range(key, 0..HEAD_BYTES).await?;
        let ingestion_header = head
            .get(8..40)
            .and_then(|digest| digest.try_into().ok())
            .map(Digest);
        let sealing_key = named.as_ref().map(|(_, sealing_key)| sealing_key.clone());
        let mut facts = PreparedFacts {
            bytes,
            sealing_key,
            ingestion_header,
            opened: None,
        };
        let mut notes = Vec::new();
        let mut problems = Vec::new();
        match (&self.processor, named) {
            (None, _) => notes.push("sealed: give --config FILE to decrypt it".to_owned()),
            (_, None) => notes.push(
                "sealed: can be decrypted only under its original name, AGG/DATE/UUID.KEY.prepared"
                    .to_owned(),
            ),
            (Some(processor), Some((batch, sealing_key))) => {
                let keys: Vec<_> = processor
                    .keys
                    .sealing
                    .iter()
                    .filter(|key| key.id() == sealing_key)
                    .cloned()
                    .collect();
                if keys.is_empty() {
                    let message = format!(
                        "sealed with key {sealing_key}, which is not configured; add it to prepared-sealing-key"
                    );
                    problems.push(ObjectProblem::retry("no-key", key, message));
                }
                let owner = Owner {
                    instance: &processor.buckets.instance,
                    role: processor.buckets.role,
                };
                match open(bucket, owner, &keys, &batch).await {
                    Ok(opened) => facts.opened = opened,
                    Err(PreparedError::Bucket(error)) => return Err(error.into()),
                    Err(error) => problems.push(ObjectProblem::rejected(
                        "prepared-batch",
                        key,
                        describe(&error),
                    )),
                }
            }
        }
        let finding = ObjectFinding::new(
            "prepared-batch",
            "prepared batch",
            key,
            Facts::Prepared(Box::new(facts)),
        );
        Ok(ObjectFinding {
            notes,
            problems,
            ..finding
        })
    }
}

fn describe(error: &PreparedError) -> String {
    match error {
        PreparedError::Sealed { source, .. } => {
            format!("cannot be decrypted ({source}), or belongs to another instance, role or batch")
        }
        PreparedError::Malformed { problem, .. } => format!("malformed: {problem}"),
        PreparedError::Bucket(error) => error.to_string(),
    }
}

/// Decrypts every chunk, so that any damage is found.
async fn open(
    bucket: &SharedBucket,
    owner: Owner<'_>,
    keys: &[tallybox_crypto::SealingKey],
    batch: &BatchName,
) -> Result<Option<OpenedFacts>, PreparedError> {
    let Some(prepared) = PreparedReader::open(bucket, owner, keys, batch).await? else {
        return Ok(None);
    };
    let mut messages = 0;
    for chunk in prepared.chunks(ChunkKind::Messages) {
        messages += prepared.messages(chunk).await?.len() as u64;
    }
    for chunk in prepared.chunks(ChunkKind::Rejects) {
        prepared.rejects(chunk).await?;
    }
    let footer = prepared.footer();
    let shares = footer
        .chunks
        .iter()
        .filter(|chunk| chunk.kind == ChunkKind::Shares);
    let first_of_each: Vec<u64> = shares.map(|chunk| chunk.first).collect();
    prepared.shares(&first_of_each, |_| {}).await?;
    if messages != footer.messages {
        let object = prepared.object().to_owned();
        return Err(PreparedError::Malformed {
            object,
            problem: "the footer has another number of messages",
        });
    }
    Ok(Some(footer.into()))
}
