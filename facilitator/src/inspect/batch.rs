//! A signed batch, whole or in part: everything its objects say, and whether they belong together.

use super::header::{HeaderFacts, record_in};
use super::name::{Family, ObjectName, Part};
use super::packets::{Scan, Scanner};
use super::report::{BatchFacts, Facts, Finding, Form, Problem, SignatureFacts};
use super::signer::{Party, Verification};
use super::Inspector;
use crate::error::Error;
use bytes::Bytes;
use std::io::{Cursor, Read};
use tallybox_model::avro::{AvroError, RecordKind, decode_one};
use tallybox_model::digest::Digest;
use tallybox_model::signature::BatchSignature;
use tallybox_transport::{BlockingReader, BucketError, SharedBucket, digest, read_all};

/// An object that is there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Found {
    pub(super) key: String,
    pub(super) bytes: u64,
}

/// The objects of a batch that are there.
#[derive(Clone, Debug, Default)]
pub(super) struct Present {
    pub(super) name: Option<ObjectName>,
    pub(super) header: Option<Found>,
    pub(super) packets: Option<Found>,
    pub(super) signature: Option<Found>,
}

impl Present {
    /// Asks the bucket for all three objects of a batch.
    pub(super) async fn ask(bucket: &SharedBucket, name: ObjectName) -> Result<Self, Error> {
        let objects = name.objects();
        let find = async |key: String| match bucket.size(&key).await {
            Ok(bytes) => Ok(Some(Found { key, bytes })),
            Err(BucketError::NotFound { .. }) => Ok(None),
            Err(error) => Err(Error::from(error)),
        };
        Ok(Self {
            name: Some(name),
            header: find(objects.header).await?,
            packets: find(objects.packets).await?,
            signature: find(objects.signature).await?,
        })
    }

    /// A single object, whatever its name.
    pub(super) fn alone(found: Found, part: Part) -> Self {
        let mut present = Self::default();
        *match part {
            Part::Header => &mut present.header,
            Part::Packets => &mut present.packets,
            Part::Signature => &mut present.signature,
        } = Some(found);
        present
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Found> {
        [&self.header, &self.packets, &self.signature].into_iter().flatten()
    }

    /// What to call the whole: the common beginning of the names, or the only name.
    pub(super) fn object(&self) -> String {
        let stem = self.name.as_ref().map(|name| name.stem.clone());
        let mut all = self.all();
        match (all.next(), all.next()) {
            (Some(only), None) => only.key.clone(),
            _ => stem.unwrap_or_default(),
        }
    }

    fn key(&self, part: Part) -> String {
        let found = match part {
            Part::Header => &self.header,
            Part::Packets => &self.packets,
            Part::Signature => &self.signature,
        };
        match (found, &self.name) {
            (Some(found), _) => found.key.clone(),
            (None, Some(name)) => {
                let objects = name.objects();
                match part {
                    Part::Header => objects.header,
                    Part::Packets => objects.packets,
                    Part::Signature => objects.signature,
                }
            }
            (None, None) => self.object(),
        }
    }
}

/// The bytes of a batch as far as they are held in memory: all but separate packets.
#[derive(Debug, Default)]
pub(super) struct Contents {
    pub(super) header: Option<Bytes>,
    /// The packets, if they stand inside the signature object.
    pub(super) packets: Option<Bytes>,
    pub(super) signature: Option<BatchSignature>,
}

/// What was found of a batch, with the bytes it was found in.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) present: Present,
    pub(super) contents: Contents,
    pub(super) facts: BatchFacts,
    notes: Vec<String>,
    pub(super) problems: Vec<Problem>,
}

impl Inspector {
    /// Reads all that is there of a batch.
    ///
    /// # Errors
    /// The bucket's; whatever is wrong with the batch is in the answer.
    pub(super) async fn batch(&self, bucket: &SharedBucket, present: Present) -> Result<Batch, Error> {
        let name = present.name.as_ref();
        let facts = BatchFacts {
            family: name.map(|name| name.family),
            writer: name.and_then(|name| name.writer),
            ..BatchFacts::default()
        };
        let mut batch =
            Batch { present, contents: Contents::default(), facts, notes: Vec::new(), problems: Vec::new() };
        self.read_signature(bucket, &mut batch).await?;
        self.read_header(bucket, &mut batch).await?;
        self.verify(&mut batch);
        self.read_packets(bucket, &mut batch).await?;
        batch.check_path();
        batch.check_complete();
        Ok(batch)
    }

    async fn read_signature(&self, bucket: &SharedBucket, batch: &mut Batch) -> Result<(), Error> {
        let Some(found) = batch.present.signature.clone() else { return Ok(()) };
        let limits = self.limits.for_signature();
        let Some(file) = batch.read(bucket, &found, limits.object_bytes).await? else { return Ok(()) };
        let signature = match decode_one::<BatchSignature>(&file, &limits) {
            Ok(signature) => signature,
            Err(error) => {
                batch.malformed(&found.key, "the signature", &error);
                return Ok(());
            }
        };
        batch.facts.form = Some(Form::ThreeObjects);
        match (&signature.batch_header, &signature.packets) {
            (Some(header), Some(packets)) => {
                batch.facts.form = Some(Form::SingleObject);
                batch.contents.header = Some(Bytes::copy_from_slice(header));
                batch.contents.packets = Some(Bytes::copy_from_slice(packets));
                if batch.present.header.is_some() || batch.present.packets.is_some() {
                    batch.note("header and packets stand in the signature object; readers ignore the separate ones");
                }
            }
            (None, None) => {}
            _ => batch.note("only one of header and packets stands in the signature object; readers ignore it"),
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
            let Some(found) = batch.present.header.clone() else { return Ok(()) };
            let limit = self.limits.for_header().object_bytes;
            batch.contents.header = batch.read(bucket, &found, limit).await?;
        }
        let Some(file) = batch.contents.header.clone() else { return Ok(()) };
        let key = batch.header_key();
        let record = match record_in(&file, &self.limits.for_header()) {
            Ok(record) => record,
            Err(_) if file.is_empty() => {
                batch.problem(Problem::rejected("malformed", &key, "the header: there are no bytes in it"));
                return Ok(());
            }
            Err(error) => {
                batch.malformed(&key, "the header", &error);
                return Ok(());
            }
        };
        let Some(family) = batch.family_of(record, Part::Header, &key) else { return Ok(()) };
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
        let (Some(signature), Some(header)) = (&batch.contents.signature, &batch.contents.header) else { return };
        let (key, bytes) = (&signature.key_identifier, &signature.batch_header_signature);
        let verification = match &self.keys {
            Some(keys) => keys.judge(key, header, bytes),
            None => Verification::NoKeyConfigured,
        };
        let object = batch.present.key(Part::Signature);
        let bad = |reason, message: String| Some(Problem::rejected(reason, &object, message));
        let family = batch.facts.family.unwrap_or(Family::IngestionBatch);
        let expected = self.own_role().and_then(|own| Party::expected(family, batch.facts.writer, own));
        let problem = match &verification {
            Verification::Verifies(signer) => expected.filter(|party| *party != signer.party).and_then(|party| {
                let message = format!("signed by {}, but {} writes such a batch", signer.party, party);
                bad("wrong-signer", message)
            }),
            Verification::OtherKey(signer) => bad(
                "unknown-key",
                format!("names key {key:?}, but verifies with key {:?} of {}", signer.key, signer.party),
            ),
            Verification::DoesNotVerify(signer) => bad(
                "bad-signature",
                format!("does not verify with key {:?} of {} over this header", signer.key, signer.party),
            ),
            Verification::UnknownKey => {
                bad("unknown-key", format!("names key {key:?}, which the configuration does not have"))
            }
            Verification::NoKeyConfigured | Verification::NoHeader => None,
        };
        batch.problems.extend(problem);
        if let Some(facts) = &mut batch.facts.signature {
            facts.verification = verification;
        }
    }

    /// Opens the packets of a batch, wherever they are; also their length in bytes.
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
                Some((Box::new(BlockingReader::new(object, &tokio::runtime::Handle::current())), bytes))
            }
            (None, None) => None,
        })
    }

    async fn read_packets(&self, bucket: &SharedBucket, batch: &mut Batch) -> Result<(), Error> {
        let Some((input, bytes)) = self.open_packets(bucket, batch).await? else { return Ok(()) };
        let scanner = Scanner {
            family: batch.facts.family,
            bins: batch.facts.header.as_ref().map(|header| header.bins),
            limits: self.limits.clone(),
            progress: self.progress.clone(),
        };
        let scanning = tokio::task::spawn_blocking(move || scanner.scan(input, bytes));
        let scan = scanning.await.map_err(|error| Error::Internal(format!("reading packets: {error}")))??;
        let Scan { mut facts, malformed, kind } = scan;
        if facts.sha256.is_none() {
            facts.sha256 = Some(match (&batch.contents.packets, &batch.present.packets) {
                (None, Some(found)) => Digest(digest(&**bucket, &found.key).await?.0),
                (inline, _) => Digest::of(inline.as_deref().unwrap_or_default()),
            });
        }
        batch.judge_packets(facts.sha256, kind, malformed);
        batch.facts.packets = Some(facts);
        Ok(())
    }
}

impl Batch {
    fn note(&mut self, note: &str) {
        self.notes.push(note.to_owned());
    }

    fn problem(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    fn malformed(&mut self, object: &str, what: &str, error: &AvroError) {
        self.problem(Problem::rejected("malformed", object, format!("{what}: {error}")));
    }

    /// Where the header stands: in an object of its own, or in the signature object.
    fn header_key(&self) -> String {
        let inline = self.facts.form == Some(Form::SingleObject);
        self.present.key(if inline { Part::Signature } else { Part::Header })
    }

    fn packets_key(&self) -> String {
        let inline = self.facts.form == Some(Form::SingleObject);
        self.present.key(if inline { Part::Signature } else { Part::Packets })
    }

    /// The bytes of an object; one that is over the limit is the batch's problem.
    async fn read(&mut self, bucket: &SharedBucket, found: &Found, limit: u64) -> Result<Option<Bytes>, Error> {
        match read_all(&**bucket, &found.key, limit).await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(BucketError::TooLarge { limit, .. }) => {
                let message = format!("{} bytes are over the limit of {limit}", found.bytes);
                self.problem(Problem::rejected("too-large", &found.key, message));
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The kind of batch that a record in `part` belongs to; a name that says otherwise is a problem.
    fn family_of(&mut self, record: Option<RecordKind>, part: Part, key: &str) -> Option<Family> {
        let named = self.facts.family;
        let Some(record) = record else {
            if named.is_none() {
                let message = "the record that the schema names is none of ours";
                self.problem(Problem::rejected("unrecognised", key, message));
            }
            return named;
        };
        match (Family::of_record(record), named) {
            (Some((family, found)), None) if found == part => Some(family),
            (Some((family, found)), Some(named)) if found == part && family == named => Some(family),
            _ => {
                let expected = named.map(|named| if part == Part::Header { named.header() } else { named.packet() });
                let expected = expected.map_or_else(String::new, |kind| format!(", not a {kind} as its name says"));
                self.problem(Problem::rejected("malformed", key, format!("holds a {record} record{expected}")));
                None
            }
        }
    }

    fn judge_packets(&mut self, digest: Option<Digest>, kind: Option<RecordKind>, malformed: Option<String>) {
        let key = self.packets_key();
        self.facts.digest_matches =
            self.facts.header.as_ref().zip(digest).map(|(header, digest)| header.packet_file_digest == digest);
        if self.facts.digest_matches == Some(false) {
            let message = "the packets do not have the digest that the header names";
            self.problem(Problem::rejected("bad-digest", &key, message));
        }
        if let Some(message) = malformed {
            self.problem(Problem::rejected("malformed", &key, message));
        } else if kind.is_some() {
            let family = self.family_of(kind, Part::Packets, &key);
            self.facts.family = self.facts.family.or(family);
        }
    }

    fn check_path(&mut self) {
        let place = self.present.name.as_ref().and_then(ObjectName::place);
        let (Some(header), Some(place)) = (&self.facts.header, place) else { return };
        let differences = header.differences(&place);
        self.facts.path_agrees = Some(differences.is_empty());
        let key = self.header_key();
        let problem = |message: String| Problem::rejected("header-mismatch", &key, message);
        self.problems.extend(differences.into_iter().map(problem));
    }

    /// What is missing. A single object is taken for what was asked about; of two, the third is missed.
    fn check_complete(&mut self) {
        let digest = self.facts.header.as_ref().map(|header| header.packet_file_digest);
        let no_packets = self.contents.packets.is_none() && self.present.packets.is_none();
        if no_packets && digest == Some(Digest::empty()) {
            self.note("there is no packet: the object is absent, and the digest is that of no bytes");
            if self.facts.family == Some(Family::IngestionBatch) {
                self.note("a processor refuses an ingestion batch without packets (empty-batch)");
            }
            self.facts.digest_matches = Some(true);
        }
        let complete = self.facts.form == Some(Form::SingleObject);
        if complete || self.present.all().count() < 2 {
            return;
        }
        let mut missed = |part, absent: bool, message: &str| {
            let key = self.present.key(part);
            if absent {
                self.problems.push(Problem::retry("incomplete", &key, message));
            }
        };
        missed(Part::Signature, self.present.signature.is_none(), "the signature is not there (yet)");
        missed(Part::Header, self.present.header.is_none(), "the header is not there (yet)");
        let absent = no_packets && digest.is_some_and(|digest| digest != Digest::empty());
        missed(Part::Packets, absent, "the packets are not there (yet)");
    }

    /// Whether more than one part of the batch was read.
    fn is_whole(&self) -> bool {
        self.facts.form == Some(Form::SingleObject) || self.present.all().count() > 1
    }

    fn title(&self) -> (&'static str, String) {
        let family = self.facts.family;
        let words = family.map_or("batch", Family::words);
        let of = match (family, self.facts.writer) {
            (_, None) => words.to_owned(),
            (_, Some(writer)) => format!("{words} by the {writer} processor"),
        };
        let alone = (&self.present.header, &self.present.packets, &self.present.signature);
        match alone {
            _ if self.is_whole() => match family {
                Some(Family::ValidationBatch) => ("validation-batch", of),
                Some(Family::SumPart) => ("sum-part", of),
                Some(Family::IngestionBatch) => ("ingestion-batch", of),
                None => ("batch", of),
            },
            (Some(_), ..) => ("batch-header", format!("header of {}", article(&of))),
            (_, Some(_), _) => ("batch-packets", format!("packet file of {}", article(&of))),
            _ => ("batch-signature", format!("signature of {}", article(&of))),
        }
    }

    /// As a part of the report.
    pub(super) fn finding(self) -> Finding {
        let (kind, mut title) = self.title();
        if !self.is_whole() {
            title.push_str(", alone");
        } else if self.facts.form == Some(Form::SingleObject) {
            title.push_str(", in a single object");
        }
        let finding = Finding::new(kind, title, &self.present.object(), Facts::Batch(Box::new(self.facts)));
        Finding { notes: self.notes, problems: self.problems, ..finding }
    }
}

/// The words with the article that they need.
pub(super) fn article(words: &str) -> String {
    let article = if words.starts_with(['a', 'e', 'i', 'o']) { "an" } else { "a" };
    format!("{article} {words}")
}
