//! Whether the objects of a batch belong together, and what is missing.

use super::batch::Batch;
use super::name::{Family, ObjectName, Part};
use super::present::Found;
use super::report::{Facts, Finding, Form, Problem};
use crate::error::Error;
use bytes::Bytes;
use tallybox_model::avro::{AvroError, RecordKind};
use tallybox_model::digest::Digest;
use tallybox_transport::{BucketError, SharedBucket, read_all};

impl Batch {
    pub(super) fn note(&mut self, note: &str) {
        self.notes.push(note.to_owned());
    }

    pub(super) fn problem(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    pub(super) fn malformed(&mut self, object: &str, what: &str, error: &AvroError) {
        self.problem(Problem::rejected("malformed", object, format!("{what}: {error}")));
    }

    /// Where the header stands: in an object of its own, or in the signature object.
    pub(super) fn header_key(&self) -> String {
        let inline = self.facts.form == Some(Form::SingleObject);
        self.present.key(if inline { Part::Signature } else { Part::Header })
    }

    pub(super) fn packets_key(&self) -> String {
        let inline = self.facts.form == Some(Form::SingleObject);
        self.present.key(if inline { Part::Signature } else { Part::Packets })
    }

    /// The bytes of an object; one that is over the limit is the batch's problem.
    pub(super) async fn read(
        &mut self,
        bucket: &SharedBucket,
        found: &Found,
        limit: u64,
    ) -> Result<Option<Bytes>, Error> {
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
    pub(super) fn family_of(&mut self, record: Option<RecordKind>, part: Part, key: &str) -> Option<Family> {
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
                let expected = named.map(|named| {
                    if part == Part::Header {
                        named.header()
                    } else {
                        named.packet()
                    }
                });
                let expected = expected.map_or_else(String::new, |kind| format!(", not a {kind} as its name says"));
                self.problem(Problem::rejected(
                    "malformed",
                    key,
                    format!("holds a {record} record{expected}"),
                ));
                None
            }
        }
    }

    pub(super) fn judge_packets(
        &mut self,
        digest: Option<Digest>,
        kind: Option<RecordKind>,
        malformed: Option<String>,
    ) {
        let key = self.packets_key();
        self.facts.digest_matches = self
            .facts
            .header
            .as_ref()
            .zip(digest)
            .map(|(header, digest)| header.packet_file_digest == digest);
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

    pub(super) fn check_path(&mut self) {
        let place = self.present.name.as_ref().and_then(ObjectName::place);
        let (Some(header), Some(place)) = (&self.facts.header, place) else {
            return;
        };
        let differences = header.differences(&place);
        self.facts.path_agrees = Some(differences.is_empty());
        let key = self.header_key();
        let problem = |message: String| Problem::rejected("header-mismatch", &key, message);
        self.problems.extend(differences.into_iter().map(problem));
    }

    /// What is missing. A single object is taken for what was asked about; of two, the third is missed.
    pub(super) fn check_complete(&mut self) {
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
        missed(
            Part::Signature,
            self.present.signature.is_none(),
            "the signature is not there (yet)",
        );
        missed(
            Part::Header,
            self.present.header.is_none(),
            "the header is not there (yet)",
        );
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
        Finding {
            notes: self.notes,
            problems: self.problems,
            ..finding
        }
    }
}

/// The words with the article that they need.
pub(super) fn article(words: &str) -> String {
    let article = if words.starts_with(['a', 'e', 'i', 'o']) {
        "an"
    } else {
        "a"
    };
    format!("{article} {words}")
}
