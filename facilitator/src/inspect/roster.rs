//! Inspects a roster: its writer, its rules, its entries, and its signature.

use super::facts::{Fact, Facts};
use super::inspector::Inspector;
use super::report::ObjectFinding;
use super::signer::Verification;
use std::collections::BTreeMap;
use tallybox_model::avro::{AvroError, ContainerReader, RecordReader, decode_one};
use tallybox_model::digest::Digest;
use tallybox_model::role::Role;
use tallybox_model::roster::{Listing, RosterEntry, RosterHeader, WindowName};
use tallybox_model::signature::BatchSignature;

/// A decoded roster.
struct Roster {
    header: RosterHeader,
    key: String,
    verification: Verification,
    entries: Facts,
}

impl Inspector {
    pub(super) fn roster(
        &self,
        key: &str,
        name: &WindowName,
        writer: Role,
        file: &[u8],
    ) -> ObjectFinding {
        let facts = Facts::size(file.len() as u64);
        let mut finding = ObjectFinding::new("roster", "roster of a window", key, facts);
        let roster = match self.read_roster(file) {
            Ok(roster) => roster,
            Err(problem) => {
                finding.reject("malformed", problem);
                return finding;
            }
        };
        if !roster.is_named(name, writer) {
            let message = "header and name differ in window, aggregation or processor";
            finding.reject("header-mismatch", message);
        }
        if let Some((reason, message)) = roster.verification.fault(&roster.key, None) {
            finding.reject(reason, message);
        }
        finding.facts.0.extend(roster.facts().0);
        finding
    }

    fn read_roster(&self, file: &[u8]) -> Result<Roster, String> {
        let bad = |error: AvroError| error.to_string();
        let limits = self.limits.for_signature();
        let object: BatchSignature = decode_one(file, &limits).map_err(bad)?;
        let key = object.key_identifier.clone();
        let signature = object.batch_header_signature.clone();
        let absent = "the signature object does not contain header and entries";
        let (header_file, entries) = object.inline().ok_or(absent)?;
        let limits = self.limits.for_header();
        let header: RosterHeader = decode_one(&header_file, &limits).map_err(bad)?;
        if Digest::sha256(&entries) != header.packet_file_digest {
            return Err("the digest of the entries differs from the one in the header".to_owned());
        }
        Ok(Roster {
            header,
            verification: self.judge(&key, &header_file, &signature),
            key,
            entries: self.count_entries(&entries)?,
        })
    }

    fn count_entries(&self, file: &[u8]) -> Result<Facts, String> {
        let bad = |error: AvroError| error.to_string();
        let mut summable: u64 = 0;
        let mut packets: u64 = 0;
        let mut open: BTreeMap<String, u64> = BTreeMap::new();
        let mut reader = ContainerReader::open(file, &self.limits).map_err(bad)?;
        while let Some(block) = reader.next_block().map_err(bad)? {
            for entry in RecordReader::<RosterEntry>::new(&block, reader.schema(), &self.limits) {
                match entry.map_err(bad)?.listing() {
                    Some(Listing::Summable(claim)) => {
                        summable += 1;
                        packets = packets.saturating_add(claim.accepted);
                    }
                    Some(Listing::Open(reason)) => {
                        *open.entry(reason.to_string()).or_default() += 1;
                    }
                    None => return Err("an entry has a negative count".to_owned()),
                }
            }
        }
        let mut facts = Facts::default();
        let summable = Fact::new("summable", summable).unit("batches can be summed");
        let packets = Fact::new("packets", packets).unit("packets");
        facts.row("entries", [summable, packets]);
        facts.add(Fact::counts("open", open));
        Ok(facts)
    }
}

impl Roster {
    fn is_named(&self, name: &WindowName, writer: Role) -> bool {
        let header = &self.header;
        let window = (name.window.start().millis(), name.window.end().millis());
        usize::try_from(header.writer) == Ok(writer.index())
            && (header.window_start, header.window_end) == window
            && header.aggregation == name.aggregation.as_str()
    }

    fn facts(self) -> Facts {
        let header = &self.header;
        let mut facts = self.entries;
        let rules = [
            Fact::new("minimum", header.minimum),
            Fact::new("maximum-age", header.maximum_age),
            Fact::new("replay-horizon", header.replay_horizon),
        ];
        facts.row("rules", rules);
        let signature = self.verification.signature_facts(&self.key);
        facts.add(Fact::group("signature", signature));
        facts
    }
}
