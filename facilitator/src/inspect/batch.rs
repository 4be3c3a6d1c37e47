//! Reads a signed batch, whole or in part, in an order in which each object can be checked.

use super::Inspector;
use super::header::{HeaderFacts, record_in};
use super::name::{Family, Part};
use super::packets::{Scan, Scanner};
use super::present::Present;
use super::report::{BatchFacts, BatchForm, ObjectProblem, SignatureFacts};
use super::signer::{Party, Verification};
use crate::error::Error;
use bytes::Bytes;
use std::io::{Cursor, Read};
use tallybox_model::avro::decode_one;
use tallybox_model::digest::Digest;
use tallybox_model::signature::BatchSignature;
use tallybox_transport::{BlockingReader, SharedBucket, digest};

/// The bytes of a batch that are held in memory: everything except separate packets.
#[derive(Debug, Default)]
pub(super) struct Contents {
    pub(super) header: Option<Bytes>,
    /// The packets, if they are inside the signature object.
    pub(super) packets: Option<Bytes>,
    pub(super) signature: Option<BatchSignature>,
}

/// The findings about a batch, with the bytes that they are based on.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) present: Present,
    pub(super) contents: Contents,
    pub(super) facts: BatchFacts,
    pub(super) notes: Vec<String>,
    pub(super) problems: Vec<ObjectProblem>,
}

impl Inspector {
    /// Reads all existing objects of a batch.
    ///
    /// # Errors
    /// The bucket's errors. Problems of the batch are part of the result.
    pub(super) async fn batch(
        &self,
        bucket: &SharedBucket,
        present: Present,
    ) -> Result<Batch, Error> {
        let name = present.name.as_ref();
        let facts = BatchFacts {
            family: name.map(|name| name.family),
            writer: name.and_then(|name| name.writer),
            ..BatchFacts::default()
        };
        let mut batch = Batch {
            present,
            contents: Contents::default(),
            facts,
            notes: Vec::new(),
            problems: Vec::new(),
        };
        // The signature object comes first, since it may contain the header and the packets.
        self.read_signature(bucket, &mut batch).await?;
        self.read_header(bucket, &mut batch).await?;
        self.verify(&mut batch);
        self.read_packets(bucket, &mut batch).await?;
        batch.check_path();
        batch.check_complete();
        Ok(batch)
    }

    async fn read_signature(&self, bucket: &SharedBucket, batch: &mut Batch) -> Result<(), Error> {
        let Some(found) = batch.present.signature.clone() else {
            return Ok(());
        };
        let limits = self.limits.for_signature();
        let Some(file) = batch.read(bucket, &found, limits.object_bytes).await? else {
            return Ok(());
        };
        let signature = match decode_one::<BatchSignature>(&file, &limits) {
            Ok(signature) => signature,
            Err(error) => {
                batch.malformed(&found.key, "the signature", &error);
                return Ok(());
            }
        };
        batch.facts.form = Some(BatchForm::ThreeObjects);
        match (&signature.batch_header, &signature.packets) {
            (Some(header), Some(packets)) => {
                batch.facts.form = Some(BatchForm::SingleObject);
                batch.contents.header = Some(Bytes::copy_from_slice(header));
                batch.contents.packets = Some(Bytes::copy_from_slice(packets));
                if batch.present.header.is_some() || batch.present.packets.is_some() {
                    batch.note("header and packets are in the signature object; readers ignore the separate objects");
                }
            }
            (None, None) => {}
            _ => batch.note(
                "the signature object contains only one of header and packets; readers ignore it",
            ),
        }
        batch.facts.signature = Some(SignatureFacts {
            key_identifier: signature.key_identifier.clone(),
            bytes: found.bytes,
            verification: Verification::NoHeader,
        });
        batch.contents.signature = Some(signature);
        Ok(())
    }

    async fn read_header(&self, bucket: &SharedBucket, batch: &mut Batch) -> Result<(), Error> {
        if batch.contents.header.is_none() {
            let Some(found) = batch.present.header.clone() else {
                return Ok(());
            };
            let limit = self.limits.for_header().object_bytes;
            batch.contents.header = batch.read(bucket, &found, limit).await?;
        }
        let Some(file) = batch.contents.header.clone() else {
            return Ok(());
        };
        let key = batch.header_key();
        let record = match record_in(&file, &self.limits.for_header()) {
            Ok(record) => record,
            Err(_) if file.is_empty() => {
                batch.problem(ObjectProblem::rejected(
                    "malformed",
                    &key,
                    "the header: the file is empty",
                ));
                return Ok(());
            }
            Err(error) => {
                batch.malformed(&key, "the header", &error);
                return Ok(());
            }
        };
        let Some(family) = batch.family_of(record, Part::Header, &key) else {
            return Ok(());
        };
        match HeaderFacts::decode(&file, family, &self.limits) {
            Ok(header) => {
                batch.notes.extend(header.notes());
                batch.facts.family = Some(family);
                batch.facts.header = Some(header);
            }
            Err(error) => batch.malformed(&key, "the header", &error),
        }
        Ok(())
    }

    fn verify(&self, batch: &mut Batch) {
        let (Some(signature), Some(header)) = (&batch.contents.signature, &batch.contents.header)
        else {
            return;
        };
        let (key, bytes) = (&signature.key_identifier, &signature.batch_header_signature);
        let verification = match &self.keys {
            Some(keys) => keys.judge(key, header, bytes),
            None => Verification::NoKeyConfigured,
        };
        let object = batch.present.key(Part::Signature);
        let bad = |reason, message: String| Some(ObjectProblem::rejected(reason, &object, message));
        let family = batch.facts.family.unwrap_or(Family::IngestionBatch);
        let expected = self
            .own_role()
            .and_then(|own| Party::expected(family, batch.facts.writer, own));
        let problem = match &verification {
            Verification::Verifies(signer) => expected
                .filter(|party| ![*party, Party::Given].contains(&signer.party))
                .and_then(|party| {
                    let message = format!(
                        "signed by {}, but the expected signer is {}",
                        signer.party, party
                    );
                    bad("wrong-signer", message)
                }),
            Verification::OtherKey(signer) => bad(
                "unknown-key",
                format!(
                    "signed with key {key:?}, but the signature verifies with key {:?} of {}",
                    signer.key, signer.party
                ),
            ),
            Verification::DoesNotVerify(signer) => bad(
                "bad-signature",
                format!(
                    "the signature does not verify with key {:?} of {}",
                    signer.key, signer.party
                ),
            ),
            Verification::UnknownKey => bad(
                "unknown-key",
                format!(
                    "signed with key {key:?}, which is neither configured nor given; give it with --key"
                ),
            ),
            Verification::NoKeyConfigured | Verification::NoHeader => None,
        };
        batch.problems.extend(problem);
        if let Some(facts) = &mut batch.facts.signature {
            facts.verification = verification;
        }
    }

    /// Opens the packets of a batch, inline or separate, and returns their length in bytes with
    /// them.
    pub(super) async fn open_packets(
        &self,
        bucket: &SharedBucket,
        batch: &Batch,
    ) -> Result<Option<(Box<dyn Read + Send>, u64)>, Error> {
        Ok(match (&batch.contents.packets, &batch.present.packets) {
            (Some(inline), _) => Some((Box::new(Cursor::new(inline.clone())), inline.len() as u64)),
            (None, Some(found)) => {
                let object = bucket.get(&found.key).await?;
                let bytes = object.size;
                Some((
                    Box::new(BlockingReader::new(
                        object,
                        &tokio::runtime::Handle::current(),
                    )),
                    bytes,
                ))
            }
            (None, None) => None,
        })
    }

    async fn read_packets(&self, bucket: &SharedBucket, batch: &mut Batch) -> Result<(), Error> {
        let Some((input, bytes)) = self.open_packets(bucket, batch).await? else {
            return Ok(());
        };
        let scanner = Scanner {
            family: batch.facts.family,
            bins: batch.facts.header.as_ref().map(|header| header.bins),
            limits: self.limits.clone(),
            progress: self.progress.clone(),
        };
        let scanning = tokio::task::spawn_blocking(move || scanner.scan(input, bytes));
        let scan = scanning
            .await
            .map_err(|error| Error::Internal(format!("reading packets: {error}")))??;
        let Scan {
            mut facts,
            malformed,
            kind,
        } = scan;
        if facts.sha256.is_none() {
            facts.sha256 = Some(match (&batch.contents.packets, &batch.present.packets) {
                (None, Some(found)) => Digest(digest(&**bucket, &found.key).await?.0),
                (inline, _) => Digest::sha256(inline.as_deref().unwrap_or_default()),
            });
        }
        batch.judge_packets(facts.sha256, kind, malformed);
        batch.facts.packets = Some(facts);
        Ok(())
    }
}
