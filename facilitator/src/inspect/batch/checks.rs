//! Checks whether the objects of a batch belong together, and which of them are missing.

use super::Batch;
use super::packets::PacketFile;
use crate::inspect::family::Family;
use crate::inspect::report::ObjectProblem;
use tallybox_model::digest::Digest;
use tallybox_model::path::BatchPart;
use tallybox_service::exit::Exit;

impl Batch {
    pub(super) fn note(&mut self, note: &str) {
        self.notes.push(note.to_owned());
    }

    pub(super) fn malformed(&mut self, object: &str, message: String) {
        self.problems
            .push(ObjectProblem::rejected("malformed", object, message));
    }

    pub(super) fn check_packets(&mut self, packets: &PacketFile) {
        let key = self.key(BatchPart::Packets);
        let digests = self
            .header
            .as_ref()
            .map(|header| header.packets)
            .zip(packets.sha256);
        self.digest_matches = digests.map(|(expected, found)| expected == found);
        if self.digest_matches == Some(false) {
            let message = "the digest of the packets differs from the one in the header";
            self.problems
                .push(ObjectProblem::rejected("bad-digest", &key, message));
        }
        if let Some(message) = &packets.malformed {
            self.malformed(&key, message.clone());
        } else if packets.record.is_some() {
            let family = self.family_of(packets.record, BatchPart::Packets);
            self.family = self.family.or(family);
        }
    }

    pub(super) fn check_path(&mut self) {
        let Some(header) = &self.header else {
            return;
        };
        let Some(differences) = header.differences(&self.present) else {
            return;
        };
        self.path_agrees = Some(differences.is_empty());
        let key = self.key(BatchPart::Header);
        let problem = |message: String| ObjectProblem::rejected("header-mismatch", &key, message);
        self.problems.extend(differences.into_iter().map(problem));
    }

    /// Records which objects are missing. A single object may have been inspected alone on purpose;
    /// if two exist, the third counts as missing.
    pub(super) fn check_complete(&mut self) {
        let digest = self.header.as_ref().map(|header| header.packets);
        let has_packets = self.packets.is_some();
        if !has_packets && digest == Some(Digest::empty()) {
            self.note(
                "there are no packets: the object is absent, and the digest is that of an empty \
                 file",
            );
            if self.family == Some(Family::IngestionBatch) {
                self.note("a processor rejects an ingestion batch without packets (empty-batch)");
            }
            self.digest_matches = Some(true);
        }
        if self.is_single_object || self.present.count() < 2 {
            return;
        }
        let lacks = |part| self.present.get(part).is_none();
        let needs_packets = digest.is_some_and(|digest| digest != Digest::empty());
        let missing = [
            (
                BatchPart::Signature,
                "signature",
                lacks(BatchPart::Signature),
            ),
            (BatchPart::Header, "header", lacks(BatchPart::Header)),
            (
                BatchPart::Packets,
                "packet file",
                !has_packets && needs_packets,
            ),
        ];
        for (part, name, _) in missing.iter().filter(|(.., is_missing)| *is_missing) {
            let key = self.present.key(*part);
            let message = format!("the {name} does not exist (yet)");
            self.problems
                .push(ObjectProblem::new(Exit::Retry, "incomplete", &key, message));
        }
    }

    /// Returns whether more than one part of the batch was read.
    pub(crate) fn is_whole(&self) -> bool {
        self.is_single_object || self.present.count() > 1
    }
}
