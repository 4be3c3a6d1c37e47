//! The facts about a batch.

use super::Batch;
use super::header::Header;
use crate::inspect::facts::{Fact, Facts};
use crate::inspect::family::{Family, with_article};
use crate::inspect::report::ObjectFinding;
use crate::inspect::signer::Outcome;
use tallybox_model::digest::Digest;
use tallybox_model::path::BatchPart;
use tallybox_service::chart::Tone;

impl Batch {
    /// Converts the batch into an entry of the report.
    pub(crate) fn finding(self) -> ObjectFinding {
        let (kind, title) = self.kind_and_title();
        let mut finding = ObjectFinding::new(kind, title, &self.present.object(), self.facts());
        finding.notes = self.notes;
        finding.problems = self.problems;
        finding
    }

    pub(crate) fn facts(&self) -> Facts {
        let mut facts = Facts::default();
        let writer = self.writer.map(|writer| writer.to_string());
        let header = self.header_file.as_ref().map(|file| {
            let mut facts = Facts::default();
            let digest = Digest::sha256(file);
            facts.row("", Fact::file(file.len() as u64, Some(digest)));
            let fields = self.header.as_ref().map(Header::facts);
            facts.0.extend(fields.unwrap_or_default().0);
            facts
        });
        facts.add(
            Fact::new("family", self.family.map(Family::name))
                .hidden()
                .conclusion(),
        );
        facts.add(Fact::new("writer", writer).hidden().conclusion());
        facts.add(Fact::group("header", header));
        facts.add(self.path().conclusion());
        facts.add(Fact::group("packets", self.packets.clone()));
        facts.add(self.digest().conclusion());
        facts.add(Fact::group("signature", self.signature_facts()));
        if self.problems.is_empty() {
            facts.0.extend(self.result());
        }
        facts
    }

    fn path(&self) -> Fact {
        let agrees = Fact::new("path-agrees", self.path_agrees).row("path");
        match self.path_agrees {
            Some(true) => agrees.shown("matches the header"),
            Some(false) => agrees.shown("does not match the header").tone(Tone::Bad),
            None if self.header.is_some() => {
                agrees.shown("not a batch's name, so it was not compared with the header")
            }
            None => agrees,
        }
    }

    fn digest(&self) -> Fact {
        let matches = Fact::new("digest-matches", self.digest_matches).row("digest");
        match self.digest_matches {
            Some(true) => matches
                .shown("the packets match the header")
                .tone(Tone::Good),
            Some(false) => matches
                .shown("the packets do not match the header")
                .tone(Tone::Bad),
            None if self.packets.is_some() => matches.shown("no header to compare with"),
            None => matches,
        }
    }

    fn signature_facts(&self) -> Option<Facts> {
        let found = self.present.get(BatchPart::Signature)?;
        let mut facts = Facts::default();
        if let Some(signature) = &self.signature {
            let form = match self.is_single_object {
                true => "single-object",
                false => "three-objects",
            };
            let sha256 = Digest::sha256(&signature.batch_header_signature).to_hex();
            let verification = self.verification.as_ref()?;
            facts = verification.signature_facts(&signature.key_identifier);
            facts.add(Fact::new("form", form).hidden());
            facts.add(Fact::new("signature-sha256", sha256).hidden());
        }
        facts.row("file", Fact::file(found.bytes, self.signature_file));
        Some(facts)
    }

    /// Returns the result for a reader who does not look at the details, if there is no problem.
    fn result(&self) -> Option<Fact> {
        let outcome = self.verification.as_ref()?.outcome;
        let result = match (outcome, self.digest_matches) {
            (Outcome::Verifies, Some(true)) => Fact::new("verified", true)
                .shown("signature and digest verify")
                .tone(Tone::Good),
            (Outcome::NoKeyConfigured, _) => Fact::new("verified", false)
                .shown("no: give --key ID=FILE or --config FILE to verify the signature")
                .tone(Tone::Faint),
            _ => return None,
        };
        Some(result.conclusion())
    }

    fn kind_and_title(&self) -> (&'static str, String) {
        let label = match self.family {
            Some(family) => family.title(self.writer),
            None => "batch".to_owned(),
        };
        if self.is_whole() {
            let kind = self.family.map_or("batch", Family::name);
            return match self.is_single_object {
                true => (kind, format!("{label}, in a single object")),
                false => (kind, label),
            };
        }
        let label = with_article(&label);
        match self.present.first() {
            Some(BatchPart::Header) => ("batch-header", format!("header of {label}, alone")),
            Some(BatchPart::Packets) => ("batch-packets", format!("packet file of {label}, alone")),
            _ => ("batch-signature", format!("signature of {label}, alone")),
        }
    }
}
