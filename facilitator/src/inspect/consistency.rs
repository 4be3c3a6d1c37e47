//! Checks whether the objects of a batch belong together, and which of them are missing.

use super::batch::Batch;
use super::name::{Family, ObjectName, Part};
use super::present::Found;
use super::report::{BatchForm, Facts, ObjectFinding, ObjectProblem};
use crate::error::Error;
use bytes::Bytes;
use tallybox_model::avro::{AvroError, RecordKind};
use tallybox_model::digest::Digest;
use tallybox_transport::{BucketError, SharedBucket, read_all};

impl Batch {
    pub(super) fn note(&mut self, note: &str) {
        self.notes.push(note.to_owned());
    }

    pub(super) fn problem(&mut self, problem: ObjectProblem) {
        self.problems.push(problem);
    }

    pub(super) fn malformed(&mut self, object: &str, what: &str, error: &AvroError) {
        self.problem(ObjectProblem::rejected(
            "malformed",
            object,
            format!("{what}: {error}"),
        ));
    }

    /// Returns the name of the object that contains the header: a separate object or the signature
    /// object.
    pub(super) fn header_key(&self) -> String {
        let inline = self.facts.form == Some(BatchForm::SingleObject);
        self.present.key(if inline {
            Part::Signature
        } else {
            Part::Header
        })
    }

    pub(super) fn packets_key(&self) -> String {
        let inline = self.facts.form == Some(BatchForm::SingleObject);
        self.present.key(if inline {
            Part::Signature
        } else {
            Part::Packets
        })
    }

    /// Reads an object. An object over the limit is recorded as a problem of the batch.
    pub(super) async fn read(
        &mut self,
        bucket: &SharedBucket,
        found: &Found,
        limit: u64,
    ) -> Result<Option<Bytes>, Error> {
        match read_all(&**bucket, &found.key, limit).await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(BucketError::TooLarge { limit, .. }) => {
                let message = format!("{} bytes exceed the limit of {limit}", found.bytes);
                self.problem(ObjectProblem::rejected("too-large", &found.key, message));
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Returns the kind of batch that a record in `part` belongs to. A name of another kind is a
    /// problem.
    pub(super) fn family_of(
        &mut self,
        record: Option<RecordKind>,
        part: Part,
        key: &str,
    ) -> Option<Family> {
        let named = self.facts.family;
        let Some(record) = record else {
            if named.is_none() {
                let message = "the schema names an unknown record";
                self.problem(ObjectProblem::rejected("unrecognised", key, message));
            }
            return named;
        };
        match (Family::from_record(record), named) {
            (Some((family, found)), None) if found == part => Some(family),
            (Some((family, found)), Some(named)) if found == part && family == named => {
                Some(family)
            }
            _ => {
                let expected = named.map(|named| {
                    if part == Part::Header {
                        named.header()
                    } else {
                        named.packet()
                    }
                });
                let expected = expected.map_or_else(String::new, |kind| {
                    format!(", although its name is that of a {kind}")
                });
                self.problem(ObjectProblem::rejected(
                    "malformed",
                    key,
                    format!("contains a {record} record{expected}"),
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
            let message = "the digest of the packets differs from the one in the header";
            self.problem(ObjectProblem::rejected("bad-digest", &key, message));
        }
        if let Some(message) = malformed {
            self.problem(ObjectProblem::rejected("malformed", &key, message));
        } else if kind.is_some() {
            let family = self.family_of(kind, Part::Packets, &key);
            self.facts.family = self.facts.family.or(family);
        }
    }

    pub(super) fn check_path(&mut self) {
        let name = self.present.name.as_ref().and_then(ObjectName::parse_stem);
        let (Some(header), Some(name)) = (&self.facts.header, name) else {
            return;
        };
        let differences = header.differences(&name);
        self.facts.path_agrees = Some(differences.is_empty());
        let key = self.header_key();
        let problem = |message: String| ObjectProblem::rejected("header-mismatch", &key, message);
        self.problems.extend(differences.into_iter().map(problem));
    }

    /// Records which objects are missing. A single object may have been inspected alone on purpose;
    /// if two exist, the third counts as missing.
    pub(super) fn check_complete(&mut self) {
        let digest = self
            .facts
            .header
            .as_ref()
            .map(|header| header.packet_file_digest);
        let no_packets = self.contents.packets.is_none() && self.present.packets.is_none();
        if no_packets && digest == Some(Digest::empty()) {
            self.note("there are no packets: the object is absent, and the digest is that of an empty file");
            if self.facts.family == Some(Family::IngestionBatch) {
                self.note("a processor rejects an ingestion batch without packets (empty-batch)");
            }
            self.facts.digest_matches = Some(true);
        }
        let complete = self.facts.form == Some(BatchForm::SingleObject);
        if complete || self.present.all().count() < 2 {
            return;
        }
        let mut missed = |part, absent: bool, message: &str| {
            let key = self.present.key(part);
            if absent {
                self.problems
                    .push(ObjectProblem::retry("incomplete", &key, message));
            }
        };
        missed(
            Part::Signature,
            self.present.signature.is_none(),
            "the signature does not exist (yet)",
        );
        missed(
            Part::Header,
            self.present.header.is_none(),
            "the header does not exist (yet)",
        );
        let absent = no_packets && digest.is_some_and(|digest| digest != Digest::empty());
        missed(Part::Packets, absent, "the packets do not exist (yet)");
    }

    /// Returns whether more than one part of the batch was read.
    fn is_whole(&self) -> bool {
        self.facts.form == Some(BatchForm::SingleObject) || self.present.all().count() > 1
    }

    fn title(&self) -> (&'static str, String) {
        let family = self.facts.family;
        let label = family.map_or("batch", Family::label);
        let description = match (family, self.facts.writer) {
            (_, None) => label.to_owned(),
            (_, Some(writer)) => format!("{label} by the {writer} processor"),
        };
        let alone = (
            &self.present.header,
            &self.present.packets,
            &self.present.signature,
        );
        match alone {
            _ if self.is_whole() => match family {
                Some(Family::ValidationBatch) => ("validation-batch", description),
                Some(Family::SumPart) => ("sum-part", description),
                Some(Family::IngestionBatch) => ("ingestion-batch", description),
                None => ("batch", description),
            },
            (Some(_), ..) => (
                "batch-header",
                format!("header of {}", with_article(&description)),
            ),
            (_, Some(_), _) => (
                "batch-packets",
                format!("packet file of {}", with_article(&description)),
            ),
            _ => (
                "batch-signature",
                format!("signature of {}", with_article(&description)),
            ),
        }
    }

    /// Converts the batch into an entry of the report.
    pub(super) fn finding(self) -> ObjectFinding {
        let (kind, mut title) = self.title();
        if !self.is_whole() {
            title.push_str(", alone");
        } else if self.facts.form == Some(BatchForm::SingleObject) {
            title.push_str(", in a single object");
        }
        let finding = ObjectFinding::new(
            kind,
            title,
            &self.present.object(),
            Facts::Batch(Box::new(self.facts)),
        );
        ObjectFinding {
            notes: self.notes,
            problems: self.problems,
            ..finding
        }
    }
}

/// Puts the indefinite article before the words.
pub(super) fn with_article(label: &str) -> String {
    let article = if label.starts_with(['a', 'e', 'i', 'o']) {
        "an"
    } else {
        "a"
    };
    format!("{article} {label}")
}
