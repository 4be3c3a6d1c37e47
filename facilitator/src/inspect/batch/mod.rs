//! Reads a signed batch, whole or in part, in an order in which each object can be checked.

mod checks;
mod header;
mod packets;
mod present;
mod show;
mod tally;

pub(super) use header::record_in;
pub(super) use packets::{Packet, PacketReader};
pub(super) use present::{Found, Present};

use super::facts::Facts;
use super::family::Family;
use super::inspector::Inspector;
use super::report::ObjectProblem;
use super::signer::{Outcome, Verification};
use crate::error::Error;
use bytes::Bytes;
use header::Header;
use std::io::{Cursor, Read};
use tally::Tally;
use tallybox_model::avro::{FileLimits, RecordKind, decode_one};
use tallybox_model::digest::Digest;
use tallybox_model::path::{BatchKind, BatchPart};
use tallybox_model::role::Role;
use tallybox_model::signature::BatchSignature;
use tallybox_transport::{BlockingReader, BucketError, SharedBucket, digest, read_all};

/// A batch, with everything that was read of it and found out about it.
#[derive(Debug, Default)]
pub(super) struct Batch {
    present: Present,
    /// The kind of batch; unknown for a signature alone.
    pub(super) family: Option<Family>,
    /// The processor that wrote the batch, if the name contains it.
    writer: Option<Role>,
    /// True if header and packets are inside the signature object.
    is_single_object: bool,
    header_file: Option<Bytes>,
    header: Option<Header>,
    inline_packets: Option<Bytes>,
    /// The facts about the packets.
    packets: Option<Facts>,
    /// The SHA-256 of the signature object.
    signature_file: Option<Digest>,
    signature: Option<BatchSignature>,
    verification: Option<Verification>,
    /// True if header and path match; unknown if the path is not a batch's name.
    path_agrees: Option<bool>,
    /// True if the packets have the digest in the header.
    digest_matches: Option<bool>,
    notes: Vec<String>,
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
        let mut batch = Batch::new(present);
        // The signature object may contain the header and the packets.
        batch.read_signature(bucket, &self.limits).await?;
        batch.read_header(bucket, &self.limits).await?;
        self.verify(&mut batch);
        self.read_packets(bucket, &mut batch).await?;
        batch.check_path();
        batch.check_complete();
        Ok(batch)
    }

    fn verify(&self, batch: &mut Batch) {
        let Some(signature) = &batch.signature else {
            return;
        };
        let key = &signature.key_identifier;
        let verification = match &batch.header_file {
            None => Outcome::NoHeader.into(),
            Some(header) => self.judge(key, header, &signature.batch_header_signature),
        };
        let kind = batch.family.unwrap_or(Family::IngestionBatch);
        let expected = self.expected_signer(kind, batch.writer);
        let fault = verification.fault(key, expected);
        let object = batch.present.key(BatchPart::Signature);
        let problem =
            fault.map(|(reason, message)| ObjectProblem::rejected(reason, &object, message));
        batch.problems.extend(problem);
        batch.verification = Some(verification);
    }

    async fn read_packets(&self, bucket: &SharedBucket, batch: &mut Batch) -> Result<(), Error> {
        let Some((input, bytes)) = batch.open_packets(bucket).await? else {
            return Ok(());
        };
        let mut tally = Tally::new(batch.header.as_ref().map(Header::bins));
        let reader = self.packet_reader(batch.family);
        let reading = tokio::task::spawn_blocking(move || {
            let file = reader.read(input, |packet| tally.add(packet))?;
            Ok::<_, Error>((file, tally))
        });
        let internal = |error| Error::Internal(format!("reading packets: {error}"));
        let (mut file, tally) = reading.await.map_err(internal)??;
        if file.sha256.is_none() {
            file.sha256 = Some(batch.packets_digest(bucket).await?);
        }
        let expected = batch.family;
        batch.check_packets(&file);
        batch.packets = Some(tally.facts(bytes, &file, expected));
        Ok(())
    }

    pub(super) fn packet_reader(&self, family: Option<Family>) -> PacketReader {
        PacketReader {
            family,
            limits: self.limits.clone(),
            progress: self.progress.clone(),
        }
    }
}

impl Batch {
    fn new(present: Present) -> Self {
        let kind = present.name.as_ref().map(|(_, kind)| *kind);
        Self {
            present,
            family: kind.map(Family::of_name),
            writer: kind.and_then(BatchKind::writer),
            ..Self::default()
        }
    }

    async fn read_signature(
        &mut self,
        bucket: &SharedBucket,
        limits: &FileLimits,
    ) -> Result<(), Error> {
        let limits = limits.for_signature();
        let part = BatchPart::Signature;
        let Some(file) = self.read(bucket, part, limits.object_bytes).await? else {
            return Ok(());
        };
        self.signature_file = Some(Digest::sha256(&file));
        let signature = match decode_one::<BatchSignature>(&file, &limits) {
            Ok(signature) => signature,
            Err(error) => {
                self.malformed(&self.present.key(part), format!("the signature: {error}"));
                return Ok(());
            }
        };
        match (&signature.batch_header, &signature.packets) {
            (Some(header), Some(packets)) => {
                self.is_single_object = true;
                self.header_file = Some(Bytes::copy_from_slice(header));
                self.inline_packets = Some(Bytes::copy_from_slice(packets));
                if self.present.count() > 1 {
                    self.note(
                        "header and packets are in the signature object; readers ignore the \
                         separate objects",
                    );
                }
            }
            (None, None) => {}
            _ => self.note(
                "the signature object contains only one of header and packets; readers ignore it",
            ),
        }
        self.signature = Some(signature);
        Ok(())
    }

    async fn read_header(
        &mut self,
        bucket: &SharedBucket,
        limits: &FileLimits,
    ) -> Result<(), Error> {
        let limits = limits.for_header();
        if self.header_file.is_none() {
            let limit = limits.object_bytes;
            self.header_file = self.read(bucket, BatchPart::Header, limit).await?;
        }
        let Some(file) = self.header_file.clone() else {
            return Ok(());
        };
        let key = self.key(BatchPart::Header);
        if file.is_empty() {
            self.malformed(&key, "the header: the file is empty".to_owned());
            return Ok(());
        }
        let record = match record_in(&file, &limits) {
            Ok(record) => record,
            Err(error) => {
                self.malformed(&key, format!("the header: {error}"));
                return Ok(());
            }
        };
        let Some(family) = self.family_of(record, BatchPart::Header) else {
            return Ok(());
        };
        match Header::decode(&file, family, &limits) {
            Ok(header) => {
                self.notes.extend(header.notes());
                self.family = Some(family);
                self.header = Some(header);
            }
            Err(error) => self.malformed(&key, format!("the header: {error}")),
        }
        Ok(())
    }

    /// Reads an object, if it exists. An object over the limit is recorded as a problem.
    async fn read(
        &mut self,
        bucket: &SharedBucket,
        part: BatchPart,
        limit: u64,
    ) -> Result<Option<Bytes>, Error> {
        let Some(Found { key, bytes }) = self.present.get(part) else {
            return Ok(None);
        };
        match read_all(&**bucket, key, limit).await {
            Ok(file) => Ok(Some(file)),
            Err(BucketError::TooLarge { limit, .. }) => {
                let message = format!("{bytes} bytes exceed the limit of {limit}");
                let problem = ObjectProblem::rejected("too-large", key, message);
                self.problems.push(problem);
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Opens the packets, inline or separate, and returns their length in bytes with them.
    pub(super) async fn open_packets(
        &self,
        bucket: &SharedBucket,
    ) -> Result<Option<(Box<dyn Read + Send>, u64)>, Error> {
        if let Some(inline) = &self.inline_packets {
            let input = Cursor::new(inline.clone());
            return Ok(Some((Box::new(input), inline.len() as u64)));
        }
        let Some(found) = self.present.get(BatchPart::Packets) else {
            return Ok(None);
        };
        let object = bucket.get(&found.key).await?;
        let bytes = object.size;
        let input = BlockingReader::new(object, &tokio::runtime::Handle::current());
        Ok(Some((Box::new(input), bytes)))
    }

    async fn packets_digest(&self, bucket: &SharedBucket) -> Result<Digest, Error> {
        match (&self.inline_packets, self.present.get(BatchPart::Packets)) {
            (None, Some(found)) => Ok(Digest(digest(&**bucket, &found.key).await?.0)),
            (inline, _) => Ok(Digest::sha256(inline.as_deref().unwrap_or_default())),
        }
    }

    /// Returns the name of the object that contains a part: a separate object or the signature
    /// object.
    fn key(&self, part: BatchPart) -> String {
        self.present.key(match self.is_single_object {
            true => BatchPart::Signature,
            false => part,
        })
    }

    /// Returns the kind of batch that a record in `part` belongs to. A name of another kind is a
    /// problem.
    fn family_of(&mut self, record: Option<RecordKind>, part: BatchPart) -> Option<Family> {
        let named = self.family;
        let key = self.key(part);
        let Some(record) = record else {
            if named.is_none() {
                let message = "the schema names an unknown record".to_owned();
                self.problems
                    .push(ObjectProblem::rejected("unrecognised", &key, message));
            }
            return named;
        };
        let found = Family::of_record(record, part);
        if found.is_some() && (named.is_none() || named == found) {
            return found;
        }
        let mut message = format!("contains a {record} record");
        if let Some(expected) = named.and_then(|named| named.record(part)) {
            message.push_str(&format!(", although its name is that of a {expected}"));
        }
        self.malformed(&key, message);
        None
    }
}
