//! Objects of a window: rosters, and the records of a processor's agreement with the peer.

use super::Inspector;
use super::report::{Facts, ObjectFinding, ObjectProblem};
use super::signer::Verification;
use crate::error::Error;
use bytes::Bytes;
use tallybox_model::avro::{ContainerReader, RecordReader, decode_one};
use tallybox_model::digest::Digest;
use tallybox_model::roster::{Listing, RosterEntry, RosterHeader, RosterObject, WindowName};
use tallybox_model::signature::BatchSignature;
use tallybox_transport::{SharedBucket, read_all};

/// How many bytes of a text are shown.
const SHOWN_TEXT_BYTES: usize = 4096;

impl Inspector {
    /// Inspects an object whose name belongs to a window.
    pub(super) async fn window(
        &self,
        bucket: &SharedBucket,
        key: &str,
        (name, object): (&WindowName, RosterObject),
        beginning: &Bytes,
        bytes: u64,
    ) -> Result<ObjectFinding, Error> {
        let text = |shown: bool| Facts::Text {
            bytes,
            text: shown.then(|| {
                String::from_utf8_lossy(&beginning[..beginning.len().min(SHOWN_TEXT_BYTES)])
                    .into_owned()
            }),
        };
        let (kind, title, magic) = match object {
            RosterObject::Roster(_) => {
                let file = read_all(&**bucket, key, self.limits.object_bytes).await?;
                return Ok(self.roster(key, name, object, &file));
            }
            RosterObject::Agreed => (
                "agreed-window",
                "batches that both rosters of a window agree on",
                None,
            ),
            RosterObject::Held => (
                "window-held",
                "marker of a sum part that an operator has to release",
                None,
            ),
            RosterObject::Done => ("window-done", "marker of a completed window", None),
            RosterObject::Verdicts => {
                let title = "sealed verdicts on the batches of a roster";
                ("window-verdicts", title, Some(b"TALLYVD1"))
            }
            RosterObject::Counted => {
                let title = "sealed list of the packets that a window counts";
                ("window-counted", title, Some(b"TALLYCT1"))
            }
        };
        let mut finding = ObjectFinding::new(kind, title, key, text(magic.is_none()));
        if magic.is_some_and(|magic| !beginning.starts_with(magic)) {
            let message =
                "the content does not begin with the magic that its name implies".to_owned();
            finding
                .problems
                .push(ObjectProblem::rejected("malformed", key, message));
        }
        Ok(finding)
    }

    /// Inspects a roster: its writer, its rules, its entries, and its signature.
    fn roster(
        &self,
        key: &str,
        name: &WindowName,
        object: RosterObject,
        file: &[u8],
    ) -> ObjectFinding {
        let bytes = file.len() as u64;
        let read = self.read_roster(file);
        let text = read.as_ref().ok().map(|roster| roster.text.clone());
        let mut finding = ObjectFinding::new(
            "roster",
            "roster of a window",
            key,
            Facts::Text { bytes, text },
        );
        let roster = match read {
            Ok(roster) => roster,
            Err(problem) => {
                finding
                    .problems
                    .push(ObjectProblem::rejected("malformed", key, problem));
                return finding;
            }
        };
        let writer = matches!(object, RosterObject::Roster(writer) if usize::try_from(roster.header.writer) == Ok(writer.index()));
        let window = (name.window.start().millis(), name.window.end().millis());
        let named = writer
            && (roster.header.window_start, roster.header.window_end) == window
            && roster.header.aggregation == name.aggregation.as_str();
        if !named {
            let message = "header and name differ in window, aggregation or processor".to_owned();
            finding
                .problems
                .push(ObjectProblem::rejected("header-mismatch", key, message));
        }
        match roster.verification {
            Some(Verification::Verifies(signer)) => {
                let note = format!("signed by {} with key {}", signer.party, signer.key);
                finding.notes.push(note);
            }
            None => finding
                .notes
                .push("signature not verified: give --key ID=FILE or --config FILE".to_owned()),
            Some(_) => {
                let message = format!(
                    "the signature, by key {:?}, does not verify with any configured or given key",
                    roster.key
                );
                finding
                    .problems
                    .push(ObjectProblem::rejected("bad-signature", key, message));
            }
        }
        finding
    }

    fn read_roster(&self, file: &[u8]) -> Result<ReadRoster, String> {
        let bad = |error: tallybox_model::avro::AvroError| error.to_string();
        let signature: BatchSignature =
            decode_one(file, &self.limits.for_signature()).map_err(bad)?;
        let (signed, key) = (
            signature.batch_header_signature.clone(),
            signature.key_identifier.clone(),
        );
        let (header_file, entries) = signature
            .inline()
            .ok_or("the signature object does not contain header and entries")?;
        let header: RosterHeader =
            decode_one(&header_file, &self.limits.for_header()).map_err(bad)?;
        if Digest::sha256(&entries) != header.packet_file_digest {
            return Err("the digest of the entries differs from the one in the header".to_owned());
        }
        let (mut summable, mut packets, mut open) =
            (0_u64, 0_u64, std::collections::BTreeMap::new());
        let mut reader = ContainerReader::open(entries.as_slice(), &self.limits).map_err(bad)?;
        while let Some(block) = reader.next_block().map_err(bad)? {
            for entry in RecordReader::<RosterEntry>::new(&block, reader.schema(), &self.limits) {
                match entry.map_err(bad)?.listing() {
                    Some(Listing::Summable(claim)) => {
                        summable += 1;
                        packets = packets.saturating_add(claim.accepted);
                    }
                    Some(Listing::Open(reason)) => *open.entry(reason).or_insert(0_u64) += 1,
                    None => return Err("an entry has a negative count".to_owned()),
                }
            }
        }
        let open: Vec<String> = open
            .iter()
            .map(|(reason, count)| format!("{count} {reason}"))
            .collect();
        let open = if open.is_empty() {
            "none".to_owned()
        } else {
            open.join(", ")
        };
        let text = format!(
            "{summable} batches with {packets} packets can be summed; open: {open}; minimum {}, maximum age {}, replay horizon {}",
            header.minimum, header.maximum_age, header.replay_horizon
        );
        Ok(ReadRoster {
            verification: self
                .keys
                .as_ref()
                .map(|keys| keys.judge(&key, &header_file, &signed)),
            header,
            key,
            text,
        })
    }
}

/// A decoded roster.
struct ReadRoster {
    header: RosterHeader,
    key: String,
    text: String,
    verification: Option<Verification>,
}
