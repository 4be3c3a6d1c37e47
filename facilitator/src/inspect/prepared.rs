//! Inspects a prepared batch: the counts and the fixed validation batch in its footer. Shares,
//! verification messages and sums are not shown.

use super::batch::Found;
use super::content::fixed_file;
use super::facts::{Fact, Facts};
use super::inspector::Inspector;
use super::report::{ObjectFinding, ObjectProblem};
use crate::error::Error;
use crate::prepared::{ChunkKind, Footer, Owner, PreparedError, PreparedReader};
use crate::processor::Processor;
use crate::sealed::SealedError;
use std::collections::BTreeMap;
use tallybox_crypto::SealingKey;
use tallybox_model::digest::Digest;
use tallybox_model::path::{BatchName, OwnObject};
use tallybox_service::chart::Tone;
use tallybox_service::exit::Exit;
use tallybox_transport::SharedBucket;

/// The length of the magic.
const MAGIC_BYTES: usize = 8;
/// The length of the magic and of the digest after it, which are not encrypted.
const HEAD_BYTES: u64 = 40;

impl Inspector {
    /// Inspects a prepared batch. `named` is the object that its name states.
    pub(super) async fn prepared(
        &self,
        bucket: &SharedBucket,
        found: &Found,
        named: Option<OwnObject>,
    ) -> Result<ObjectFinding, Error> {
        let Found { key, bytes } = found;
        let head = bucket.get_range(key, 0..HEAD_BYTES).await?;
        let digest = head
            .get(MAGIC_BYTES..)
            .and_then(|digest| digest.try_into().ok());
        let named = match named {
            Some(OwnObject::Prepared { batch, sealing_key }) => Some((batch, sealing_key)),
            _ => None,
        };
        let mut facts = Facts::default();
        let sealing_key = named.as_ref().map(|(_, sealing_key)| sealing_key.clone());
        let sealed = [
            Fact::new("bytes", *bytes).unit("bytes"),
            Fact::new("sealing-key", sealing_key),
        ];
        facts.row("sealed", sealed);
        facts.add(Fact::new(
            "ingestion-header",
            digest.map(|digest| Digest(digest).to_hex()),
        ));
        let mut finding = ObjectFinding::new("prepared-batch", "prepared batch", key, facts);
        let opened = match (self.processor.as_deref(), named) {
            (Some(processor), Some((batch, sealing_key))) => {
                open_named(bucket, processor, &batch, &sealing_key, &mut finding).await?
            }
            (None, _) => {
                finding.note("sealed: give --config FILE to decrypt it");
                None
            }
            (_, None) => {
                let name = "its original name, AGG/DATE/UUID.KEY.prepared";
                finding.note(format!("sealed: can be decrypted only under {name}"));
                None
            }
        };
        let content = Fact::group("opened", opened).row("content");
        finding.facts.add(content);
        Ok(finding)
    }
}

/// Decrypts a prepared batch with the key that its name states. Returns the facts about the content.
async fn open_named(
    bucket: &SharedBucket,
    processor: &Processor,
    batch: &BatchName,
    sealing_key: &str,
    finding: &mut ObjectFinding,
) -> Result<Option<Facts>, Error> {
    let mut keys = processor.keys.sealing.clone();
    keys.retain(|key| key.id() == sealing_key);
    if keys.is_empty() {
        let advice = "which is not configured; add it to prepared-sealing-key";
        let message = format!("sealed with key {sealing_key}, {advice}");
        let problem = ObjectProblem::new(Exit::Retry, "no-key", &finding.object, message);
        finding.problems.push(problem);
    }
    let owner = Owner {
        instance: &processor.buckets.instance,
        role: processor.buckets.role,
    };
    match open(bucket, owner, &keys, batch).await {
        Ok(opened) => Ok(opened),
        Err(PreparedError(SealedError::Bucket(error))) => Err(error.into()),
        Err(error) => {
            finding.reject("prepared-batch", describe(&error));
            Ok(None)
        }
    }
}

fn describe(PreparedError(error): &PreparedError) -> String {
    match error {
        SealedError::Sealed { source, .. } => {
            format!("cannot be decrypted ({source}), or belongs to another instance, role or batch")
        }
        SealedError::Malformed { problem, .. } => format!("malformed: {problem}"),
        error => error.to_string(),
    }
}

/// Decrypts every chunk, so that any damage is found. Returns the facts about the content.
async fn open(
    bucket: &SharedBucket,
    owner: Owner<'_>,
    keys: &[SealingKey],
    batch: &BatchName,
) -> Result<Option<Facts>, PreparedError> {
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
    let chunks = footer.chunks.iter();
    let shares = chunks.filter(|chunk| chunk.kind == ChunkKind::Shares);
    let first_of_each: Vec<u64> = shares.map(|chunk| chunk.first).collect();
    prepared.shares(&first_of_each, |_| {}).await?;
    if messages != footer.messages {
        return Err(prepared.malformed("the footer has another number of messages"));
    }
    Ok(Some(footer_facts(footer)))
}

fn footer_facts(footer: &Footer) -> Facts {
    let mut facts = Facts::default();
    let chunks = Fact::new("chunks", footer.chunks.len() as u64);
    facts.head(
        chunks
            .unit("chunks, all of which can be decrypted")
            .tone(Tone::Good),
    );
    facts.add(Fact::new("batch", footer.batch.to_string()));
    let packets = [
        Fact::new("bins", footer.parameters.bins).unit("bins"),
        Fact::new("packets", footer.packets).unit("packets"),
        Fact::new("messages", footer.messages).unit("verification messages"),
        Fact::new("ingestion-bytes", footer.ingestion_bytes).unit("bytes in the ingestion batch"),
    ];
    facts.row("packets", packets);
    let mut rejections = BTreeMap::new();
    for (reason, count) in footer.rejections.iter() {
        rejections.insert(reason.name().to_owned(), count);
    }
    facts.add(Fact::counts("rejections", rejections).row("rejected"));
    let mut validation = Facts::default();
    let generation = footer.validation.generation;
    let text = format!("fixed, encoder generation {generation}");
    validation.head(Fact::new("generation", generation).shown(text));
    validation.add(Fact::group(
        "packets",
        fixed_file(&footer.validation.packets),
    ));
    validation.add(Fact::group("header", fixed_file(&footer.validation.header)));
    facts.add(Fact::group("validation", validation));
    facts
}
