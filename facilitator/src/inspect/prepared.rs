//! A prepared batch: what its footer counts and has fixed. Shares, messages and their sum are not shown.

use super::Inspector;
use super::report::{Facts, Finding, Problem};
use crate::error::Error;
use crate::prepared::{ChunkKind, FixedValidation, Footer, Owner, PreparedError, PreparedReader};
use crate::reason::Rejections;
use serde::Serialize;
use tallybox_model::digest::Digest;
use tallybox_model::path::BatchName;
use tallybox_transport::SharedBucket;

/// Magic and digest, in the clear at the start of the file.
const HEAD_BYTES: u64 = 40;

/// What a prepared batch says.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct PreparedFacts {
    /// Length in bytes.
    pub bytes: u64,
    /// The identifier of the key that seals it, from its name.
    pub sealing_key: Option<String>,
    /// SHA-256 of the ingestion header file it was made of.
    pub ingestion_header: Option<Digest>,
    /// What stands under the seal, if it could be opened.
    pub opened: Option<OpenedFacts>,
}

/// What stands under the seal.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct OpenedFacts {
    /// The batch it was made of.
    pub batch: BatchName,
    /// Number of bins.
    pub bins: i32,
    /// Packets read.
    pub packets: u64,
    /// Packets with a message to the peer.
    pub messages: u64,
    /// Packets without one, by reason.
    pub rejections: Rejections,
    /// Bytes of the ingestion batch's packet file.
    pub ingestion_bytes: u64,
    /// The validation batch that is published, or will be.
    pub validation: FixedValidation,
    /// Sealed chunks, the footer aside.
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
    /// Looks at a prepared batch; `named` is what its name says, if it is a canonical one.
    pub(super) async fn prepared(
        &self,
        bucket: &SharedBucket,
        key: &str,
        bytes: u64,
        named: Option<(BatchName, String)>,
    ) -> Result<Finding, Error> {
        let head = bucket.get_range(key, 0..HEAD_BYTES).await?;
        let ingestion_header = head.get(8..40).and_then(|digest| digest.try_into().ok()).map(Digest);
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
            (None, _) => notes.push("sealed: give --config to open it".to_owned()),
            (_, None) => notes.push("sealed: opens only under its own name, AGG/DATE/UUID.KEY.prepared".to_owned()),
            (Some(processor), Some((batch, sealing_key))) => {
                let keys: Vec<_> = processor
                    .sealing_keys
                    .iter()
                    .filter(|key| key.id() == sealing_key)
                    .cloned()
                    .collect();
                if keys.is_empty() {
                    let message = format!("sealed with key {sealing_key}, which the configuration does not have");
                    problems.push(Problem::retry("no-key", key, message));
                }
                let owner = Owner {
                    instance: &processor.instance,
                    role: processor.role,
                };
                match open(bucket, owner, &keys, &batch).await {
                    Ok(opened) => facts.opened = opened,
                    Err(PreparedError::Bucket(error)) => return Err(error.into()),
                    Err(error) => problems.push(Problem::rejected("prepared-batch", key, describe(&error))),
                }
            }
        }
        let finding = Finding::new(
            "prepared-batch",
            "prepared batch",
            key,
            Facts::Prepared(Box::new(facts)),
        );
        Ok(Finding {
            notes,
            problems,
            ..finding
        })
    }
}

fn describe(error: &PreparedError) -> String {
    match error {
        PreparedError::Sealed { source, .. } => {
            format!("does not open ({source}); or it is another instance's, role's or batch's")
        }
        PreparedError::Malformed { problem, .. } => format!("malformed: {problem}"),
        PreparedError::Bucket(error) => error.to_string(),
    }
}

/// Opens every chunk, so that damage anywhere is found.
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
    let shares = footer.chunks.iter().filter(|chunk| chunk.kind == ChunkKind::Shares);
    let first_of_each: Vec<u64> = shares.map(|chunk| chunk.first).collect();
    prepared.shares(&first_of_each, |_| {}).await?;
    if messages != footer.messages {
        let object = prepared.object().to_owned();
        return Err(PreparedError::Malformed {
            object,
            problem: "the footer counts other messages",
        });
    }
    Ok(Some(footer.into()))
}
